// Kinds of records, times to live, the cache, and how sockets are used again.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { createDnsCache } from '../../../agent/probe/dns-cache.ts';
import type { Known } from '../../../agent/probe/dns-cache.ts';
import { findBadName } from '../../../agent/probe/dns-chains.ts';
import { encodeQuery, maxTcpBytes, readReply } from '../../../agent/probe/dns-message.ts';
import type { RecordType } from '../../../agent/probe/dns-message.ts';
import { createDns } from '../../../agent/probe/dns.ts';
import { pointerName } from '../../../agent/probe/names.ts';
import { waitFor } from '../../lab/wait.ts';
import { a, answerTo, cname, startDnsServer } from './dns-server.ts';
import type { Answer } from './dns-server.ts';

const signal = AbortSignal.timeout(60_000);
const soa = {
  type: 6,
  primary: 'ns.example',
  admin: 'hostmaster.example',
  serial: 7,
  refresh: 600,
  retry: 300,
  expiration: 86_400,
  minimum: 30,
};

async function ask(t: TestContext, type: RecordType, answer: Answer) {
  const server = await startDnsServer(t, { udp: (query) => [answerTo(query, answer)] });
  return createDns({ resolvers: [server.resolver] }).ask({ name: 'name.example', type }, signal);
}

/** type, records, values */
const kinds: readonly (readonly [RecordType, NonNullable<Answer['records']>, readonly string[]])[] = [
  ['A', [a('192.0.2.1'), a('192.0.2.2')], ['192.0.2.1', '192.0.2.2']],
  ['AAAA', [{ type: 28, address: '2001:db8:0:0:0:0:0:1' }], ['2001:db8::1']],
  ['MX', [{ type: 15, priority: 10, exchange: 'MX.Example.org' }], ['10 mx.example.org']],
  ['MX', [{ type: 15, priority: 0, exchange: '' }], ['0 .']],
  ['NS', [{ type: 2, ns: 'ns1.example.org' }], ['ns1.example.org']],
  ['PTR', [{ type: 12, domain: 'mail.example.org' }], ['mail.example.org']],
  ['CNAME', [cname('other.example.org')], ['other.example.org']],
  ['SOA', [soa], ['ns.example hostmaster.example 7 600 300 86400 30']],
  ['TXT', [{ type: 16, data: ['v=DKIM1; p=', 'abc'] }], ['v=DKIM1; p=abc']],
];
for (const [type, records, values] of kinds) {
  test(type + ' records are read: ' + values.join(', '), async (t) => {
    assert.deepEqual(await ask(t, type, { records }), { kind: 'records', values, ttlSeconds: 60, ageMs: 0 });
  });
}

test('where an address has its PTR record', () => {
  assert.equal(pointerName('192.0.2.1'), '1.2.0.192.in-addr.arpa');
  assert.equal(pointerName('2001:db8::1'), '1.' + '0.'.repeat(23) + '8.b.d.0.1.0.0.2.ip6.arpa');
  assert.equal(pointerName('nas.example'), undefined);
});

test('the shortest time to live of records and aliases counts; of "no" the lesser one of SOA and its minimum', async (t) => {
  const ttl = async (answer: Answer) => {
    const got = await ask(t, 'A', answer);
    return got.kind === 'failed' ? got : got.ttlSeconds;
  };
  assert.equal(
    await ttl({
      records: [
        { ...a('192.0.2.1'), ttl: 90 },
        { ...a('192.0.2.2'), ttl: 20 },
      ],
    }),
    20,
  );
  const alias = { ...cname('two.example'), ttl: 5 };
  assert.equal(await ttl({ records: [alias, { ...a('192.0.2.1', 'two.example'), ttl: 90 }] }), 5);
  assert.equal(await ttl({ rcode: 3, authorities: [{ ...soa, ttl: 3_600 }] }), 30);
  assert.equal(await ttl({ authorities: [{ ...soa, ttl: 10 }] }), 10);
  assert.equal(await ttl({ rcode: 3 }), 0);
});

function createCache(limits: { minSeconds: number; maxSeconds: number; maxEntries?: number }) {
  let now = 0;
  const cache = createDnsCache({ clock: { monotonic: () => now }, ...limits });
  return { cache, pass: (seconds: number) => void (now += seconds * 1_000) };
}
const records = (ttlSeconds: number): Known => ({ kind: 'records', values: ['127.0.0.2'], ttlSeconds });

test('an answer is kept for its time to live, within limits, and tells its age', () => {
  const { cache, pass } = createCache({ minSeconds: 10, maxSeconds: 100 });
  cache.put('short', records(1));
  cache.put('usual', records(50));
  cache.put('long', records(9_999));
  pass(9);
  assert.deepEqual(cache.get('usual'), { ...records(50), ageMs: 9_000 });
  assert.ok(cache.get('short'));
  pass(1);
  assert.equal(cache.get('short'), undefined);
  pass(40);
  assert.equal(cache.get('usual'), undefined);
  assert.ok(cache.get('long'));
  pass(50);
  assert.equal(cache.get('long'), undefined);
  assert.equal(cache.size(), 0);
});

test('a cache without a lower limit keeps nothing of which the server says nothing, and its size is bounded', () => {
  const { cache } = createCache({ minSeconds: 0, maxSeconds: 100, maxEntries: 3 });
  cache.put('none', { kind: 'none', reason: 'nxdomain', ttlSeconds: 0 });
  assert.equal(cache.size(), 0);
  for (const key of ['a', 'b', 'c', 'a', 'd']) cache.put(key, records(50));
  assert.equal(cache.size(), 3);
  assert.equal(cache.get('b'), undefined, 'the oldest goes first');
  assert.ok(cache.get('a') && cache.get('c') && cache.get('d'));
});

test('what one resolver said is not told for another one, and failures are asked again', async (t) => {
  const first = await startDnsServer(t, {
    udp: (query, { name, type }) => [
      answerTo(query, name === 'bad.example' ? { rcode: 2 } : type === 1 ? { records: [a('127.0.0.2')] } : {}),
    ],
  });
  const second = await startDnsServer(t, { udp: (query) => [answerTo(query, { rcode: 3 })] });
  const { cache } = createCache({ minSeconds: 10, maxSeconds: 100 });
  const dns = createDns({ resolvers: [first.resolver, second.resolver], cache });
  const question = { name: 'x.example', type: 'A' } as const;
  for (let n = 0; n < 3; n += 1) assert.equal((await dns.ask(question, signal)).kind, 'records');
  assert.equal(first.asked.length, 1);
  for (let n = 0; n < 3; n += 1) assert.equal((await dns.ask(question, signal, [second.resolver])).kind, 'none');
  assert.equal(second.asked.length, 1);
  await dns.ask({ name: 'x.example', type: 'TXT' }, signal);
  await dns.ask({ name: 'X.Example.', type: 'A' }, signal);
  assert.equal(first.asked.length, 2, 'another type is another question, other letters are not');
  for (let n = 0; n < 2; n += 1) await dns.ask({ name: 'bad.example', type: 'A' }, signal, [first.resolver]);
  assert.equal(first.asked.length, 4);
});

test('a port carries a few questions at once, none after silence, and not for ever', async (t) => {
  const open = new Map<number, number>();
  let most = 0;
  const server = await startDnsServer(t, {
    udp: async (query, { name, port }) => {
      open.set(port, (open.get(port) ?? 0) + 1);
      most = Math.max(most, open.get(port) ?? 0);
      await new Promise((resolve) => setImmediate(resolve));
      open.set(port, (open.get(port) ?? 0) - 1);
      return name.startsWith('silent') ? [] : [answerTo(query)];
    },
  });
  const patient = createDns({ resolvers: [server.resolver], timeoutMs: 30_000, maxInFlight: 16, tries: 1 });
  await Promise.all(Array.from({ length: 1_200 }, (_, n) => patient.ask({ name: n + '.example', type: 'A' }, signal)));
  const uses = () => Map.groupBy(server.asked, ({ port }) => port);
  assert.ok(uses().size < 100, uses().size + ' ports for 1200 questions');
  assert.ok([...uses().values()].every((asked) => asked.length <= 256));
  assert.ok(most <= 8, most + ' questions at once on one port');
  const brief = createDns({ resolvers: [server.resolver], timeoutMs: 100, tries: 1 });
  const ask = (name: string) => brief.ask({ name, type: 'A' }, signal);
  for (let n = 0; n < 3; n += 1) {
    assert.equal((await ask('silent' + n + '.example')).kind, 'failed');
    const silent = server.asked.at(-1)?.port;
    await ask('after' + n + '.example');
    assert.notEqual(server.asked.at(-1)?.port, silent);
  }
});

test('a late answer to an earlier question is not taken for the next one on the same port', async (t) => {
  let held: Buffer | undefined;
  const server = await startDnsServer(t, {
    udp: (query, { name }) => {
      const answer = answerTo(query, { records: [a(name === 'one.example' ? '127.0.0.2' : '127.0.0.3')] });
      if (name === 'one.example') {
        held = answer;
        return [answer];
      }
      return [held ?? answer, answer];
    },
  });
  const dns = createDns({ resolvers: [server.resolver], timeoutMs: 10_000 });
  await dns.ask({ name: 'one.example', type: 'A' }, signal);
  const second = await dns.ask({ name: 'two.example', type: 'A' }, signal);
  assert.deepEqual(second.kind === 'records' && second.values, ['127.0.0.3']);
  assert.equal(server.asked[0]?.port, server.asked[1]?.port);
});

test('a resolver that goes away while a port of ours is idle does no harm', async (t) => {
  const script = { udp: (query: Buffer) => [answerTo(query)] };
  let stop = async (): Promise<void> => {};
  const server = await startDnsServer({ after: (work) => void (stop = work) }, script);
  const dns = createDns({ resolvers: [server.resolver], timeoutMs: 10_000 });
  assert.equal((await dns.ask({ name: 'x.example', type: 'A' }, signal)).kind, 'none');
  await stop();
  const answer = await dns.ask({ name: 'y.example', type: 'A' }, signal);
  assert.equal(answer.kind === 'failed' && answer.reason, 'network');
  t.diagnostic(answer.kind);
});

/** An answer of so many bytes in which each record's name goes through a chain of pointers. */
function chain(bytes: number, question: { readonly name: string; readonly type: RecordType }): Buffer {
  const query = encodeQuery(7, question);
  const message = Buffer.alloc(bytes);
  query.copy(message);
  message.writeUInt16BE(0x8180, 2);
  const records = 64;
  for (const section of [6, 8, 10]) message.writeUInt16BE(records, section);
  let offset = query.length;
  const end = bytes - records * 3 * 12;
  // One record whose data are pointers, each to the one before it; the others are named by the last of them.
  message.writeUInt16BE(0xc00c, offset);
  message.writeUInt16BE(99, offset + 2);
  message.writeUInt16BE(1, offset + 4);
  message.writeUInt16BE(end - offset - 12, offset + 10);
  offset += 12;
  let before = 12;
  for (; offset + 1 < end; offset += 2) {
    message.writeUInt16BE(0xc000 | before, offset);
    before = offset;
  }
  for (let n = 1; n < records * 3; n += 1, offset += 12) {
    message.writeUInt16BE(0xc000 | before, offset);
    message.writeUInt16BE(99, offset + 2);
    message.writeUInt16BE(1, offset + 4);
  }
  return message;
}

test('names of endless pointers are malformed and cost next to nothing', () => {
  const question = { name: 'name.example', type: 'A' } as const;
  const message = chain(maxTcpBytes, question);
  const began = process.cpuUsage();
  assert.deepEqual(readReply(message, question), { kind: 'malformed', text: 'a name of endless pointers' });
  const { user, system } = process.cpuUsage(began);
  assert.ok(user + system < 50_000, user + system + ' microseconds');
});

test('names are walked to their end whatever is cut, and those of real answers pass', () => {
  const query = encodeQuery(7, { name: 'name.example', type: 'A' });
  const good = answerTo(query, { records: [cname('two.example'), a('127.0.0.2', 'two.example')], authorities: [soa] });
  assert.equal(findBadName(good, 3), undefined);
  for (let length = 12; length < good.length; length += 1)
    assert.equal(findBadName(good.subarray(0, length), 3), 'a record that cannot be read', String(length));
  assert.equal(findBadName(good, 4), 'a record that cannot be read');
});

test('idle ports are closed', async (t) => {
  const server = await startDnsServer(t, { udp: (query) => [answerTo(query)] });
  const dns = createDns({ resolvers: [server.resolver] });
  const sockets = () => process.getActiveResourcesInfo().filter((name) => name === 'UDPWRAP').length;
  const before = sockets();
  await Promise.all(Array.from({ length: 20 }, (_, n) => dns.ask({ name: n + '.example', type: 'A' }, signal)));
  await waitFor('our sockets to be closed', () => sockets() <= before);
});
