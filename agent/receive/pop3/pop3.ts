// A POP3 client (RFC 1939, 2449, 2595, 3206) on our own sockets.
// Promises: passwords never leave in clear unless the configuration says `tls: none`, and never stand in an error; what
// session.ts promises about answers.
import type { Clock } from '#shared/clock.ts';
import type { AuthChoice } from '../../accounts/auth-choice.ts';
import type { LoginSecret } from '../../accounts/secret.ts';
import type { Endpoint, Watch, openSocket } from '../../net/socket.ts';
import { createEntries, createLines, decodeSize, decodeUidl } from './listing.ts';
import type { NumberedEntries } from './listing.ts';
import { logIn, secretsOf } from './login.ts';
import { Pop3Error } from './pop3-error.ts';
import { checkArgument, createSession } from './session.ts';
import type { Session } from './session.ts';
import { defaultTimeouts, openWire } from './wire.ts';
import type { Pop3Timeouts, Sink, Wire } from './wire.ts';

export type Pop3Options = {
  readonly endpoint: Endpoint;
  readonly user: string;
  /** A text is a password. */
  readonly password: string | LoginSecret;
  /** Default: auto. */
  readonly auth?: AuthChoice;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly timeouts?: Partial<Pop3Timeouts>;
  /** Sockets of another kind, for tests. */
  readonly connect?: typeof openSocket;
  /** Told of TCP and TLS. */
  readonly watch?: Watch;
};

/** Calls may be made without waiting for the one before; answers are matched in order. Every call throws Pop3Error. */
export type Pop3 = {
  /** What the server said after the login: keyword in upper case -> arguments. Empty when it knows no CAPA. */
  readonly capabilities: ReadonlyMap<string, string>;
  /** Commands may be sent before the answers to earlier ones have come (RFC 2449 section 6.6). */
  readonly pipelining: boolean;
  readonly stat: () => Promise<{ readonly count: number; readonly sizeBytes: number }>;
  readonly list: () => Promise<NumberedEntries<number>>;
  readonly uidl: () => Promise<NumberedEntries<string>>;
  /** The whole mail went through the sink, and the session was still in step afterwards. A sink that throws fails this mail alone. */
  readonly retr: (number: number, sink: Sink) => Promise<void>;
  /** The first bytes of the header (optional in RFC 1939 section 7): to recognise a mail, never to deliver it. */
  readonly top: (number: number) => Promise<Buffer>;
  readonly dele: (number: number) => Promise<void>;
  /** Resolves when the server has carried out the deletions. */
  readonly quit: () => Promise<void>;
  /** Breaks off: nothing is deleted. */
  readonly close: () => void;
};

/** As much as body.ts keeps of a mail's beginning. */
export const headBytes = 256 * 1024;

/** Connects, starts TLS as configured, logs in. Throws Pop3Error, and ConnectError of agent/net. */
export async function openPop3(options: Pop3Options): Promise<Pop3> {
  const { endpoint, signal, clock, user, password } = options;
  const secret: LoginSecret = typeof password === 'string' ? { kind: 'password', password } : password;
  checkArgument('USER', user);
  checkArgument('PASS', secret.kind === 'password' ? secret.password : secret.token);
  const timeouts = { ...defaultTimeouts, ...options.timeouts };
  const { connect, watch } = options;
  const seam = { ...(connect && { connect }), ...(watch && { watch }) };
  const wire = await openWire({ endpoint, signal, clock, timeouts, ...seam });
  const session = createSession(wire, endpoint.host + ':' + endpoint.port, secretsOf(user, secret));
  try {
    const greeting = await session.greeting();
    let capabilities = await capa(session);
    if (endpoint.tls === 'starttls') {
      await startTls(session, wire, capabilities, endpoint);
      // What was said in clear counts no longer (RFC 2595 section 4).
      capabilities = await capa(session);
    }
    const auth = options.auth ?? 'auto';
    const login = { endpoint, secure: wire.secure(), user, secret, auth, capabilities, greeting };
    await logIn(session, login).catch((error: unknown) => {
      throw withDelay(error, capabilities);
    });
    // One round trip for both, where the server takes commands ahead of its answers.
    session.pipelining = capabilities.has('PIPELINING');
    const asking = capa(session);
    const early = session.pipelining ? session.run('STAT') : undefined;
    early?.catch(() => {}); // stat() tells
    return createCommands(session, withLoginDelay(await asking, capabilities), early);
  } catch (error) {
    wire.close();
    throw error;
  }
}

async function startTls(
  session: Session,
  wire: Wire,
  capabilities: ReadonlyMap<string, string>,
  endpoint: Endpoint,
): Promise<void> {
  const refuse = (state: string, cause?: unknown): Pop3Error =>
    new Pop3Error(
      'Cannot start TLS with ' +
        endpoint.host +
        ':' +
        endpoint.port +
        ': ' +
        state +
        ', expected STLS; try port 995 with tls: implicit',
      { trouble: 'no-stls', step: 'STLS', cause },
    );
  if (capabilities.size > 0 && !capabilities.has('STLS')) throw refuse('the server does not offer STLS');
  try {
    await session.run('STLS');
  } catch (error) {
    if (error instanceof Pop3Error && error.trouble === 'refused') throw refuse('the server refuses STLS', error);
    throw error;
  }
  await wire.upgrade();
}

async function capa(session: Session): Promise<ReadonlyMap<string, string>> {
  const capabilities = new Map<string, string>();
  const lines = createLines({
    maxBytes: 512,
    onLine(line) {
      const [keyword = '', ...rest] = line.split(' ');
      if (capabilities.size < 100) capabilities.set(keyword.toUpperCase(), rest.join(' '));
    },
  });
  try {
    await session.run('CAPA', undefined, lines.sink);
    lines.finish();
    return capabilities;
  } catch (error) {
    if (error instanceof Pop3Error && error.trouble === 'refused') return new Map();
    throw error;
  }
}

/** RFC 2449 section 6.5: seconds between two logins, perhaps with USER after them; 0 when the server names none. */
export function loginDelayOf(capabilities: ReadonlyMap<string, string>): number {
  const seconds = /^\d{1,5}/.exec(capabilities.get('LOGIN-DELAY') ?? '')?.[0];
  return Math.min(86_400, Number(seconds ?? 0));
}

/** For servers that refuse an early login without saying how early. */
const unnamedDelaySeconds = 60;

/** A login that came too early says how long to wait: the next one, too early again, may begin the wait anew. */
function withDelay(error: unknown, capabilities: ReadonlyMap<string, string>): unknown {
  if (!(error instanceof Pop3Error) || error.code !== 'LOGIN-DELAY') return error;
  const { trouble, step, code, cause } = error;
  const loginDelaySeconds = Math.max(loginDelayOf(capabilities), unnamedDelaySeconds);
  return new Pop3Error(error.message, { trouble, step, code, cause, loginDelaySeconds });
}

/** A server may name its LOGIN-DELAY only before the login (RFC 2449 section 6.5). */
function withLoginDelay(
  after: ReadonlyMap<string, string>,
  before: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> {
  const delay = before.get('LOGIN-DELAY');
  return delay === undefined || after.has('LOGIN-DELAY') ? after : new Map([...after, ['LOGIN-DELAY', delay]]);
}

/** `early`: the first STAT, when it was asked for already. */
function createCommands(session: Session, capabilities: ReadonlyMap<string, string>, early?: Promise<string>): Pop3 {
  let stated = early;
  session.pipelining = capabilities.has('PIPELINING');
  async function listing<T>(command: string, decode: (rest: string) => T | undefined): Promise<NumberedEntries<T>> {
    const { lines, result } = createEntries(decode);
    await session.run(command, undefined, lines.sink);
    lines.finish();
    return result();
  }
  return {
    capabilities,
    pipelining: session.pipelining,
    async stat() {
      const asked = stated ?? session.run('STAT');
      stated = undefined;
      const line = await asked;
      const found = /^\+OK (\d{1,9}) (\d{1,15})(?: |$)/.exec(line);
      if (found === null) throw session.outOfStep('STAT', line, '+OK, a count and a size');
      return { count: Number(found[1]), sizeBytes: Number(found[2]) };
    },
    list: () => listing('LIST', decodeSize),
    uidl: () => listing('UIDL', decodeUidl),
    async retr(number, sink) {
      let failure: { readonly error: unknown } | undefined;
      await session.runProven('RETR', String(number), async (bytes) => {
        if (failure !== undefined) return; // the rest of the mail must be read all the same
        try {
          await sink(bytes);
        } catch (error) {
          failure = { error };
        }
      });
      if (failure !== undefined) throw failure.error;
    },
    async top(number) {
      const parts: Buffer[] = [];
      let size = 0;
      await session.run('TOP', number + ' 0', (bytes) => {
        // Some servers give the whole mail.
        if (size >= headBytes) return;
        parts.push(Buffer.from(bytes));
        size += bytes.length;
      });
      return Buffer.concat(parts).subarray(0, headBytes);
    },
    dele: async (number) => void (await session.run('DELE', String(number))),
    async quit() {
      await session.run('QUIT');
      session.close();
    },
    close: session.close,
  };
}
