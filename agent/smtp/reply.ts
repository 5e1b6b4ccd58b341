// What a server answers: read byte by byte, bounded, and nothing that is not an SMTP reply is taken for one.

export type Reply = {
  readonly code: number;
  /** Enhanced status such as `5.1.1` (RFC 3463), when the server gave one that fits the code. */
  readonly enhanced: string | undefined;
  /** All lines without their code, joined by `\n`; the last one carries the reason at many providers. */
  readonly text: string;
};
