// Every refusal and failure leaves as {error: {code, message}} with words that say what to do.
import type { FastifyInstance, FastifyReply } from 'fastify';
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';

/** The codes are listed in docs/api.md; a test compares. */
export const errorCodes = {
  'bad-request': 400,
  'login-needed': 401,
  'wrong-origin': 403,
  'not-found': 404,
  'too-large': 413,
  'wrong-host': 421,
  'upgrade-needed': 426,
  'too-many-tries': 429,
  internal: 500,
  'store-failed': 502,
  busy: 503,
  'store-slow': 504,
} as const;
export type ErrorCode = keyof typeof errorCodes;

export class HttpError extends Error {
  override readonly name = 'HttpError';
  readonly code: ErrorCode;
  readonly headers: Readonly<Record<string, string>>;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; headers?: Record<string, string> } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.headers = options.headers ?? {};
  }
}

export function sendError(reply: FastifyReply, code: ErrorCode, message: string): void {
  void reply.code(errorCodes[code]).header('cache-control', 'no-store').send({ error: { code, message } });
}

export function handleErrors(app: FastifyInstance, log: Log): void {
  app.setErrorHandler((error, request, reply) => {
    if (error instanceof HttpError) {
      if (errorCodes[error.code] >= 500) log.warn({ error: describe(error), url: request.url }, 'request failed');
      void reply.headers(error.headers);
      return sendError(reply, error.code, error.message);
    }
    const status = statusOf(error);
    if (status === 413) return sendError(reply, 'too-large', describe(error));
    if (status >= 400 && status < 500) return sendError(reply, 'bad-request', describe(error));
    log.error({ error: describe(error), url: request.url }, 'request failed');
    return sendError(reply, 'internal', 'Cannot answer: an error of the collector; its log says more');
  });
  app.setNotFoundHandler((request, reply) => {
    const what = request.method + ' ' + request.url.slice(0, 200);
    sendError(reply, 'not-found', 'Cannot find ' + what + ': there is no such address; docs/api.md lists them');
  });
}

function statusOf(error: unknown): number {
  if (typeof error !== 'object' || error === null || !('statusCode' in error)) return 500;
  return typeof error.statusCode === 'number' ? error.statusCode : 500;
}
