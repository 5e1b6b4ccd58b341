// The agent as an operator runs it: its own process, its own configuration file, asked over its socket.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { askAgent } from '../../agent/cli/client.ts';
import { startProgram } from '../flow/programs.ts';
import type { Child } from '../lab/child.ts';
import { waitFor } from '../lab/wait.ts';
import type { Contestant, Outcome, Source } from './contestant.ts';
import { password } from './mailbox.ts';
import { cpuSeconds, forgetPeak, memoryMb } from './process-usage.ts';

export const recipient = 'info@example.org';
export type BenchAccount = { readonly id: string; readonly source: Source; readonly options?: object };
export type LocalServer = {
  readonly protocol: 'smtp' | 'lmtp';
  readonly host: string;
  readonly port: number;
  readonly sessions?: number;
};
export type BenchAgent = {
  readonly pid: number;
  readonly folder: string;
  /** A round now; resolves when it is over. */
  readonly fetch: (account?: string) => Promise<void>;
  readonly stop: () => Promise<void>;
  readonly log: () => string;
};

/** Resolves when every account has had its first round; with `first: false` when the agent has started. */
export async function startAgent(options: {
  readonly folder: string;
  readonly accounts: readonly BenchAccount[];
  readonly local: LocalServer;
  readonly to?: string;
  readonly first?: boolean;
}): Promise<BenchAgent> {
  const { folder, accounts, local, to = recipient, first = true } = options;
  const config = {
    tenant: 'bench',
    agent: 'bench',
    state: 'state',
    local: { ...local, domains: ['example.org'] },
    accounts: accounts.map(({ id, source, options }) => ({
      id,
      ...source,
      tls: 'none',
      password: { file: 'secret' },
      recipients: [to],
      keep: 'none',
      firstRun: 'all',
      intervalSeconds: 86_400,
      ...options,
    })),
  };
  const child = await startProgram({
    program: 'agent',
    folder,
    config,
    secrets: { secret: password },
  });
  const path = join(folder, 'state', 'agent.sock');
  const fetch = async (account?: string): Promise<void> => {
    const request = { command: 'fetch', arguments: account === undefined ? {} : { account } };
    const answer = await askAgent({ path, request, timeoutMs: 600_000 });
    if (answer.ok !== true)
      throw new Error('Cannot fetch: ' + JSON.stringify(answer) + '\n' + child.log().slice(-2_000));
  };
  await waitFor('the socket of the agent', () => existsSync(path));
  if (first) await fetch();
  return { pid: child.pid, folder, fetch, stop: () => stopped(child), log: child.log };
}

async function stopped(child: Child): Promise<void> {
  await child.stop();
}

/** `arrived` counts at the other end; `left` in the provider's mailbox. */
export function createOurs(options: {
  readonly user: string;
  readonly agent: BenchAgent;
  readonly arrived: () => number | Promise<number>;
  readonly left: () => Promise<number>;
  /** How often both are asked; a count of files takes time that the contestant needs. */
  readonly everyMs?: number;
}): Contestant {
  const { user, agent, arrived, left, everyMs = 2 } = options;
  return {
    name: 'ours',
    user,
    async run(mails) {
      const before = await arrived();
      const usage = watch(agent.pid);
      const startedAt = performance.now();
      const fetched = agent.fetch();
      const done = async (): Promise<boolean> => (await arrived()) - before >= mails && (await left()) === 0;
      await waitFor('all mails to arrive', done, { timeoutMs: 120_000, everyMs }).catch((error: unknown) => {
        throw new Error('Cannot measure ours\n' + agent.log().slice(-2_000), { cause: error });
      });
      const seconds = (performance.now() - startedAt) / 1_000;
      await fetched;
      const count = (await arrived()) - before;
      if (count !== mails) throw new Error('Cannot measure ours: ' + count + ' mails arrived, expected ' + mails);
      return { seconds, ...usage() };
    },
  };
}

/** From the call on: CPU, and the most memory. */
function watch(pid: number): () => Omit<Outcome, 'seconds'> {
  forgetPeak(pid);
  const idleMb = memoryMb(pid)?.now ?? NaN;
  const cpuBefore = cpuSeconds(pid) ?? NaN;
  return () => ({ idleMb, peakMb: memoryMb(pid)?.peak ?? NaN, cpuSeconds: (cpuSeconds(pid) ?? NaN) - cpuBefore });
}
