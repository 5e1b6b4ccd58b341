// One question to the agent over its local socket. Bounded in time and size; whatever goes wrong is a value.
import { connect } from 'node:net';
import { codeOf, describe } from '#shared/failure.ts';
import { createLineReader } from '../control/lines.ts';
import { decodeAnswer, encodeRequest, maxAnswerBytes } from '../control/protocol.ts';
import type { Answer, Request } from '../control/protocol.ts';

export type Asked =
  | Answer
  /** nobody: no process listens there. trouble: somebody does, and it did not work. */
  | { readonly ok: undefined; readonly reason: 'nobody' | 'trouble'; readonly text: string };

export async function askAgent(options: {
  readonly path: string;
  readonly request: Request;
  readonly timeoutMs: number;
}): Promise<Asked> {
  const socket = connect(options.path);
  const failure = new Promise<Asked>((resolve) => socket.once('error', (error) => resolve(readError(error))));
  const late = Promise.withResolvers<Asked>();
  const timer = setTimeout(
    () => late.resolve({ ok: undefined, reason: 'trouble', text: 'no answer within ' + options.timeoutMs + ' ms' }),
    options.timeoutMs,
  );
  try {
    return await Promise.race([failure, late.promise, converse()]);
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }

  async function converse(): Promise<Asked> {
    await new Promise<void>((resolve) => socket.once('connect', () => resolve()));
    socket.write(encodeRequest(options.request));
    const line = await createLineReader(socket, maxAnswerBytes + 1)();
    const text = { end: 'the agent closed the connection', 'too-long': 'an answer that is too long' };
    if (line.kind !== 'line') return { ok: undefined, reason: 'trouble', text: text[line.kind] };
    return decodeAnswer(line.text) ?? { ok: undefined, reason: 'trouble', text: 'an answer that is not ours' };
  }
}

function readError(error: unknown): Asked {
  const code = codeOf(error);
  const nobody = code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ENOTSOCK';
  const text = code === 'EACCES' ? 'not allowed for this user; run it as the user of the agent' : describe(error);
  return { ok: undefined, reason: nobody ? 'nobody' : 'trouble', text: nobody ? 'nobody answers' : text };
}
