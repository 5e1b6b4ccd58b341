// Mails for the content check, and scanners that misbehave as real ones will not on demand.
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { once } from 'node:events';
import type { CheckMail } from '../../../agent/receive/check/check.ts';
import type { Lab } from '../../lab/lab.ts';

export function mailOf(text: string | Buffer, more: Partial<CheckMail> = {}): CheckMail {
  const bytes = Buffer.from(text);
  // In pieces, as a temporary file gives them.
  const pieces = function* (): Iterable<Uint8Array> {
    for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
  };
  return {
    body: { open: pieces, sizeBytes: bytes.length },
    from: 'customer@example.net',
    recipients: ['info@example.org', 'sales@example.org'],
    signal: new AbortController().signal,
    ...more,
  };
}

/** Listens and does with a connection as told. Closed with the lab. */
export async function scripted(lab: Lab, serve: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    serve(socket);
  });
  const port = await lab.freePort();
  await once(server.listen(port, '127.0.0.1'), 'listening');
  lab.onStop(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return port;
}
