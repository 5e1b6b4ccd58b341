// The thread of sink.ts: SMTP or LMTP, just enough of it. Answers of one packet leave in one packet, without delay.
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import type { SinkMessage, SinkSetup } from './sink.ts';

const { protocol, counters, tells } = workerData as SinkSetup; // what sink.ts hands in
const view = new BigInt64Array(counters);
const end = Buffer.from('\r\n.\r\n');
const headBytes = 4_096;

function say(message: SinkMessage): void {
  parentPort?.postMessage(message);
}

const server = createServer({ noDelay: true }, serve);
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo; // a TCP server
  say({ kind: 'listening', port });
});

function serve(socket: Socket): void {
  let rest: Buffer = Buffer.alloc(0);
  let head: Buffer = Buffer.alloc(0);
  let inData = false;
  let recipients = 0;
  let size = 0;
  socket.on('error', () => socket.destroy());
  socket.write('220 sink.test\r\n');
  socket.on('data', (chunk: Buffer) => {
    let input = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let answers = '';
    for (;;) {
      if (inData) {
        const at = input.indexOf(end);
        if (tells && head.length < headBytes) head = Buffer.concat([head, input.subarray(0, headBytes)]);
        if (at < 0) {
          // The end may have begun: its first four bytes are kept.
          const used = Math.max(0, input.length - (end.length - 1));
          size += used;
          rest = input.subarray(used);
          break;
        }
        size += at + end.length;
        input = input.subarray(at + end.length);
        answers += '250 2.0.0 taken\r\n'.repeat(protocol === 'lmtp' ? recipients : 1);
        Atomics.add(view, 0, 1n);
        Atomics.add(view, 1, BigInt(size));
        if (tells) tell(head);
        [inData, size, recipients, head] = [false, 0, 0, Buffer.alloc(0)];
        continue;
      }
      const at = input.indexOf('\r\n');
      if (at < 0) {
        rest = input;
        break;
      }
      const line = input.toString('latin1', 0, at);
      input = input.subarray(at + 2);
      const verb = line.slice(0, 4).toUpperCase();
      if (verb === 'DATA') {
        inData = true;
        // The line end before the first byte counts, should the mail be empty.
        input = Buffer.concat([Buffer.from('\r\n'), input]);
      }
      if (verb === 'RCPT') recipients += 1;
      if (verb === 'RSET') recipients = 0;
      answers += answerTo(verb);
      if (verb === 'QUIT') socket.end();
    }
    if (answers !== '' && socket.writable) socket.write(answers);
    else if (answers !== '') socket.end(answers);
  });
}

function answerTo(verb: string): string {
  switch (verb) {
    case 'EHLO':
    case 'LHLO':
      return '250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE 0\r\n';
    case 'DATA':
      return '354 go on\r\n';
    case 'QUIT':
      return '221 2.0.0 bye\r\n';
    default:
      return '250 2.0.0 fine\r\n';
  }
}

function tell(head: Buffer): void {
  const serial = /^X-Bench: (\d+)\r$/m.exec(head.toString('latin1'))?.[1];
  if (serial === undefined) return;
  say({ kind: 'answered', serial: Number(serial), at: performance.timeOrigin + performance.now() });
}
