// One port of the submission server: smtp-server with the options that close it, and what it lacks. Promise: STARTTLS is
// never hidden and AUTH never disabled (facts measured: with AUTH disabled it takes everything, with STARTTLS hidden it takes
// passwords in clear); who does not log in is sent away in time; each refusal is counted once.
import type { AddressInfo, Socket } from 'node:net';
import { SMTPServer } from 'smtp-server';
import type { SMTPServerOptions, SMTPServerSession } from 'smtp-server';
import { UserError, codeOf, describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import { isLoopback } from '#shared/net.ts';
import type { RefusalReason } from './access.ts';
import type { Tls } from './own-certificate.ts';

export type Handlers = Required<Pick<SMTPServerOptions, 'onConnect' | 'onAuth' | 'onMailFrom' | 'onRcptTo' | 'onData'>>;
export type Door = {
  /** Throws UserError when the port cannot be had. */
  readonly start: () => Promise<void>;
  /** Resolves when no connection is open any more; those that are get `graceMs`. */
  readonly stop: (graceMs: number) => Promise<void>;
  readonly port: () => number;
  /** New connections get another certificate. */
  readonly renew: (tls: Tls) => void;
  /** Has logged in, or need not. */
  readonly known: (session: SMTPServerSession) => void;
};

export type DoorOptions = {
  readonly host: string;
  readonly port: number;
  /** Named when the port cannot be had. */
  readonly option: 'port' | 'implicitPort';
  /** TLS from the first byte. */
  readonly implicit: boolean;
  readonly tls: Tls | undefined;
  readonly name: string;
  readonly maxSizeBytes: number;
  readonly maxRecipients: number;
  /** Some addresses need no login; the handlers ask for the rights of each session in any case. */
  readonly trusts: boolean;
  readonly handlers: Handlers;
  /** The reason that a handler has left for the refusal that follows. */
  readonly reasonOf: (session: SMTPServerSession) => RefusalReason | undefined;
  readonly onRefused: (reason: RefusalReason) => void;
  readonly loginMs: number;
  readonly log: Log;
};

const maxClients = 100;
/** One machine of the network must not take all places; the programs of this one may. */
const maxOfAddress = 50;
const socketTimeoutMs = 300_000; // RFC 5321 section 4.5.3.2.7

type Connection = SMTPServer extends { connections: Set<infer C> } ? C : never;

export function createDoor(options: DoorOptions): Door {
  const { host, log, tls } = options;
  const strangers = createStrangers(options.loginMs);
  const server = new SMTPServer({
    ...fixedOptions,
    ...(tls === undefined
      ? { disabledCommands: [...unwanted, 'STARTTLS'], allowInsecureAuth: true }
      : {
          key: tls.key,
          cert: tls.cert,
          minVersion: 'TLSv1.2' as const,
          disabledCommands: [...unwanted],
          allowInsecureAuth: false,
        }),
    secure: options.implicit,
    authOptional: options.trusts,
    name: options.name,
    size: options.maxSizeBytes,
    maxRecipients: options.maxRecipients,
    ...options.handlers,
  });
  server.server.on('connection', strangers.watch);
  // A client that goes away in the middle is its own trouble; unheard, the event would end the process.
  server.on('error', (error: Error) => log.debug({ error: describe(error) }, 'client connection failed'));
  const met = new WeakSet<Connection>();
  const connect = server.connect.bind(server);
  server.connect = (socket, socketOptions) => {
    connect(socket, socketOptions);
    const connection = [...server.connections].at(-1);
    // None: there were too many, and it was sent away.
    if (connection === undefined || met.has(connection)) return;
    met.add(connection);
    watchReplies(connection, options);
    greetAtOnce(connection);
  };

  return {
    start: () => listen(server, options),
    async stop(graceMs) {
      if (!server.server.listening) return;
      server.options.closeTimeout = graceMs;
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
    port() {
      const found = server.server.address() as AddressInfo | null; // a TCP server
      return found?.port ?? options.port;
    },
    renew: (next) => server.updateSecureContext({ key: next.key, cert: next.cert }),
    known: strangers.known,
  };

  function listen(one: SMTPServer, { port, option }: DoorOptions): Promise<void> {
    const place = host + ':' + port;
    return new Promise<void>((resolve, reject) => {
      const refuse = (error: Error): void => {
        const state = codeOf(error) ?? describe(error);
        const expected = 'a free port of this machine; check submission.host and submission.' + option;
        reject(new UserError('Cannot listen on ' + place + ': ' + state + ', expected ' + expected, { cause: error }));
      };
      one.server.once('error', refuse);
      one.listen(port, host, () => {
        one.server.off('error', refuse);
        resolve();
      });
    });
  }
}

/** What smtp-server knows besides mail. */
const unwanted = ['XCLIENT', 'XFORWARD', 'WIZ', 'SHELL', 'KILL'] as const;

const fixedOptions: SMTPServerOptions = {
  authMethods: ['PLAIN', 'LOGIN'],
  authRequiredMessage: '5.7.0 Log in first',
  rejectOversized: true,
  disableReverseLookup: true,
  hideENHANCEDSTATUSCODES: false,
  hideDSN: false,
  maxClients,
  socketTimeout: socketTimeoutMs,
  logger: false,
};

/**
 * smtp-server waits 100 ms before each greeting, to catch programs that talk first. Those are the spammers of port 25; here
 * nobody gets further than a login, and a program that opens a connection for each mail would wait most of its time.
 */
function greetAtOnce(connection: Connection): void {
  const greet = connection.connectionReady.bind(connection);
  connection.connectionReady = () => {}; // the timer finds the greeting said
  greet();
}

/** Our texts bring their enhanced code (RFC 2034) with them; smtp-server would put a second one before it. */
function watchReplies(connection: Connection, { onRefused, reasonOf }: DoorOptions): void {
  const send = connection.send.bind(connection);
  connection.send = (code, data, context) => {
    const own = typeof data === 'string' && /^[245]\.\d{1,3}\.\d{1,3} /.test(data);
    if (code >= 400) onRefused(reasonOf(connection.session) ?? reasonOfCode(code));
    send(code, data, own ? false : context);
  };
}

/** What smtp-server refuses by itself. */
function reasonOfCode(code: number): RefusalReason {
  switch (code) {
    case 530:
      return 'no-login';
    case 538:
      return 'login-clear';
    case 552:
      return 'size';
    case 452:
      return 'recipients';
    default:
      return 'protocol';
  }
}

type Peer = { readonly remoteAddress?: string | undefined; readonly remotePort?: number | undefined };

/** Ends connections without a login: a byte now and then would keep a place of the `maxClients` for ever. */
function createStrangers(loginMs: number): {
  readonly watch: (socket: Socket) => void;
  readonly known: (peer: Peer) => void;
} {
  const timers = new Map<string, NodeJS.Timeout>();
  const ofAddress = new Map<string, number>();
  const keyOf = ({ remoteAddress = '', remotePort = 0 }: Peer): string =>
    remoteAddress.replace(/^::ffff:/i, '') + ' ' + remotePort;
  const known = (peer: Peer): void => {
    clearTimeout(timers.get(keyOf(peer)));
    timers.delete(keyOf(peer));
  };
  return {
    known,
    watch(socket) {
      const { remoteAddress = '', remotePort } = socket;
      const peer = { remoteAddress, remotePort };
      timers.set(keyOf(peer), setTimeout(() => socket.destroy(), loginMs).unref());
      const count = (ofAddress.get(remoteAddress) ?? 0) + 1;
      ofAddress.set(remoteAddress, count);
      socket.once('close', () => {
        known(peer);
        const left = (ofAddress.get(remoteAddress) ?? 1) - 1;
        if (left > 0) ofAddress.set(remoteAddress, left);
        else ofAddress.delete(remoteAddress);
      });
      if (count > maxOfAddress && !isLoopback(remoteAddress.replace(/^::ffff:/i, ''))) socket.destroy();
    },
  };
}
