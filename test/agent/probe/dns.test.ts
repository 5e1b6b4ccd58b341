import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { createDns } from '../../../agent/probe/dns.ts';
import type { DnsAnswer, RecordType } from '../../../agent/probe/dns.ts';
import { encodeQuery, readReply } from '../../../agent/probe/dns-message.ts';
import { waitFor } from '../../lab/wait.ts';
import { a, answerTo, cname, framed, startDnsServer, txt } from './dns-server.ts';
import type { DnsScript, DnsServer } from './dns-server.ts';

const signal = AbortSignal.timeout(60_000);
/** For answers: a busy machine may take its time. Silence is waited for by `briefMs`. */
const timeoutMs = 10_000;
const briefMs = 150;

async function ask(
  t: TestContext,
  script: DnsScript,
  name = 'name.example',
  type: RecordType = 'A',
  limitMs = timeoutMs,
) {
  const server = await startDnsServer(t, script);
  const dns = createDns({ resolvers: [server.resolver], timeoutMs: limitMs });
  return { server, answer: essence(await dns.ask({ name, type }, signal)) };
}
/** Without times to live, which have a test of their own. */
function essence(answer: DnsAnswer) {
  if (answer.kind === 'records') return { kind: answer.kind, values: answer.values };
  return answer.kind === 'none' ? { kind: answer.kind, reason: answer.reason } : answer;
}
/** Of servers of which no answer counts. */
const askInVain = (t: TestContext, script: DnsScript) => ask(t, script, 'name.example', 'A', briefMs);
function failure(answer: DnsAnswer | ReturnType<typeof essence>): string {
  return answer.kind === 'failed' ? answer.reason + ' ' + answer.text.replace(/^.*?: /, '') : answer.kind;
}
const silent: DnsScript = { udp: () => [] };

test('addresses, texts, no name and no record are told apart', async (t) => {
  const records = await ask(t, { udp: (query) => [answerTo(query, { records: [a('127.0.0.2'), a('127.0.0.4')] })] });
  assert.deepEqual(records.answer, { kind: 'records', values: ['127.0.0.2', '127.0.0.4'] });
  const texts = await ask(
    t,
    { udp: (query) => [answerTo(query, { records: [txt('one ', 'text'), txt('two')] })] },
    'x.example',
    'TXT',
  );
  assert.deepEqual(texts.answer, { kind: 'records', values: ['one text', 'two'] });
  assert.deepEqual((await ask(t, { udp: (query) => [answerTo(query, { rcode: 3 })] })).answer, {
    kind: 'none',
    reason: 'nxdomain',
  });
  assert.deepEqual((await ask(t, { udp: (query) => [answerTo(query)] })).answer, { kind: 'none', reason: 'nodata' });
});

test('aliases are followed inside the answer only', async (t) => {
  const values = async (records: Parameters<typeof answerTo>[1]) =>
    (await ask(t, { udp: (query) => [answerTo(query, records)] })).answer;
  assert.deepEqual(
    await values({
      records: [cname('Two.example'), cname('three.example', 'two.EXAMPLE'), a('127.0.0.2', 'three.example')],
    }),
    { kind: 'records', values: ['127.0.0.2'] },
  );
  assert.deepEqual(await values({ records: [cname('two.example')] }), { kind: 'none', reason: 'nodata' });
  assert.deepEqual(await values({ records: [cname('two.example'), a('127.0.0.2', 'other.example')] }), {
    kind: 'none',
    reason: 'nodata',
  });
  assert.equal(
    failure(await values({ records: [a('127.0.0.2', 'other.example')] })),
    'malformed answered with records of another name or type',
  );
  assert.match(failure(await values({ records: [cname('name.example')] })), /a chain of more than 8 aliases/);
});

test('SERVFAIL and REFUSED go on to the next resolver at once, and are failures when there is none', async (t) => {
  for (const [rcode, name] of [
    [2, 'SERVFAIL'],
    [5, 'REFUSED'],
    [1, 'FORMERR'],
    [4, 'NOTIMP'],
    [9, 'RCODE 9'],
  ] as const) {
    const bad = await startDnsServer(t, { udp: (query) => [answerTo(query, { rcode })] });
    const good = await startDnsServer(t, { udp: (query) => [answerTo(query, { records: [a('127.0.0.2')] })] });
    const both = createDns({ resolvers: [bad.resolver, good.resolver], timeoutMs });
    assert.equal((await both.ask({ name: 'x.example', type: 'A' }, signal)).kind, 'records');
    assert.equal(bad.asked.length, 1);
    const alone = createDns({ resolvers: [bad.resolver], timeoutMs });
    assert.equal(failure(await alone.ask({ name: 'x.example', type: 'A' }, signal)), 'rcode ' + name);
  }
});

test('a resolver is asked only when those before it have failed', async (t) => {
  const good = await startDnsServer(t, { udp: (query) => [answerTo(query)] });
  const spare = await startDnsServer(t, silent);
  await createDns({ resolvers: [good.resolver, spare.resolver] }).ask({ name: 'x.example', type: 'A' }, signal);
  assert.equal(spare.asked.length, 0);
});

test('silence is asked twice, with a fresh id and port, and ends in time', async (t) => {
  const { server, answer } = await askInVain(t, silent);
  assert.equal(failure(answer), 'timeout no answer within 150 ms');
  const [first, second, third] = server.asked;
  assert.ok(first && second && !third);
  assert.notEqual(first.port, second.port);
  assert.notEqual(first.id, second.id);
});

test('a second try is answered', async (t) => {
  let count = 0;
  const script: DnsScript = { udp: (query) => ((count += 1) === 1 ? [] : [answerTo(query)]) };
  const { answer } = await ask(t, script, 'name.example', 'A', 1_500);
  assert.equal(answer.kind, 'none');
});

test('a port where nobody listens is told at once', async () => {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  const dns = createDns({ resolvers: [{ address: '127.0.0.1', port, family: 4 }], timeoutMs: 60_000 });
  assert.equal(failure(await dns.ask({ name: 'x.example', type: 'A' }, signal)), 'network ECONNREFUSED');
});

test('no resolver at all is a failure', async () => {
  assert.deepEqual(await createDns({ resolvers: [] }).ask({ name: 'x.example', type: 'A' }, signal), {
    kind: 'failed',
    reason: 'network',
    text: 'no resolver is known',
  });
});

/** Datagrams that are no answer to the query: each must be passed over, and never be "no record". */
const strangers: Readonly<Record<string, (query: Buffer) => Buffer>> = {
  'a message with another id': (query) => flip(answerTo(query), 1, 0x01),
  'a query instead of an answer': (query) => query,
  'a message with another opcode': (query) => flip(answerTo(query), 2, 0x10),
  'an answer to another question': (query) =>
    answerTo(encodeQuery(query.readUInt16BE(0), { name: 'mame.example', type: 'A' })),
  'a message of 5000 bytes': (query) => Buffer.concat([answerTo(query), Buffer.alloc(5_000 - answerTo(query).length)]),
  'a message too short for a header': (query) => answerTo(query).subarray(0, 11),
};
function flip(message: Buffer, index: number, bits: number): Buffer {
  const copy = Buffer.from(message);
  copy.writeUInt8(copy.readUInt8(index) ^ bits, index);
  return copy;
}

for (const [what, forge] of Object.entries(strangers)) {
  test(what + ' is passed over: the true answer counts, and without one it is a timeout', async (t) => {
    const followed = await ask(t, { udp: (query) => [forge(query), answerTo(query, { records: [a('127.0.0.2')] })] });
    assert.deepEqual(followed.answer, { kind: 'records', values: ['127.0.0.2'] });
    const alone = await askInVain(t, { udp: (query) => [forge(query)] });
    assert.equal(failure(alone.answer), 'timeout no answer within 150 ms, only ' + what);
  });
}

test('another type or class in the question is another question; other letter case is the same', async (t) => {
  const other = encodeQuery(0, { name: 'name.example', type: 'TXT' });
  const forged = (query: Buffer) => Buffer.concat([answerTo(query).subarray(0, 12), other.subarray(12)]);
  assert.match(failure((await askInVain(t, { udp: (query) => [forged(query)] })).answer), /another question/);
  const upper = (query: Buffer) => answerTo(encodeQuery(query.readUInt16BE(0), { name: 'NAME.Example', type: 'A' }));
  assert.equal((await ask(t, { udp: (query) => [upper(query)] })).answer.kind, 'none');
});

/** Answers to the query that say nothing reliable: never "no record", never records. */
const malformed: Readonly<Record<string, (query: Buffer) => Buffer>> = {
  'a record that cannot be read': (query) => answerTo(query, { records: [a('127.0.0.2')] }).subarray(0, -1),
  'a record of another class': (query) => answerTo(query, { records: [{ ...a('127.0.0.2'), class: 3 }] }),
  'NXDOMAIN together with records': (query) => answerTo(query, { rcode: 3, records: [a('127.0.0.2')] }),
  'a referral: the server does not resolve': (query) =>
    answerTo(query, { recursive: false, authorities: [{ type: 2, ns: 'ns.example' }] }),
  'more than 64 records': (query) => answerTo(query, { records: Array.from({ length: 65 }, () => a('127.0.0.2')) }),
};
for (const [what, forge] of Object.entries(malformed)) {
  test(what + ' is malformed, not "no record"', async (t) => {
    assert.equal(failure((await ask(t, { udp: (query) => [forge(query)] })).answer), 'malformed answered with ' + what);
  });
}

test('fewer records than announced is malformed', async (t) => {
  const forge = (query: Buffer) => {
    const message = answerTo(query);
    message.writeUInt16BE(1, 6);
    return message;
  };
  assert.match(failure((await ask(t, { udp: (query) => [forge(query)] })).answer), /^malformed/);
});

test('an error without the question counts as an error; "no name" without it does not count at all', async (t) => {
  const forge = (rcode: number) => (query: Buffer) => {
    const message = answerTo(query, { rcode }).subarray(0, 12);
    message.writeUInt16BE(0, 4);
    return [message];
  };
  assert.equal(failure((await ask(t, { udp: forge(1) })).answer), 'rcode FORMERR');
  assert.match(failure((await askInVain(t, { udp: forge(3) })).answer), /^timeout/);
});

test('a cut answer is asked again over TCP, in pieces, over IPv4 and IPv6', async (t) => {
  for (const host of ['127.0.0.1', '::1'] as const) {
    const { answer, server } = await ask(t, {
      host,
      udp: (query) => [answerTo(query, { truncated: true })],
      tcp: (query) => Array.from(framed(answerTo(query, { records: [a('127.0.0.2')] })), (byte) => Buffer.of(byte)),
    });
    assert.deepEqual(answer, { kind: 'records', values: ['127.0.0.2'] });
    assert.equal(server.askedByTcp.length, 1);
  }
});

const cutOff = { udp: (query: Buffer) => [answerTo(query, { truncated: true })] };
const badTcp: readonly (readonly [string, (query: Buffer) => readonly Buffer[] | undefined, RegExp])[] = [
  ['stays silent', () => undefined, /^timeout no answer within 500 ms/],
  [
    'answers with another id',
    (query) => [framed(flip(answerTo(query), 0, 0x80))],
    /^malformed a message with another id over TCP/,
  ],
  ['reflects the query', (query) => [framed(query)], /^malformed a query instead of an answer over TCP/],
  ['announces more than 16 KiB', () => [Buffer.of(0x40, 0x01)], /^malformed an answer of 16385 bytes over TCP/],
  ['announces nothing', () => [Buffer.of(0, 0)], /^malformed a message too short for a header over TCP/],
  ['stops in the middle', (query) => [framed(answerTo(query)).subarray(0, 20)], /^timeout/],
];
for (const [what, tcp, expected] of badTcp) {
  test('a server that ' + what + ' over TCP is a failure in time', async (t) => {
    const limitMs = expected.source.startsWith('^timeout') ? 500 : timeoutMs;
    assert.match(failure((await ask(t, { ...cutOff, tcp }, 'name.example', 'A', limitMs)).answer), expected);
  });
}

test('64 KiB of pointer chains do not stall the program', async (t) => {
  const chain = (id: number) => {
    const message = Buffer.alloc(65_000);
    message.writeUInt16BE(id);
    message.writeUInt16BE(0x8180, 2);
    message.writeUInt16BE(5_000, 6);
    for (let offset = 12; offset + 1 < message.length; offset += 2)
      message.writeUInt16BE(0xc000 | ((offset - 2) & 0x3fff), offset);
    return message;
  };
  const began = process.cpuUsage();
  const { answer } = await ask(t, {
    udp: (query, { id }) => [chain(id), chain(id ^ 1), answerTo(query, { records: [a('127.0.0.2')] })],
  });
  assert.equal(answer.kind, 'records');
  const { system, user } = process.cpuUsage(began);
  assert.ok(user + system < 1_000_000, (user + system) / 1_000 + ' ms of processor time');
});

test('seeded random damage never throws and never invents an answer for another name', () => {
  let seed = 20_251_125;
  const random = (limit: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 0x80000000;
    return Math.floor((seed / 0x80000000) * limit);
  };
  const question = { name: 'name.example', type: 'A' } as const;
  const good = answerTo(encodeQuery(7, question), { records: [cname('two.example'), a('127.0.0.2', 'two.example')] });
  for (let n = 0; n < 20_000; n += 1) {
    const message = Buffer.from(good.subarray(0, 12 + random(good.length - 11)));
    for (let hits = random(5); hits > 0; hits -= 1) message.writeUInt8(random(256), random(message.length));
    const reply = readReply(message, question);
    assert.ok(['records', 'none', 'rcode', 'malformed'].includes(reply.kind));
  }
});

test('names go out as ASCII, and what DNS cannot hold is not asked', async (t) => {
  const { server } = await ask(t, { udp: (query) => [answerTo(query)] }, 'Bücher.Example.');
  assert.equal(server.asked[0]?.name, 'xn--bcher-kva.example');
  const bad = await ask(t, silent, 'x'.repeat(64) + '.example');
  assert.equal(failure(bad.answer), 'name a name that DNS cannot hold');
  assert.equal(bad.server.asked.length, 0);
});

test('at most 32 questions are in flight, and all are answered', async (t) => {
  let inFlight = 0;
  let most = 0;
  const held: (() => void)[] = [];
  const server = await startDnsServer(t, {
    udp: async (query, { name }) => {
      if (name === 'marker.example') return [answerTo(query)];
      inFlight += 1;
      most = Math.max(most, inFlight);
      await new Promise<void>((resolve) => held.push(resolve));
      inFlight -= 1;
      return [answerTo(query)];
    },
  });
  const dns = createDns({ resolvers: [server.resolver], timeoutMs: 10_000, maxInFlight: 1_000 });
  const all = Promise.all(Array.from({ length: 50 }, (_, n) => dns.ask({ name: n + '.example', type: 'A' }, signal)));
  await waitFor('32 questions to be held', () => held.length >= 32);
  // What was sent beyond them has come before this one.
  await createDns({ resolvers: [server.resolver], timeoutMs }).ask({ name: 'marker.example', type: 'A' }, signal);
  let answered = false;
  void all.then(() => (answered = true));
  await waitFor('all to be answered', () => {
    for (const release of held.splice(0)) release();
    return answered;
  });
  assert.equal(most, 32);
  assert.ok((await all).every((answer) => answer.kind === 'none'));
});

test('an aborted signal ends all questions at once and closes their sockets', async (t) => {
  const server: DnsServer = await startDnsServer(t, { ...silent, tcp: () => undefined });
  const before = openSockets();
  const stop = new AbortController();
  const dns = createDns({ resolvers: [server.resolver, server.resolver], timeoutMs: 30_000 });
  const all = Array.from({ length: 40 }, (_, n) => dns.ask({ name: n + '.example', type: 'A' }, stop.signal));
  await waitFor('questions to be under way', () => server.asked.length >= 32);
  assert.ok(openSockets() >= before + 4);
  stop.abort();
  for (const answer of await Promise.all(all)) assert.equal(failure(answer), 'stopped stopped');
  await waitFor('the sockets to be closed', () => openSockets() <= before);
});

/** Open files of this process, as the system counts them. */
function openSockets(): number {
  return readdirSync('/proc/self/fd').length;
}
