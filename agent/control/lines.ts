// Lines of a stream, one at a time and only when asked for: who sends without end is not read without end.
import type { Readable } from 'node:stream';

/** `too-long`: more than `maxBytes` came without a line end. `end`: the other side is done, or gone. */
export type Line = { readonly kind: 'line'; readonly text: string } | { readonly kind: 'too-long' | 'end' };

/**
 * Reads on after each call; the stream belongs to the reader. A last line without its end counts as a line.
 * After `too-long` the stream is out of step: good for nothing but to be read to its end. Never throws.
 */
export function createLineReader(stream: Readable, maxBytes: number): () => Promise<Line> {
  const chunks = stream.iterator({ destroyOnReturn: false });
  let parts: Buffer[] = [];
  let size = 0;
  let rest: Buffer | undefined;

  function takeLine(): Line {
    const text = Buffer.concat(parts, size).toString('utf8');
    parts = [];
    size = 0;
    return { kind: 'line', text };
  }

  async function nextChunk(): Promise<Buffer | undefined> {
    if (rest !== undefined) {
      const chunk = rest;
      rest = undefined;
      return chunk;
    }
    try {
      const { value, done } = await chunks.next();
      return done === true ? undefined : Buffer.from(value as Uint8Array); // a stream without an encoding gives bytes
    } catch {
      return undefined;
    }
  }

  return async () => {
    for (let chunk = await nextChunk(); chunk !== undefined; chunk = await nextChunk()) {
      const end = chunk.indexOf(0x0a);
      const piece = end < 0 ? chunk : chunk.subarray(0, end);
      if (size + piece.length > maxBytes) {
        parts = [];
        size = 0;
        return { kind: 'too-long' };
      }
      parts.push(piece);
      size += piece.length;
      if (end < 0) continue;
      if (end + 1 < chunk.length) rest = chunk.subarray(end + 1);
      return takeLine();
    }
    return size > 0 ? takeLine() : { kind: 'end' };
  };
}
