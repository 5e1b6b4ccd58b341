// The agent as an operator runs it, with nothing but a submission server and a relay.
import { join } from 'node:path';
import { askAgent } from '../../agent/cli/client.ts';
import { startProgram } from '../flow/programs.ts';
import type { Runner } from '../flow/programs.ts';
import type { Child } from '../lab/child.ts';
import type { Lab } from '../lab/lab.ts';
import type { Server } from './send-peers.ts';

export type OurServer = Server & {
  readonly start: () => Promise<void>;
  readonly stop: () => Promise<void>;
  /** Every waiting mail is due now. */
  readonly flush: () => Promise<void>;
};

/** As many as a relay may have of ours; Postfix opens up to twenty. */
const relaySessions = 8;

/** Not started yet; from its source unless `runner` says otherwise. The relay is asked for no login, and the bench's own address needs none: smtp-source and smtp-sink know of none. */
export async function prepareOurs(lab: Lab, name: string, sinkPort: number, runner?: Runner): Promise<OurServer> {
  const port = await lab.freePort();
  const folder = join(lab.dir, name);
  let child: Child | undefined;
  const stop = async (): Promise<void> => {
    await child?.stop();
    child = undefined;
  };
  lab.onStop(stop);
  const config = {
    tenant: 'bench',
    agent: 'bench',
    state: 'state',
    accounts: [],
    relays: [
      {
        id: 'relay',
        host: '127.0.0.1',
        port: sinkPort,
        tls: 'none',
        auth: 'none',
        user: 'bench',
        password: { file: 'secret' },
        sessions: relaySessions,
      },
    ],
    submission: { port, trusted: [{ id: 'bench', addresses: ['127.0.0.1'], senders: ['@office.test'] }] },
  };
  return {
    name: 'ours',
    port,
    pid: () => child?.pid ?? 0,
    log: () => child?.log() ?? '',
    async start() {
      const secrets = { secret: 'none' };
      child = await startProgram({ program: 'agent', folder, config, secrets, ...(runner && { runner }) });
    },
    stop,
    async flush() {
      const path = join(folder, 'state', 'agent.sock');
      const answer = await askAgent({ path, request: { command: 'queue flush', arguments: {} }, timeoutMs: 30_000 });
      if (answer.ok !== true) throw new Error('Cannot flush: ' + JSON.stringify(answer));
    },
  };
}
