// The order of questions and answers in one POP3 session.
// Promises: an answer is exactly +OK or -ERR, else the session is over; a mail counts as read only when the answer after it
// fits too (a server that does not stuff dots ends a mail early and goes on with its rest).
import { Pop3Error, codeOfReply, quoteReply } from './pop3-error.ts';
import type { Sink, Wire } from './wire.ts';

export type Session = {
  pipelining: boolean;
  /** The greeting line. */
  readonly greeting: () => Promise<string>;
  /** Sends a command when its turn has come, gives its +OK line; with a sink, the data after it too. */
  readonly run: (command: string, argument?: string, sink?: Sink) => Promise<string>;
  /** AUTH (RFC 5034): `respond` gives the line that answers a challenge, the text after `+ `; `n` counts from 0. */
  readonly authenticate: (command: string, argument: string | undefined, respond: Respond) => Promise<string>;
  /** The same as run(), and waits until the next answer shows that the session is in step. */
  readonly runProven: (command: string, argument: string, sink: Sink) => Promise<void>;
  readonly outOfStep: (step: string, line: string, expected: string) => Pop3Error;
  readonly close: () => void;
};

export type Respond = (challenge: string, n: number) => string;

type Request = {
  readonly command: string;
  readonly argument?: string | undefined;
  readonly sink?: Sink | undefined;
  readonly respond?: Respond;
  readonly proof?: Proof;
};
type Proof = { readonly resolve: () => void; readonly reject: (error: unknown) => void };

/** PLAIN needs one, LOGIN two, XOAUTH2 two when it is refused. */
const maxChallenges = 3;

export function createSession(wire: Wire, place: string, secrets: readonly string[]): Session {
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
  async function status(step: string, respond?: Respond): Promise<string> {
    let line = await wire.status(step);
    if (respond !== undefined) {
      for (let n = 0; n < maxChallenges && /^\+(?: |$)/.test(line); n += 1) {
        wire.write(respond(line.slice(2), n));
        line = await wire.status(step);
      }
    }
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
    const { command, sink, respond } = request;
    if (broken !== undefined) throw broken.error;
    try {
      if (!early) send(request);
      const line = await status(command, respond);
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
      if (line === '+OK' || line.startsWith('+OK ')) return line;
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
    authenticate: (command, argument, respond) => ask({ command, argument, respond }),
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
export function checkArgument(command: string, argument: string): void {
  if (!/[\r\n\0]/.test(argument)) return;
  throw new Error('Cannot send ' + command + ': its argument holds a line end or a NUL, expected one line');
}
