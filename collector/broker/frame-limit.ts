// The broker library has no limit on the size and the number of packets: this one reads the lengths that go by (MQTT 3.1.1
// section 2.2.3) and ends a connection before a packet that is too long is gathered in memory, and one that says far more
// than any agent has to say.

/** Gives a listener for the chunks of one connection. */
export function createFrameLimit(options: {
  readonly maxBytes: number;
  /** Packets a second in the long run, and at once. No limit when absent. */
  readonly packets?: { readonly aSecond: number; readonly atOnce: number; readonly now: () => number };
  readonly onExceeded: () => void;
}): (chunk: Buffer) => void {
  const { maxBytes, packets, onExceeded } = options;
  /** Bytes of the current packet that are still to come. */
  let body = 0;
  let inLength = false;
  let length = 0;
  let factor = 1;
  let over = false;
  let credit = packets?.atOnce ?? Infinity;
  let since = packets?.now() ?? 0;

  function earn(): void {
    if (packets === undefined) return;
    const now = packets.now();
    credit = Math.min(packets.atOnce, credit + ((now - since) * packets.aSecond) / 1_000);
    since = now;
  }

  return (chunk) => {
    earn();
    for (let index = 0; index < chunk.length && !over;) {
      if (body > 0) {
        const step = Math.min(body, chunk.length - index);
        body -= step;
        index += step;
      } else if (!inLength) {
        inLength = true;
        length = 0;
        factor = 1;
        index += 1;
        credit -= 1;
        over = credit < 0;
      } else {
        const byte = chunk[index] ?? 0;
        index += 1;
        length += (byte & 127) * factor;
        factor *= 128;
        over = length > maxBytes || factor > 128 ** 4;
        if ((byte & 128) === 0) {
          inLength = false;
          body = length;
        }
      }
    }
    if (over) onExceeded();
  };
}
