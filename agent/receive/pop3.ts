// A POP3 client (RFC 1939, 2449, 2595, 3206) on our own sockets.
// Promises: an answer is exactly +OK or -ERR, else the session is over; a mail counts as read only when the answer after it
// fits too (a server that does not stuff dots ends a mail early and goes on with its rest); passwords never leave in clear
// unless the configuration says `tls: none`, and never stand in an error.
import type { Clock } from '#shared/clock.ts';
import type { Endpoint } from '../net/socket.ts';
import { createEntries, createLines, decodeSize, decodeUidl } from './listing.ts';
import type { NumberedEntries } from './listing.ts';
import { Pop3Error, codeOfReply, quoteReply } from './pop3-error.ts';
import { defaultTimeouts, openWire } from './wire.ts';
import type { Pop3Timeouts, Sink, Wire } from './wire.ts';

export type Pop3Options = {
  readonly endpoint: Endpoint;
  readonly user: string;
  readonly password: string;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly timeouts?: Partial<Pop3Timeouts>;
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
  readonly dele: (number: number) => Promise<void>;
  /** Resolves when the server has carried out the deletions. */
  readonly quit: () => Promise<void>;
  /** Breaks off: nothing is deleted. */
  readonly close: () => void;
};

/** Connects, starts TLS as configured, logs in. Throws Pop3Error, and ConnectError of agent/net. */
export async function openPop3(options: Pop3Options): Promise<Pop3> {
  const { endpoint, signal, clock } = options;
  checkArgument('USER', options.user);
  checkArgument('PASS', options.password);
  const wire = await openWire({ endpoint, signal, clock, timeouts: { ...defaultTimeouts, ...options.timeouts } });
  const session = createSession(wire, endpoint.host + ':' + endpoint.port, [options.password]);
  try {
    await session.greeting();
    let capabilities = await capa(session);
    if (endpoint.tls === 'starttls') {
      await startTls(session, wire, capabilities, endpoint);
      // What was said in clear counts no longer (RFC 2595 section 4).
      capabilities = await capa(session);
    }
    await session.run('USER', options.user);
    await session.run('PASS', options.password);
    capabilities = await capa(session);
    return createCommands(session, capabilities);
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

function createCommands(session: Session, capabilities: ReadonlyMap<string, string>): Pop3 {
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
      const line = await session.run('STAT');
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
    dele: async (number) => void (await session.run('DELE', String(number))),
    async quit() {
      await session.run('QUIT');
      session.close();
    },
    close: session.close,
  };
}

type Session = {
  pipelining: boolean;
  readonly greeting: () => Promise<void>;
  /** Sends a command when its turn has come, gives its +OK line; with a sink, the data after it too. */
  readonly run: (command: string, argument?: string, sink?: Sink) => Promise<string>;
  /** The same, and waits until the next answer shows that the session is in step. */
  readonly runProven: (command: string, argument: string, sink: Sink) => Promise<void>;
  readonly outOfStep: (step: string, line: string, expected: string) => Pop3Error;
  readonly close: () => void;
};

type Request = {
  readonly command: string;
  readonly argument?: string | undefined;
  readonly sink?: Sink | undefined;
  readonly proof?: Proof;
};
type Proof = { readonly resolve: () => void; readonly reject: (error: unknown) => void };

function createSession(wire: Wire, place: string, secrets: readonly string[]): Session {
  let tail: Promise<unknown> = Promise.resolve();
  /** Why nothing more can be asked. */
  let broken: { readonly error: unknown } | undefined;
  /** Asked for, answer not completely read; the first `sent` of them are on their way. */
  let waiting = 0;
  let sent = 0;
  /** A mail that was read and waits for the next answer. */
  let proof: Proof | undefined;

  function fail(error: unknown): unknown {
    broken ??= { error };
    wire.close();
    proof?.reject(broken.error);
    proof = undefined;
    return error;
  }

  function outOfStep(step: string, line: string, expected: string): Pop3Error {
    const found = quoteReply(line, secrets);
    const error = new Pop3Error(
      'Cannot go on with ' + place + ' after ' + step + ': the server said "' + found + '", expected ' + expected,
      { trouble: 'out-of-step', step },
    );
    fail(error);
    return error;
  }

  /** One status line: +OK is returned, -ERR thrown as `refused`, anything else ends the session. */
  async function status(step: string): Promise<string> {
    const line = await wire.status(step);
    const good = line === '+OK' || line.startsWith('+OK ');
    if (!good && line !== '-ERR' && !line.startsWith('-ERR ')) throw outOfStep(step, line, 'exactly +OK or -ERR');
    proof?.resolve();
    proof = undefined;
    if (good) return line;
    const message =
      'Cannot ' + step + ' at ' + place + ': the server said "' + quoteReply(line, secrets) + '", expected +OK';
    throw new Pop3Error(message, { trouble: 'refused', step, code: codeOfReply(line) });
  }

  function send({ command, argument }: Request): void {
    // Nothing is under way, so nothing may have come.
    if (sent === 0 && wire.pending() > 0) throw outOfStep(command, '(unasked bytes)', 'silence until the next command');
    sent += 1;
    wire.write(argument === undefined ? command : command + ' ' + argument);
  }

  /** Runs when all answers before have been read. */
  async function turn(request: Request, early: boolean): Promise<string> {
    const { command, sink } = request;
    if (broken !== undefined) throw broken.error;
    try {
      if (!early) send(request);
      const line = await status(command);
      if (sink !== undefined) await wire.data(command, sink);
      if (request.proof !== undefined) {
        if (sent === 1 && wire.pending() > 0) throw outOfStep(command, '(more of the mail)', 'nothing after its end');
        proof = request.proof;
      }
      return line;
    } catch (error) {
      if (!(error instanceof Pop3Error && error.trouble === 'refused')) fail(error);
      throw error;
    } finally {
      waiting -= 1;
      sent -= 1;
    }
  }

  function ask(request: Request): Promise<string> {
    if (broken !== undefined) return Promise.reject(broken.error);
    const early = session.pipelining;
    try {
      if (request.argument !== undefined) checkArgument(request.command, request.argument);
      if (early) send(request);
    } catch (error) {
      return Promise.reject(error);
    }
    waiting += 1;
    const result = tail.then(() => turn(request, early));
    tail = result.catch(() => {});
    return result;
  }

  async function runProven(command: string, argument: string, sink: Sink): Promise<void> {
    const proven = Promise.withResolvers<void>();
    // A failure of the command itself is thrown by ask(); the proof is not awaited then.
    proven.promise.catch(() => {});
    await ask({ command, argument, sink, proof: proven });
    if (waiting === 0 && proof === proven) await ask({ command: 'NOOP' }).catch(passRefusal);
    return proven.promise;
  }

  const session: Session = {
    pipelining: false,
    async greeting() {
      const line = await wire.status('greeting');
      if (line === '+OK' || line.startsWith('+OK ')) return;
      const found = quoteReply(line, secrets);
      const refused = line === '-ERR' || line.startsWith('-ERR ');
      throw new Pop3Error(
        'Cannot talk to ' + place + ': it greets with "' + found + '", expected +OK of a POP3 server',
        {
          trouble: refused ? 'refused' : 'not-pop3',
          step: 'greeting',
          code: codeOfReply(line),
        },
      );
    },
    run: (command, argument, sink) => ask({ command, argument, sink }),
    runProven,
    outOfStep,
    close() {
      broken ??= {
        error: new Pop3Error('Cannot go on with ' + place + ': the session is closed', {
          trouble: 'lost',
          step: 'close',
        }),
      };
      fail(broken.error);
    },
  };
  return session;
}

/** -ERR is an answer too: the session is in step. */
function passRefusal(error: unknown): string {
  if (error instanceof Pop3Error && error.trouble === 'refused') return error.message;
  throw error;
}

/** A line end in an argument would be a second command. The argument may be a secret and is not shown. */
function checkArgument(command: string, argument: string): void {
  if (!/[\r\n\0]/.test(argument)) return;
  throw new Error('Cannot send ' + command + ': its argument holds a line end or a NUL, expected one line');
}
