// The send room of a test: real files, a real index, a relay of the test's choice, and clients that are not ours.
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { neverCrash } from '#shared/checkpoint.ts';
import type { Reached } from '#shared/checkpoint.ts';
import { systemClock } from '#shared/clock.ts';
import type { Clock } from '#shared/clock.ts';
import { createJournal, journalSchema } from '#shared/journal.ts';
import { createLog } from '#shared/log.ts';
import type { Log } from '#shared/log.ts';
import { createMeter } from '#shared/meter.ts';
import type { Point } from '#shared/meter.ts';
import { openDatabase } from '#shared/sqlite.ts';
import type { Database } from '#shared/sqlite.ts';
import { loginSchema } from '../../../agent/accounts/login-memory.ts';
import { passwordSource } from '../../../agent/accounts/secret.ts';
import type { SecretSource } from '../../../agent/accounts/secret.ts';
import type { SendLimits } from '../../../agent/accounts/presets.ts';
import type { RelayConfig, SubmissionConfig } from '../../../agent/config.ts';
import type { Local } from '../../../agent/local/local.ts';
import type { Endpoint } from '../../../agent/net/socket.ts';
import type { Quota } from '../../../agent/send/submission/quota.ts';
import { createSend } from '../../../agent/send/send.ts';
import type { RelaySetup, Send } from '../../../agent/send/send.ts';
import { spoolSchema } from '../../../agent/send/queue/spool-schema.ts';

export const user = 'sales';
export const password = 'right horse';
export const sender = 'sales@office.test';

export type RigRelay = {
  readonly relay: Pick<Endpoint, 'host' | 'port'> & Partial<Endpoint>;
  readonly relayPassword?: string;
  readonly relaySecret?: SecretSource;
  readonly relayConfig?: Partial<RelayConfig>;
  readonly relayLimits?: SendLimits;
};
export type RigOptions = RigRelay & {
  /** Beside the one that stands in the options themselves. */
  readonly moreRelays?: readonly RigRelay[];
  readonly submission?: Partial<SubmissionConfig>;
  readonly tls?: { readonly key: string; readonly cert: string };
  /** A state folder to start again with. */
  readonly state?: State;
  readonly local?: Local;
  readonly operator?: string;
  readonly isLocal?: (address: string) => boolean;
  readonly handedOver?: (sender: string) => boolean;
  readonly clock?: Clock;
  readonly reached?: Reached;
  readonly log?: Log;
  readonly random?: () => number;
};
export type State = {
  readonly folder: string;
  readonly db: Database;
  /** Stopped before the index is closed. */
  readonly sends: Send[];
};
export type Rig = {
  readonly send: Send;
  readonly state: State;
  readonly port: number;
  /** One mail through an independent client; rejects when it is not taken. */
  readonly submit: (mail?: Partial<Letter>) => Promise<void>;
  readonly journal: () => readonly Point[];
  /** What was measured beside the journal. */
  readonly said: readonly Point[];
  readonly files: () => Promise<readonly string[]>;
};
export type Letter = {
  readonly from: string;
  readonly to: readonly string[];
  readonly raw: string | Buffer;
  readonly user: string;
  readonly password: string;
  readonly ca: string;
};
type Owner = { readonly after: (work: () => Promise<void>) => void };

export async function openState(owner: Owner): Promise<State> {
  const folder = await mkdtemp(join(tmpdir(), 'mailferry-send-'));
  const db = openStateDb(folder);
  const sends: Send[] = [];
  owner.after(async () => {
    for (const send of sends) await send.stop();
    if (db.isOpen) db.close();
    await rm(folder, { recursive: true, force: true });
  });
  return { folder, db, sends };
}

export const openStateDb = (folder: string): Database =>
  openDatabase({ path: join(folder, 'agent.db'), schema: [[journalSchema, spoolSchema, loginSchema].join(';')] });

export const baseRelay: RelayConfig = {
  id: 'provider',
  user: 'relay-user',
  password: { env: 'UNUSED' },
  auth: 'auto',
  fallback: [],
  fallbackAfterSeconds: 900,
  sessions: 2,
  retryFirstSeconds: 1,
  retryMaxSeconds: 2,
  unknownRetrySeconds: 1,
  expireHours: 120,
};
/** `relay` without what is not given: a plain line to it. */
export function setupOf(options: RigRelay): RelaySetup {
  const config = { ...baseRelay, ...options.relayConfig };
  const password = options.relayPassword ?? 'relay-password';
  return {
    config,
    endpoint: { tls: 'none', ...options.relay },
    secret: options.relaySecret ?? passwordSource(() => password),
    limits: options.relayLimits ?? {},
    origin: 'relay ' + config.id,
  };
}
export const baseSubmission: SubmissionConfig = {
  host: '127.0.0.1',
  port: 0,
  name: 'nas.office.test',
  users: [{ name: user, password: { env: 'UNUSED' }, senders: ['@office.test'] }],
  maxSizeBytes: 1_048_576,
  maxRecipients: 100,
};

/** Nobody has a limit. */
export const noQuota: Quota = { check: () => undefined, reserve: () => ({ count: () => {}, release: () => {} }) };

export async function startRig(owner: Owner, options: RigOptions): Promise<Rig> {
  const state = options.state ?? (await openState(owner));
  const clock = options.clock ?? systemClock;
  const journal = createJournal(state.db);
  const said: Point[] = [];
  const send = createSend({
    submission: { ...baseSubmission, ...options.submission },
    passwords: new Map([[user, password]]),
    ...(options.tls === undefined ? {} : { tls: options.tls }),
    relays: [options, ...(options.moreRelays ?? [])].map(setupOf),
    db: state.db,
    journal,
    local: options.local,
    isLocal: options.isLocal ?? ((address) => address.endsWith('@office.test')),
    ...(options.operator === undefined ? {} : { operator: options.operator }),
    ...(options.handedOver === undefined ? {} : { handedOver: options.handedOver }),
    meter: createMeter({ clock, sink: (point) => void said.push(point) }),
    clock,
    random: options.random ?? Math.random,
    log: options.log ?? createLog({ name: 'test', level: process.env['TEST_LOG'] === '1' ? 'debug' : 'silent' }),
    reached: options.reached ?? neverCrash,
    traceId: 'test-trace',
    hostname: 'nas.office.test',
    folder: join(state.folder, 'spool'),
  });
  state.sends.push(send);
  await send.start();
  const { port } = send.submission();
  return {
    send,
    state,
    port,
    submit: (mail) => submit(port, mail),
    journal: () => journal.read(0, 100_000).points,
    said,
    files: () => readdir(join(state.folder, 'spool', 'queue')),
  };
}

/** nodemailer as the client: an SMTP implementation that is not ours. */
export async function submit(port: number, mail: Partial<Letter> = {}): Promise<void> {
  const { ca } = mail;
  // Loaded when used: a test that restarts its process over and over needs no client in it.
  const { createTransport } = await import('nodemailer');
  const transport = createTransport({
    host: '127.0.0.1',
    port,
    auth: { user: mail.user ?? user, pass: mail.password ?? password },
    ...(ca === undefined ? { ignoreTLS: true } : { requireTLS: true, tls: { ca } }),
  });
  try {
    const to = [...(mail.to ?? ['someone@world.test'])];
    await transport.sendMail({ envelope: { from: mail.from ?? sender, to }, raw: mail.raw ?? letter() });
  } finally {
    transport.close();
  }
}

export function letter(text = 'Hello.', subject = 'test'): string {
  return (
    'From: Sales <sales@office.test>\r\nTo: someone@world.test\r\nSubject: ' + subject + '\r\n\r\n' + text + '\r\n'
  );
}

/** A client that says what the test says, byte by byte. */
export type Talk = {
  /** Sends a line and gives the whole reply; undefined when the server closed. */
  readonly say: (line: string) => Promise<string | undefined>;
  readonly write: (bytes: string | Buffer) => void;
  readonly reply: () => Promise<string | undefined>;
  readonly socket: Socket;
};

export async function talk(owner: Owner, port: number): Promise<Talk> {
  const socket = connect({ host: '127.0.0.1', port });
  owner.after(async () => void socket.destroy());
  let text = '';
  let closed = false;
  let wake = (): void => {};
  socket
    .on('error', () => {})
    .on('close', () => {
      closed = true;
      wake();
    });
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk;
    wake();
  });
  const reply = async (): Promise<string | undefined> => {
    for (;;) {
      const found = /^(?:\d{3}-.*\r\n)*\d{3}(?: .*)?\r\n/.exec(text)?.[0];
      if (found !== undefined) {
        text = text.slice(found.length);
        return found.trimEnd();
      }
      if (closed) return undefined;
      await new Promise<void>((resolve) => (wake = resolve));
    }
  };
  await reply();
  return {
    say: (line) => {
      socket.write(line + '\r\n');
      return reply();
    },
    write: (bytes) => void socket.write(bytes),
    reply,
    socket,
  };
}

export const plain = (name = user, secret = password): string =>
  'AUTH PLAIN ' + Buffer.from('\0' + name + '\0' + secret).toString('base64');

/** Logged in, ready for MAIL. */
export async function loggedIn(owner: Owner, port: number): Promise<Talk> {
  const client = await talk(owner, port);
  await client.say('EHLO desk.office.test');
  const answer = await client.say(plain());
  if (answer?.startsWith('235') !== true) throw new Error('Cannot log in: ' + answer);
  return client;
}

/** Time that a test can move; sleepers wake when their time has come, by itself or by a move. */
export function movableClock(): Clock & { readonly advance: (ms: number) => void } {
  let offset = 0;
  const sleepers = new Set<() => void>();
  return {
    now: () => systemClock.now() + offset,
    monotonic: () => systemClock.monotonic() + offset,
    async sleep(ms, signal) {
      const until = systemClock.monotonic() + offset + ms;
      for (let left = ms; left > 0; left = until - systemClock.monotonic() - offset) {
        if (signal?.aborted === true) return;
        const moved = new AbortController();
        const wake = (): void => moved.abort();
        sleepers.add(wake);
        signal?.addEventListener('abort', wake, { once: true });
        await systemClock.sleep(left, moved.signal);
        signal?.removeEventListener('abort', wake);
        sleepers.delete(wake);
      }
    },
    advance(ms) {
      offset += ms;
      for (const wake of sleepers) wake();
    },
  };
}
