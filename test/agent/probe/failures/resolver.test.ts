// What a resolver may do to us: nothing but answer, fail, or be late.
import assert from 'node:assert/strict';
import { createDns } from '../../../../agent/probe/dns.ts';
import { waitFor } from '../../../lab/wait.ts';
import { a, answerTo, startDnsServer } from '../dns-server.ts';
import { failure } from './failure.ts';

failure('F21', 'a stray answer is dropped, and the program goes on', async (t) => {
  const server = await startDnsServer(t, {
    udp: (query) => {
      const stray = answerTo(query, { records: [a('127.0.0.66')] });
      stray.writeUInt16BE(stray.readUInt16BE(0) ^ 0x5555, 0);
      const answer = answerTo(query, { records: [a('127.0.0.2')] });
      return [stray, Buffer.alloc(0), Buffer.of(1), Buffer.alloc(2_000, 0xff), answer, answer, stray];
    },
  });
  const dns = createDns({ resolvers: [server.resolver], timeoutMs: 10_000 });
  for (let n = 0; n < 20; n += 1) {
    const answer = await dns.ask({ name: n + '.example', type: 'A' }, AbortSignal.timeout(30_000));
    assert.deepEqual(answer.kind === 'records' && answer.values, ['127.0.0.2']);
  }
});

failure('F22', 'a server that is silent over TCP ends at the deadline, and its sockets are closed', async (t) => {
  const server = await startDnsServer(t, {
    udp: (query) => [answerTo(query, { truncated: true })],
    tcp: () => undefined,
  });
  const sockets = () => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;
  const before = sockets();
  const dns = createDns({ resolvers: [server.resolver], timeoutMs: 150 });
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, n) => dns.ask({ name: n + '.example', type: 'A' }, AbortSignal.timeout(15_000))),
  );
  for (const answer of answers) assert.equal(answer.kind === 'failed' && answer.reason, 'timeout');
  await waitFor('our half of the connections to be closed', () => sockets() <= before + server.askedByTcp.length);
});

failure(
  'F23',
  'a question ends when it was told to, not earlier, and not later for those that keep talking',
  async (t) => {
    const server = await startDnsServer(t, {
      udp: async (query) => {
        const other = answerTo(query);
        other.writeUInt16BE(other.readUInt16BE(0) ^ 1, 0);
        return [other];
      },
    });
    const timeoutMs = 300;
    const dns = createDns({ resolvers: [server.resolver], timeoutMs, tries: 2 });
    const began = performance.now();
    const answer = await dns.ask({ name: 'x.example', type: 'A' }, AbortSignal.timeout(15_000));
    assert.equal(answer.kind === 'failed' && answer.reason, 'timeout');
    // Timers count whole milliseconds.
    assert.ok(performance.now() - began >= 2 * timeoutMs - 5, 'each try has its whole time');
    assert.equal(server.asked.length, 2);
  },
);
