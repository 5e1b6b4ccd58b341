// The submission server. Promise: mail is taken only from a user who logged in, only for senders that access.ts allows;
// a password travels in clear only on the loopback address and only when there is no certificate.
// AUTH is never optional and never disabled, and STARTTLS never hidden: either of these would open smtp-server
// (facts measured: with AUTH disabled it takes everything, with STARTTLS hidden it takes passwords in clear).
import type { AddressInfo, Socket } from 'node:net';
import { SMTPServer } from 'smtp-server';
import type { SMTPServerAddress, SMTPServerAuthentication, SMTPServerOptions, SMTPServerSession } from 'smtp-server';
import type { Clock } from '#shared/clock.ts';
import { UserError, codeOf, describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import { maskAddress } from '#shared/log.ts';
import { isLoopback } from '#shared/net.ts';
import type { SubmissionConfig } from '../config.ts';
import type { Accepted, Submission } from './accept.ts';
import { asciiAddress, maySend, needsUtf8, refuse } from './access.ts';
import type { Answer, Refusal } from './access.ts';
import { createLogin } from './login.ts';

export type ListenerOptions = {
  readonly submission: SubmissionConfig;
  /** User name to password. */
  readonly passwords: ReadonlyMap<string, string>;
  /** PEM texts. */
  readonly tls?: { readonly key: string; readonly cert: string };
  readonly accept: (submission: Submission, chunks: AsyncIterable<Uint8Array>) => Promise<Accepted>;
  /** Free space where the mail goes. */
  readonly freeBytes: () => Promise<number>;
  readonly clock: Clock;
  readonly log: Log;
  /** A client must have logged in so long after it connected; standard two minutes. */
  readonly loginMs?: number;
};
export type Listener = {
  /** Throws UserError when the port cannot be had. */
  readonly start: () => Promise<void>;
  /** No new connection; mails on their way in get `graceMs`. Resolves when no mail is on its way in. */
  readonly stop: (graceMs: number) => Promise<void>;
  readonly address: () => { readonly host: string; readonly port: number };
};

const maxClients = 100;
const socketTimeoutMs = 300_000; // RFC 5321 section 4.5.3.2.7
/** As Postfix does: a mail and half of it again must fit. */
const freeSpaceFactor = 1.5;

/** Throws UserError when passwords would travel in clear over a network. */
export function createListener(options: ListenerOptions): Listener {
  const { submission, tls, log } = options;
  const place = submission.host + ':' + submission.port;
  if (tls === undefined && !isLoopback(submission.host))
    throw new UserError(
      'Cannot listen on ' + place + ': found no submission.tls, expected a certificate, or a loopback address as host',
    );
  const strangers = createStrangers(options.loginMs ?? 120_000);
  let mails = 0;
  const idle = new Set<() => void>();
  const server = new SMTPServer({
    ...fixedOptions,
    ...(tls === undefined
      ? { disabledCommands: ['STARTTLS'], allowInsecureAuth: true }
      : { key: tls.key, cert: tls.cert, minVersion: 'TLSv1.2' as const, allowInsecureAuth: false }),
    name: submission.name,
    size: submission.maxSizeBytes,
    maxRecipients: submission.maxRecipients,
    ...createHandlers(options, {
      known: strangers.known,
      begin: () => void (mails += 1),
      end() {
        mails -= 1;
        if (mails === 0) for (const wake of idle) wake();
      },
    }),
  });
  // A client that goes away in the middle is its own trouble; unheard, the event would end the process.
  server.server.on('connection', strangers.watch);
  server.on('error', (error: Error) => log.debug({ error: describe(error) }, 'client connection failed'));

  return {
    start: () =>
      new Promise<void>((resolve, reject) => {
        const refuse = (error: Error): void =>
          reject(
            new UserError(
              'Cannot listen on ' +
                place +
                ': ' +
                (codeOf(error) ?? describe(error)) +
                ', expected a free port of this machine; check submission.host and submission.port',
              { cause: error },
            ),
          );
        server.server.once('error', refuse);
        server.listen(submission.port, submission.host, () => {
          server.server.off('error', refuse);
          resolve();
        });
      }),
    async stop(graceMs) {
      if (!server.server.listening) return;
      // Without a mail on its way in nobody is owed an answer.
      server.options.closeTimeout = mails > 0 ? graceMs : 1;
      await new Promise<void>((resolve) => server.close(() => resolve()));
      // The connections are cut by now; what was taken in whole still gets on disk.
      if (mails > 0) await new Promise<void>((resolve) => idle.add(resolve));
    },
    address() {
      const found = server.server.address() as AddressInfo | null; // a TCP server
      return { host: submission.host, port: found?.port ?? submission.port };
    },
  };
}

const fixedOptions: SMTPServerOptions = {
  secure: false,
  authOptional: false,
  authMethods: ['PLAIN', 'LOGIN'],
  authRequiredMessage: '5.7.0 Log in first',
  rejectOversized: true,
  disableReverseLookup: true,
  maxClients,
  socketTimeout: socketTimeoutMs,
  logger: false,
};

type Counter = { readonly begin: () => void; readonly end: () => void; readonly known: (session: Peer) => void };
type Peer = { readonly remoteAddress?: string | undefined; readonly remotePort?: number | undefined };

/** Ends connections without a login: a byte now and then would keep a place of the `maxClients` for ever. */
function createStrangers(loginMs: number): {
  readonly watch: (socket: Socket) => void;
  readonly known: (peer: Peer) => void;
} {
  const timers = new Map<string, NodeJS.Timeout>();
  const keyOf = ({ remoteAddress = '', remotePort = 0 }: Peer): string =>
    remoteAddress.replace(/^::ffff:/i, '') + ' ' + remotePort;
  const known = (peer: Peer): void => {
    clearTimeout(timers.get(keyOf(peer)));
    timers.delete(keyOf(peer));
  };
  return {
    known,
    watch(socket) {
      const peer = { remoteAddress: socket.remoteAddress, remotePort: socket.remotePort };
      timers.set(keyOf(peer), setTimeout(() => socket.destroy(), loginMs).unref());
      socket.once('close', () => known(peer));
    },
  };
}

type Done = (error?: Error | null) => void;

function createHandlers(options: ListenerOptions, mails: Counter) {
  const { log, submission } = options;
  const users = new Map(submission.users.map((user) => [user.name, user.senders]));
  const logIn = createLogin(options);

  async function mailFrom(address: SMTPServerAddress, session: SMTPServerSession): Promise<Answer> {
    const from = asciiAddress(address.address);
    const user = userOf(session);
    if (from === undefined) return refuse(553, '5.1.7 This is no mail address');
    const answer = maySend(users.get(user) ?? [], from);
    if (!answer.ok) {
      log.warn({ user, from: maskAddress(from) }, 'sender refused');
      return answer;
    }
    if (needsUtf8(from) && session.envelope.smtpUtf8 !== true) return refuse(553, '5.6.7 This address needs SMTPUTF8');
    const declared = address.args === false ? NaN : Number(address.args['SIZE']);
    const sizeBytes = Number.isFinite(declared) ? declared : submission.maxSizeBytes;
    const freeBytes = await options.freeBytes();
    if (freeBytes >= sizeBytes * freeSpaceFactor) return answer;
    log.error(
      { freeBytes, neededBytes: sizeBytes * freeSpaceFactor },
      'the disk of the queue is nearly full, mail is not taken',
    );
    return refuse(452, '4.3.1 Not enough room on the disk; try again later');
  }

  function rcptTo(address: SMTPServerAddress, session: SMTPServerSession): Answer {
    const to = asciiAddress(address.address);
    if (to === undefined || to === '') return refuse(553, '5.1.3 This is no mail address with a domain');
    if (needsUtf8(to) && session.envelope.smtpUtf8 !== true) return refuse(553, '5.6.7 This address needs SMTPUTF8');
    return { ok: true };
  }

  async function data(stream: NodeJS.ReadableStream, session: SMTPServerSession): Promise<Accepted> {
    const { mailFrom, rcptTo } = session.envelope;
    const recipients = rcptTo.map((to) => asciiAddress(to.address) ?? to.address);
    const from = mailFrom === false ? '' : (asciiAddress(mailFrom.address) ?? mailFrom.address);
    const user = userOf(session);
    const { hostNameAppearsAs: clientName, transmissionType: transmission } = session;
    const senders = users.get(user) ?? [];
    const submitted = { user, senders, from, recipients, clientName, transmission };
    const accepted = await options.accept(submitted, bytesOf(stream));
    if (accepted.ok)
      log.info({ mail: accepted.id, user, from: maskAddress(from), recipients: recipients.length }, 'mail accepted');
    else {
      const { address, code, text } = accepted;
      const about = address === undefined ? {} : { about: maskAddress(address) };
      log.warn({ user, from: maskAddress(from), code, answer: text, ...about }, 'mail refused');
    }
    return accepted;
  }

  /** Runs a handler; the client gets its answer whatever happens. */
  async function respond<T>(work: Promise<T>, reply: (answer: T | Refusal) => void): Promise<void> {
    let answer: T | Refusal;
    try {
      answer = await work;
    } catch (error) {
      log.error({ error: describe(error) }, 'a command of a client failed here');
      answer = refuse(451, '4.3.0 Something went wrong here; try again later');
    }
    reply(answer);
  }

  return {
    onAuth(auth: SMTPServerAuthentication, session: SMTPServerSession, done: LoginDone): void {
      void respond(logIn(auth, session), (answer) => {
        if (!answer.ok) return done(smtpError(answer));
        mails.known(session);
        done(null, { user: auth.username });
      });
    },
    onMailFrom(address: SMTPServerAddress, session: SMTPServerSession, done: Done): void {
      void respond(mailFrom(address, session), (answer) => done(answer.ok ? null : smtpError(answer)));
    },
    onRcptTo(address: SMTPServerAddress, session: SMTPServerSession, done: Done): void {
      const answer = rcptTo(address, session);
      done(answer.ok ? null : smtpError(answer));
    },
    onData(stream: NodeJS.ReadableStream, session: SMTPServerSession, done: DataDone): void {
      mails.begin();
      void respond(data(stream, session), (accepted) => {
        mails.end();
        if (accepted.ok) done(null, '2.0.0 Queued as ' + accepted.id);
        else done(smtpError(accepted));
      });
    },
  };
}

type DataDone = (error?: Error | null, text?: string) => void;
type LoginDone = (error: Error | null | undefined, response?: { readonly user?: string | undefined }) => void;

function smtpError({ address, code, text }: Refusal): Error {
  return Object.assign(new Error(address === undefined ? text : text + ': ' + address), { responseCode: code });
}

/** Set by onAuth above, and only there. */
function userOf(session: SMTPServerSession): string {
  const user: unknown = session.user;
  return typeof user === 'string' ? user : '';
}

async function* bytesOf(stream: NodeJS.ReadableStream): AsyncGenerator<Uint8Array> {
  for await (const chunk of stream) yield typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
}
