// What an error says. Message: "Cannot <act> <what>: <state>, expected <state>". Never a secret.

/** Text of an unknown thrown value, with the causes behind it, for a log field or a one-line report. */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = error.message === '' ? (codeOf(error) ?? error.name) : error.message;
  const first = error instanceof AggregateError ? error.errors[0] : error.cause;
  if (first === undefined || first === null) return own;
  const cause = describe(first);
  return own.includes(cause) ? own : own + ' (' + cause + ')';
}

/** `code` of a Node error such as ECONNREFUSED, if it has one. */
export function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** A person can mend this: shown as its message alone, without a stack. */
export class UserError extends Error {
  override readonly name = 'UserError';
}
