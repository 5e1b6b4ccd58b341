// One HTTP request of which everything is bounded: no redirect is followed (the body holds secrets), the answer has a largest
// size, and the server's certificate may be signed by an authority of one's own, which the built-in fetch cannot be told.
import { request as requestPlain } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { request as requestTls } from 'node:https';

export type FetchOptions = {
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly body?: URLSearchParams | null | undefined;
  readonly signal?: AbortSignal | undefined;
};

const maxAnswerBytes = 65_536;
/** Bodies are not allowed with these; Response refuses them. */
const bodiless = new Set([101, 204, 205, 304]);

/** `ca`: PEM of the authority; those of the system when absent. */
export function boundedFetch(ca: string | undefined) {
  return async (url: string, options: FetchOptions): Promise<Response> => {
    const answer = await ask(new URL(url), options, ca);
    const parts: Buffer[] = [];
    let size = 0;
    for await (const part of answer) {
      const bytes = Buffer.from(part as Uint8Array); // a stream without an encoding gives bytes
      size += bytes.length;
      if (size > maxAnswerBytes) throw new Error('an answer of more than ' + maxAnswerBytes + ' bytes');
      parts.push(bytes);
    }
    const status = answer.statusCode ?? 500;
    const headers = new Headers();
    for (const [name, value] of Object.entries(answer.headers))
      for (const one of [value ?? []].flat()) headers.append(name, one);
    return new Response(bodiless.has(status) ? null : Buffer.concat(parts), { status, headers });
  };
}

function ask(url: URL, options: FetchOptions, ca: string | undefined): Promise<IncomingMessage> {
  const { method, headers, body, signal } = options;
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const bytes = Buffer.from(body?.toString() ?? '');
  const asked = {
    method,
    headers: { ...headers, 'content-length': String(bytes.length) },
    // Each request has a connection of its own: one an hour is not worth keeping one open.
    agent: false,
    ...(signal === undefined ? {} : { signal }),
  } as const;
  const request =
    url.protocol === 'https:'
      ? requestTls(url, { ...asked, minVersion: 'TLSv1.2', ...(ca === undefined ? {} : { ca }) }, resolve)
      : requestPlain(url, asked, resolve);
  request.on('error', reject);
  request.end(bytes);
  return promise;
}
