import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeQuery, findStranger, maxTcpBytes, maxUdpBytes, readReply } from '../../../agent/probe/dns-message.ts';
import { createDns } from '../../../agent/probe/dns.ts';
import { startDnsServer } from './dns-server.ts';
import { endlessPointers, malformed } from './malformed.ts';

const kinds = Object.entries(malformed);

test('there are 44 kinds of malformed answers, and each is a failure, over a socket', async (t) => {
  assert.equal(kinds.length, 44);
  const server = await startDnsServer(t, {
    udp: (query, { name }) => {
      const forge = kinds[Number(/^k(\d+)\./.exec(name)?.[1])]?.[1];
      return forge === undefined ? [] : [forge(query)];
    },
  });
  const dns = createDns({ resolvers: [server.resolver], timeoutMs: 1_500, tries: 1 });
  const answers = await Promise.all(
    kinds.map(async ([what], n) => ({
      what,
      answer: await dns.ask({ name: 'k' + n + '.example', type: 'A' }, AbortSignal.timeout(30_000)),
    })),
  );
  for (const { what, answer } of answers) assert.equal(answer.kind, 'failed', what);
  const reasons = answers.map(({ answer }) => (answer.kind === 'failed' ? answer.reason : ''));
  assert.ok(reasons.every((reason) => reason === 'timeout' || reason === 'malformed'));
  assert.ok(reasons.filter((reason) => reason === 'malformed').length >= 20);
});

test('a good answer beside them counts', async (t) => {
  const server = await startDnsServer(t, {
    udp: (query) => {
      const strangers = kinds.slice(0, 17).map(([, forge]) => forge(query));
      const good = malformed['bytes behind the last record']?.(query).subarray(0, -4) ?? Buffer.alloc(0);
      return [...strangers, good];
    },
  });
  const dns = createDns({ resolvers: [server.resolver], timeoutMs: 10_000, tries: 1 });
  const answer = await dns.ask({ name: 'name.example', type: 'A' }, AbortSignal.timeout(30_000));
  assert.deepEqual(answer.kind === 'records' && answer.values, ['127.0.0.2']);
});

test('none of them, however large, holds the program for long', () => {
  const question = { name: 'name.example', type: 'A' } as const;
  const query = encodeQuery(7, question);
  const wrongId = endlessPointers(encodeQuery(8, question), 65_507);
  const cases = [
    ...kinds.map(([what, forge]) => ({ what, message: forge(query), limit: maxUdpBytes })),
    { what: '16 KiB of pointers over TCP', message: endlessPointers(query, maxTcpBytes), limit: maxTcpBytes },
    { what: '64 KiB of pointers', message: endlessPointers(query, 65_507), limit: maxUdpBytes },
    { what: '64 KiB with another id', message: wrongId, limit: maxUdpBytes },
  ];
  for (const { what, message, limit } of cases) {
    // Processor time, since a busy machine may take the clock away from us.
    const began = process.cpuUsage();
    if (findStranger(query, message, limit) === undefined) readReply(message, question);
    const { system, user } = process.cpuUsage(began);
    assert.ok(user + system < 50_000, what + ': ' + (user + system) + ' microseconds');
  }
});
