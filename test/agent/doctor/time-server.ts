// An SNTP server (RFC 4330) that is wrong by as much as is wished.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';

const seconds1900 = 2_208_988_800;

/** HOST:PORT. `offsetSeconds`: ahead of this machine. */
export async function startTimeServer(
  owner: { readonly after: (work: () => void) => void },
  offsetSeconds: number,
): Promise<string> {
  const socket = createSocket('udp4');
  owner.after(() => void socket.close());
  socket.on('message', (query, from) => {
    const reply = Buffer.alloc(48);
    reply[0] = 0x24;
    reply[1] = 2;
    query.copy(reply, 24, 40, 48);
    for (const at of [32, 40]) {
      const seconds = Date.now() / 1_000 + offsetSeconds + seconds1900;
      reply.writeUInt32BE(Math.floor(seconds), at);
      reply.writeUInt32BE(Math.floor((seconds % 1) * 2 ** 32), at + 4);
    }
    socket.send(reply, from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return '127.0.0.1:' + socket.address().port;
}
