// Free ports for servers that cannot take port 0. Test files run as processes of their own, two or more at once: each
// process searches from a block of its own, below the range from which the system gives ports to outgoing connections.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

const lowest = 10_240;
const highest = 32_000;
const blockSize = 64;

/** Asked again, it gives the next port, so that several ports can be asked for before any is used. */
export function createPortFinder(): () => Promise<number> {
  const blocks = Math.floor((highest - lowest) / blockSize);
  let next = lowest + (process.pid % blocks) * blockSize;
  return async () => {
    for (let tries = 0; tries < highest - lowest; tries += 1) {
      const port = next;
      next = next + 1 < highest ? next + 1 : lowest;
      if (await isFree(port)) return port;
    }
    throw new Error(
      'Cannot find a free port: all from ' + lowest + ' to ' + highest + ' are taken, expected a free one',
    );
  };
}

/** Free for TCP and for UDP on the loopback address. */
async function isFree(port: number): Promise<boolean> {
  const tcp = createServer();
  const udp = createSocket('udp4');
  try {
    await once(tcp.listen(port, '127.0.0.1'), 'listening');
    await once(udp.bind(port, '127.0.0.1'), 'listening');
    return true;
  } catch {
    return false;
  } finally {
    if (tcp.listening) await once(tcp.close(), 'close');
    udp.close();
  }
}

/** True when something accepts connections on the loopback port. */
export async function isListening(port: number): Promise<boolean> {
  const socket = connect({ host: '127.0.0.1', port });
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
