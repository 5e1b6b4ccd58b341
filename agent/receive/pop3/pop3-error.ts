// What can go wrong in a POP3 session, sorted by what it means for the account. Never holds a secret.

/** RFC 2449 section 8, RFC 3206: what a server may put in front of the text of -ERR. */
export const responseCodes = ['IN-USE', 'LOGIN-DELAY', 'AUTH', 'SYS/TEMP', 'SYS/PERM'] as const;
export type ResponseCode = (typeof responseCodes)[number];

export type Pop3Trouble =
  | 'not-pop3' // what answers there does not greet like a POP3 server
  | 'no-stls' // TLS is asked for and the server does not offer it
  | 'no-login' // the server offers no login that the configuration allows
  | 'refused' // a well-formed -ERR; the session goes on
  | 'out-of-step' // the answers do not fit the questions any more: nothing of this session can be trusted
  | 'lost' // the connection broke
  | 'timeout' // no answer, or no progress
  | 'stopped'; // we were told to stop

/** Every trouble but `refused` is the end of the session. */
export class Pop3Error extends Error {
  override readonly name = 'Pop3Error';
  readonly trouble: Pop3Trouble;
  /** The command or step at which it happened, without arguments. */
  readonly step: string;
  readonly code: ResponseCode | undefined;
  /** With [LOGIN-DELAY]: so long no login may be tried; else 0. */
  readonly loginDelaySeconds: number;
  constructor(
    message: string,
    details: {
      readonly trouble: Pop3Trouble;
      readonly step: string;
      readonly code?: ResponseCode | undefined;
      readonly cause?: unknown;
      readonly loginDelaySeconds?: number;
    },
  ) {
    super(message, { cause: details.cause });
    this.trouble = details.trouble;
    this.step = details.step;
    this.code = details.code;
    this.loginDelaySeconds = details.loginDelaySeconds ?? 0;
  }
}

export function codeOfReply(line: string): ResponseCode | undefined {
  const found = /^-ERR \[([^\]]*)\]/.exec(line)?.[1]?.toUpperCase();
  return responseCodes.find((code) => found === code || found?.startsWith(code + ' '));
}

const maxShown = 160;

/** A server's words for an error or a log: one short line; a password that the server repeats is taken out. */
export function quoteReply(line: string, secrets: readonly string[]): string {
  let text = line;
  // The longest first: one may be part of another.
  for (const secret of [...secrets].sort((a, b) => b.length - a.length)) {
    if (secret === '') continue;
    // The line is latin1, the secret went out as UTF-8.
    for (const form of [secret, Buffer.from(secret).toString('latin1')]) text = text.replaceAll(form, '***');
  }
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]+/g, ' ').slice(0, maxShown);
}
