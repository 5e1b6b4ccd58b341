// An office: ten mailboxes at a provider, a local mail server, a relay, a block list and a collector, all real, and the agent
// between them with the defaults it is shipped with.
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { createTransport } from 'nodemailer';
import { askAgent } from '../../agent/cli/client.ts';
import { startProgram } from '../flow/programs.ts';
import type { Runner } from '../flow/programs.ts';
import type { Child } from '../lab/child.ts';
import type { Dovecot } from '../lab/dovecot.ts';
import type { Lab } from '../lab/lab.ts';
import type { Postfix } from '../lab/postfix.ts';
import { waitFor } from '../lab/wait.ts';
import { password } from './mailbox.ts';

export const accounts = Array.from({ length: 10 }, (_, index) => 'office' + (index + 1) + '@example.org');
const sender = 'office1@example.org';
export const customer = 'customer@outside.example';

export type OfficeAgent = {
  readonly pid: number;
  /** From the start of the process to an answer of its socket. */
  readonly readyMs: number;
  readonly stop: () => Promise<void>;
  readonly log: () => string;
};
export type Office = {
  readonly provider: Dovecot;
  readonly local: Postfix;
  readonly relay: Postfix;
  readonly start: (runner: Runner) => Promise<OfficeAgent>;
  /** All accounts now; resolves when their rounds are over. */
  readonly fetch: () => Promise<void>;
  /** Resolves when the agent has said 250. */
  readonly submit: (sizeBytes: number) => Promise<void>;
};

export async function openOffice(lab: Lab): Promise<Office> {
  const users = Object.fromEntries(accounts.map((address) => [address, password]));
  const [provider, local, relay, lists] = await Promise.all([
    lab.dovecot({ users }),
    lab.postfix({ role: 'local', domains: ['example.org'], users: {}, main: { message_size_limit: '0' } }),
    lab.postfix({
      role: 'relay',
      domains: ['outside.example'],
      users: { [sender]: password },
      main: { message_size_limit: '0' },
    }),
    lab.rbldnsd({ zones: { 'bl.test': [':127.0.0.2:listed', '127.0.0.2'] } }),
  ]);
  const { mqttPort, caFile } = await collect(lab);
  const submissionPort = await lab.freePort();
  const folder = join(lab.dir, 'office');
  const secret = { file: 'secret' };
  const config = {
    tenant: 'bench',
    agent: 'nas-1',
    state: 'state',
    local: { host: local.host, port: local.smtp, domains: ['example.org'] },
    accounts: accounts.map((user) => ({
      id: user.slice(0, user.indexOf('@')),
      host: provider.host,
      port: provider.pop3s,
      caFile: provider.caFile,
      user,
      password: secret,
      recipients: [user],
      firstRun: 'all',
    })),
    relays: [
      { id: 'relay', host: relay.host, port: relay.submission, caFile: relay.caFile, user: sender, password: secret },
    ],
    submission: {
      port: submissionPort,
      maxSizeBytes: 200_000_000, // the one option that is not as shipped: a mail of 100 MB is sent
      users: [{ name: 'office', password: secret, senders: ['@example.org'] }],
    },
    probe: {
      dnsbl: { resolver: lists.host + ':' + lists.port, zones: ['bl.test'], addresses: ['192.0.2.10'], domains: [] },
    },
    report: { url: 'mqtts://127.0.0.1:' + mqttPort, caFile, password: secret },
  };
  const path = join(folder, 'state', 'agent.sock');

  async function ask(command: string): Promise<boolean> {
    return (await askAgent({ path, request: { command, arguments: {} }, timeoutMs: 120_000 })).ok === true;
  }

  return {
    provider,
    local,
    relay,
    async start(runner) {
      await rm(path, { force: true });
      const startedAt = performance.now();
      const started = startProgram({ program: 'agent', folder, config, secrets: { secret: password }, runner });
      const ready = waitFor('the agent to answer', () => existsSync(path) && ask('status'), { everyMs: 5 });
      const [child, readyMs] = await Promise.all([
        started,
        // Why it does not answer stands in the error of `started`.
        Promise.race([ready, started.then(() => ready)]).then(() => performance.now() - startedAt),
      ]);
      lab.onStop(() => child.stop(20_000));
      return { pid: child.pid, readyMs, stop: () => child.stop(20_000), log: child.log };
    },
    async fetch() {
      if (!(await ask('fetch'))) throw new Error('Cannot fetch: the agent did not answer as expected');
    },
    submit: (sizeBytes) => submit(submissionPort, sizeBytes),
  };
}

async function collect(
  lab: Lab,
): Promise<{ readonly mqttPort: number; readonly caFile: string; readonly child: Child }> {
  const [mqttPort, pagePort] = [await lab.freePort(), await lab.freePort()];
  const { caFile, keyFile, certFile } = await lab.certificate();
  const child = await startProgram({
    program: 'collector',
    folder: join(lab.dir, 'collector'),
    secrets: { secret: password },
    config: {
      state: 'state',
      web: { port: pagePort },
      broker: {
        kind: 'embedded',
        port: mqttPort,
        tls: { keyFile, certFile },
        agents: [{ tenant: 'bench', agent: 'nas-1', password: { file: 'secret' } }],
      },
    },
  });
  lab.onStop(() => child.stop());
  return { mqttPort, caFile, child };
}

/** A client on this machine, as the relay dialog of a mail server is: without TLS. */
async function submit(port: number, sizeBytes: number): Promise<void> {
  const client = createTransport({
    host: '127.0.0.1',
    port,
    ignoreTLS: true,
    auth: { user: 'office', pass: password },
  });
  await client.sendMail({
    envelope: { from: sender, to: customer },
    raw: Readable.from(mailLines(sizeBytes)),
  });
}

function* mailLines(sizeBytes: number): Generator<Buffer> {
  const head = 'From: ' + sender + '\r\nTo: ' + customer + '\r\nSubject: bench\r\nMessage-ID: <';
  yield Buffer.from(head + randomBytes(8).toString('hex') + '@example.org>\r\n\r\n');
  const line = Buffer.from(randomBytes(57).toString('base64') + '\r\n');
  const block = Buffer.alloc(line.length * 800, line);
  for (let left = sizeBytes; left > 0; left -= block.length)
    yield left >= block.length ? block : block.subarray(0, Math.ceil(left / line.length) * line.length);
}

/** Bytes that a process has caused to be written to the disk so far. proc_pid_io(5) */
export async function writtenBytes(pid: number): Promise<number> {
  const file = await open('/proc/' + pid + '/io');
  try {
    return Number(/^write_bytes: (\d+)$/m.exec(await file.readFile('utf8'))?.[1] ?? NaN);
  } finally {
    await file.close();
  }
}
