// The broker library has no limit on the size of a packet: this one reads the lengths that go by (MQTT 3.1.1 section 2.2.3)
// and ends a connection before a packet that is too long is gathered in memory.

/** Gives a listener for the chunks of one connection. */
export function createFrameLimit(options: {
  readonly maxBytes: number;
  readonly onExceeded: () => void;
}): (chunk: Buffer) => void {
  /** Bytes of the current packet that are still to come. */
  let body = 0;
  let inLength = false;
  let length = 0;
  let factor = 1;
  let over = false;

  return (chunk) => {
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
      } else {
        const byte = chunk[index] ?? 0;
        index += 1;
        length += (byte & 127) * factor;
        factor *= 128;
        over = length > options.maxBytes || factor > 128 ** 4;
        if ((byte & 128) === 0) {
          inLength = false;
          body = length;
        }
      }
    }
    if (over) options.onExceeded();
  };
}
