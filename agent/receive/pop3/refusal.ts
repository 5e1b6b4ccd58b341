// -ERR is an answer, not the end of a session; everything else that a POP3 session throws is.
import { Pop3Error } from './pop3-error.ts';

export function isRefusal(error: unknown): error is Pop3Error {
  return error instanceof Pop3Error && error.trouble === 'refused';
}

/** Only -ERR is passed over. */
export function passRefusal<T>(error: unknown, instead: T): T {
  if (isRefusal(error)) return instead;
  throw error;
}
