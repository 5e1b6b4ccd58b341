// A cap on the bytes per second of all sessions of a relay together, so that mail leaves room on a slow line.
import type { Clock } from '#shared/clock.ts';
import type { Body } from '../../smtp/conversation.ts';

export type Bandwidth = { readonly capped: (body: Body, signal: AbortSignal) => Body };

/** So long a single piece is on its way: servers wait for minutes, and other sessions get their turn. */
const pieceSeconds = 0.5;

export function createBandwidth(options: {
  readonly bytesPerSecond: number | undefined;
  readonly clock: Pick<Clock, 'monotonic' | 'sleep'>;
}): Bandwidth {
  const { bytesPerSecond, clock } = options;
  if (bytesPerSecond === undefined) return { capped: (body) => body };
  const pieceBytes = Math.max(1_024, Math.floor(bytesPerSecond * pieceSeconds));
  let freeAt = 0;

  async function turn(bytes: number, signal: AbortSignal): Promise<void> {
    const now = clock.monotonic();
    const startAt = Math.max(now, freeAt);
    freeAt = startAt + (bytes / (bytesPerSecond ?? Infinity)) * 1_000;
    if (startAt > now) await clock.sleep(startAt - now, signal);
  }

  async function* slow(source: ReturnType<Body['open']>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    for await (const chunk of source)
      for (let start = 0; start < chunk.length; start += pieceBytes) {
        const piece = chunk.subarray(start, start + pieceBytes);
        await turn(piece.length, signal);
        yield piece;
      }
  }

  return { capped: (body, signal) => ({ ...body, open: () => slow(body.open(), signal) }) };
}
