// Why there is nothing to log in with. Never holds a secret.

export class LoginError extends Error {
  override readonly name = 'LoginError';
  /** true: somebody refused what we have, and would refuse it again; false: it may work next time. */
  readonly refused: boolean;
  constructor(message: string, details: { readonly refused: boolean; readonly cause?: unknown }) {
    super(message, { cause: details.cause });
    this.refused = details.refused;
  }
}
