// From a TCP connection to the point where TLS begins, in the words of the protocol. Sends nothing secret; every wait bounded.
import type { Socket } from 'node:net';

export type Protocol = 'smtp' | 'pop3' | 'imap';
export type Dialog = {
  /** The server's first line; empty when TLS begins at once. */
  readonly greeting: string;
};

const maxBytes = 16_384;
const maxLines = 200;

type Step = { readonly command?: string; readonly ends: RegExp; readonly good: RegExp };
const steps: Readonly<Record<Protocol, readonly Step[]>> = {
  smtp: [
    { ends: /^\d{3}(?: |$)/, good: /^220/ },
    { command: 'EHLO localhost', ends: /^\d{3}(?: |$)/, good: /^250/ },
    { command: 'STARTTLS', ends: /^\d{3}(?: |$)/, good: /^220/ },
  ],
  pop3: [
    { ends: /^/, good: /^\+OK/ },
    { command: 'STLS', ends: /^/, good: /^\+OK/ },
  ],
  imap: [
    { ends: /^/, good: /^\* OK/ },
    { command: 'a STARTTLS', ends: /^a /, good: /^a OK/ },
  ],
};

/** Throws when the server refuses or says something else. The socket is paused and unread afterwards. */
export async function askForTls(socket: Socket, protocol: Protocol, deadline: AbortSignal): Promise<Dialog> {
  const lines = createLines(socket, deadline);
  try {
    let greeting: string | undefined;
    for (const { command, ends, good } of steps[protocol]) {
      if (command !== undefined) socket.write(command + '\r\n');
      let line = await lines.next();
      for (let n = 0; !ends.test(line) && n < maxLines; n += 1) line = await lines.next();
      greeting ??= line;
      if (!good.test(line))
        throw new Error(
          (command === undefined ? 'its greeting is ' : 'it answers ' + command + ' with ') + line.slice(0, 200),
        );
    }
    return { greeting: greeting ?? '' };
  } finally {
    lines.release();
  }
}

function createLines(socket: Socket, deadline: AbortSignal) {
  let text = '';
  let failure: Error | undefined;
  let wake = (): void => {};
  const onData = (chunk: Buffer): void => {
    text += chunk.toString('latin1');
    if (text.length > maxBytes) failure = new Error('it says too much before TLS');
    wake();
  };
  const onEnd = (): void => {
    failure ??= new Error('it closed the connection before TLS');
    wake();
  };
  const onAbort = (): void => {
    failure ??= new Error('it does not answer in time');
    wake();
  };
  socket.on('data', onData).on('end', onEnd).on('close', onEnd);
  deadline.addEventListener('abort', onAbort, { once: true });
  if (deadline.aborted) onAbort();
  return {
    async next(): Promise<string> {
      for (;;) {
        const end = text.indexOf('\n');
        if (end >= 0) {
          const line = text.slice(0, end).replace(/\r$/, '');
          text = text.slice(end + 1);
          return line;
        }
        if (failure !== undefined) throw failure;
        await new Promise<void>((resolve) => (wake = resolve));
      }
    },
    release(): void {
      socket.pause();
      socket.off('data', onData).off('end', onEnd).off('close', onEnd);
      deadline.removeEventListener('abort', onAbort);
    },
  };
}

/** Some servers say what time it is (Exim, Exchange). Milliseconds since 1970. */
export function timeIn(greeting: string): number | undefined {
  const found = /\w{3}, ?\d{1,2} \w{3} \d{4} \d{2}:\d{2}:\d{2} (?:[+-]\d{4}|GMT|UTC)/.exec(greeting)?.[0];
  const at = found === undefined ? NaN : Date.parse(found);
  return Number.isNaN(at) ? undefined : at;
}
