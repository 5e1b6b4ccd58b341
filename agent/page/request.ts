// One request as the page sees it, and its answer. Promise: a body is bounded in size and time, and read only as a form.
import type { IncomingMessage } from 'node:http';

export type PageRequest = {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly query: URLSearchParams;
  readonly form: URLSearchParams;
  readonly header: (name: string) => string | undefined;
  readonly cookie: (name: string) => string | undefined;
  /** Of the connection itself. */
  readonly address: string;
};
export type PageAnswer = {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  /** Sent instead of `body`. */
  readonly file?: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
};

/** Shown to the client as it is. */
export class RequestError extends Error {
  override readonly name = 'RequestError';
  readonly status: 400 | 403 | 404 | 405 | 413 | 415 | 429 | 503;
  constructor(status: RequestError['status'], message: string) {
    super(message);
    this.status = status;
  }
}

const maxBodyBytes = 64 * 1024;

export async function readRequest(incoming: IncomingMessage): Promise<PageRequest> {
  const { method } = incoming;
  if (method !== 'GET' && method !== 'POST') throw new RequestError(405, 'found ' + method + ', expected GET or POST');
  const url = URL.parse(incoming.url ?? '/', 'https://page.invalid');
  if (url === null) throw new RequestError(400, 'found no address, expected one');
  const header = (name: string): string | undefined => {
    const value = incoming.headers[name];
    return Array.isArray(value) ? value[0] : value;
  };
  const cookies = readCookies(header('cookie') ?? '');
  return {
    method,
    path: url.pathname,
    query: url.searchParams,
    form: method === 'POST' ? await readForm(incoming, header('content-type') ?? '') : new URLSearchParams(),
    header,
    cookie: (name) => cookies.get(name),
    address: incoming.socket.remoteAddress ?? '',
  };
}

async function readForm(incoming: IncomingMessage, type: string): Promise<URLSearchParams> {
  if (!/^application\/x-www-form-urlencoded(?:;|$)/i.test(type))
    throw new RequestError(415, 'found another kind of body, expected a form');
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of incoming as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > maxBodyBytes) throw new RequestError(413, 'found more than ' + maxBodyBytes + ' bytes, expected less');
    parts.push(part);
  }
  return new URLSearchParams(Buffer.concat(parts).toString('utf8'));
}

function readCookies(header: string): ReadonlyMap<string, string> {
  const pairs = header
    .slice(0, 4_096)
    .split(';')
    .map((part) => part.trim().split('='));
  return new Map(pairs.map(([name = '', value = '']) => [name, value]));
}

export const redirect = (to: string, headers: PageAnswer['headers'] = {}): PageAnswer => ({
  status: 303,
  type: 'text/plain; charset=utf-8',
  body: '',
  headers: { ...headers, location: to },
});
