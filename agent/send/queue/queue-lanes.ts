// Mails that must not wait behind each other go in lanes of their own.

export type Lane = 0 | 1 | 2;
/** `low`: bounces, other mail without a sender, and probes; they take what people leave. */
export const lanes = { ordinary: 0, big: 1, low: 2 } as const satisfies Readonly<Record<string, Lane>>;

/** At 10 Mbit/s a second on the line. */
export const bigBytes = 1_048_576;

/** The agent's own probes are handed in under this name. */
export const probeUser = '(probe)';

export function laneOf(mail: { readonly sender: string; readonly sizeBytes: number; readonly user?: string }): Lane {
  if (mail.sender === '' || mail.user === probeUser) return lanes.low;
  return mail.sizeBytes >= bigBytes ? lanes.big : lanes.ordinary;
}
