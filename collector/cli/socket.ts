// The socket by which the command line reaches the collector: HTTP on a unix socket in the state folder, which only its owner
// may open. Promise: a request is small, has an end, and cannot hold up the collector.
import { chmodSync, rmSync } from 'node:fs';
import { createServer, request as httpRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { UserError, codeOf, describe } from '#shared/failure.ts';
import { isRecord, parseJson } from '#shared/json.ts';
import type { Log } from '#shared/log.ts';
import type { Verb, VerbRequest } from './verbs.ts';

const maxBytes = 65_536;
const maxAnswerBytes = 16 * 1024 * 1024;
const maxWaitMs = 25 * 3_600_000;
/** unix(7): sun_path has 108 bytes with its final zero. */
const maxPathBytes = 107;

export type Socket = { readonly start: () => Promise<void>; readonly stop: () => Promise<void> };
export type Asked = {
  readonly verb: string;
  readonly words: readonly string[];
  readonly options: VerbRequest['options'];
};

export const socketPath = (stateFolder: string): string => join(stateFolder, 'collector.sock');

/** The folder is locked by the caller: a file that stands there is that of a dead process. */
export function createSocket(options: {
  readonly path: string;
  readonly verbs: ReadonlyMap<string, Verb>;
  readonly log: Log;
}): Socket {
  const { path, verbs, log } = options;
  const stopping = new AbortController();
  const server = createServer({ requestTimeout: 10_000 }, (request, response) => {
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    void answerTo(request, AbortSignal.any([gone.signal, stopping.signal])).then((answer) => {
      response.writeHead(200, { 'content-type': 'application/json', connection: 'close' }).end(JSON.stringify(answer));
    });
  });
  server.maxConnections = 16;

  async function answerTo(request: IncomingMessage, signal: AbortSignal): Promise<unknown> {
    try {
      const { verb, words, options: given } = decode(await readBody(request, maxBytes));
      const found = verbs.get(verb);
      if (found === undefined)
        throw new UserError('Cannot do ' + JSON.stringify(verb) + ', expected one of ' + [...verbs.keys()].join(', '));
      return { lines: await found.run({ words, options: given, signal }) };
    } catch (error) {
      if (!(error instanceof UserError)) log.error({ error: describe(error) }, 'a request of the command line failed');
      return { problem: describe(error) };
    }
  }

  return {
    async start() {
      if (Buffer.byteLength(path) > maxPathBytes)
        throw new UserError(
          'Cannot listen at ' +
            path +
            ': its path is too long, expected at most ' +
            maxPathBytes +
            ' bytes; choose a shorter state folder',
        );
      rmSync(path, { force: true });
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      server.once('error', reject);
      server.listen(path, resolve);
      await promise;
      chmodSync(path, 0o600);
      server.on('error', () => {});
    },
    async stop() {
      stopping.abort();
      const closed = new Promise<void>((resolve) => (server.listening ? server.close(() => resolve()) : resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

/** Asks a running collector. Throws UserError with what it said, or when it cannot be reached. */
export async function ask(path: string, asked: Asked): Promise<readonly string[]> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const request = httpRequest({ socketPath: path, method: 'POST', path: '/', signal: AbortSignal.timeout(maxWaitMs) });
  request.on('response', resolve).on('error', reject);
  request.end(JSON.stringify(asked));
  const text = await promise
    .then((response) => readBody(response, maxAnswerBytes))
    .catch((error: unknown) => {
      const found =
        codeOf(error) === 'ENOENT' || codeOf(error) === 'ECONNREFUSED' ? 'it does not run' : describe(error);
      throw new UserError(
        'Cannot reach the collector at ' + path + ': ' + found + ', expected it to run with this configuration',
        { cause: error },
      );
    });
  const answer = parseJson(text);
  if (isRecord(answer) && typeof answer['problem'] === 'string') throw new UserError(answer['problem']);
  if (isRecord(answer) && isTexts(answer['lines'])) return answer['lines'];
  throw new UserError('Cannot read the answer of the collector, expected one of the same version');
}

function decode(text: string): Asked {
  const value = parseJson(text);
  const options = isRecord(value) ? value['options'] : undefined;
  if (!isRecord(value) || typeof value['verb'] !== 'string' || !isTexts(value['words']) || !isRecord(options))
    throw new UserError('Cannot read the request, expected verb, words and options');
  const given: Record<string, string> = {};
  for (const [name, text] of Object.entries(options)) if (typeof text === 'string') given[name] = text;
  return { verb: value['verb'], words: value['words'], options: given };
}

const isTexts = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((one) => typeof one === 'string');

async function readBody(message: IncomingMessage, limit: number): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of message) {
    const part = Buffer.from(chunk as Uint8Array); // no encoding is set
    bytes += part.length;
    if (bytes > limit) throw new UserError('Cannot read the request: more than ' + limit + ' bytes, expected less');
    chunks.push(part);
  }
  return Buffer.concat(chunks).toString('utf8');
}
