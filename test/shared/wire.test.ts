import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPoint } from '#shared/meter.ts';
import { filterOf, parseTopic, topicOf } from '#shared/topics.ts';
import {
  decodeAck,
  decodeBatch,
  decodeStatus,
  encodeAck,
  encodeBatch,
  encodeStatus,
  maxMessageBytes,
} from '#shared/wire.ts';

const bytes = (text: string): Buffer => Buffer.from(text);
const outbox = 'outbox-1234';
const point = createPoint('queue', 1_700_000_000_000, {}, { depth: 3, oldest_seconds: 12.5, held: 0, unknown: 0 });

test('a batch comes out of the wire as it went in', () => {
  const batch = { outbox, seq: 7, oldest: 5, at: 1_700_000_000_500, points: [point] };
  assert.deepEqual(decodeBatch(bytes(encodeBatch(batch))), { ok: true, value: batch, dropped: 0 });
});

test('status and acknowledgement come out of the wire as they went in', () => {
  const status = { state: 'online' as const, connection: 'connection-1', at: 5, version: '0.1.0' };
  assert.deepEqual(decodeStatus(bytes(encodeStatus(status))), { ok: true, value: { v: 1, ...status }, dropped: 0 });
  assert.deepEqual(decodeAck(bytes(encodeAck({ outbox, seq: 9 }))), {
    ok: true,
    value: { v: 1, outbox, seq: 9 },
    dropped: 0,
  });
});

const raw = (points: unknown): Buffer => bytes(JSON.stringify({ v: 1, outbox, seq: 1, oldest: 1, at: 1, points }));
const poison: readonly (readonly [what: string, payload: Buffer])[] = [
  ['nothing', bytes('')],
  ['no JSON', bytes('{')],
  ['another version', bytes('{"v":2,"outbox":"outbox-1234","seq":1,"oldest":1,"at":1,"points":[]}')],
  ['no points', bytes('{"v":1,"outbox":"outbox-1234","seq":1,"oldest":1,"at":1}')],
  ['a negative number', bytes('{"v":1,"outbox":"outbox-1234","seq":-1,"oldest":1,"at":1,"points":[]}')],
  ['a point with too few parts', raw([['queue', 1, {}]])],
  ['a tag that is a number', raw([['account', 1, { account: 3 }, { up: 1 }]])],
  ['too many bytes', bytes(' '.repeat(maxMessageBytes + 1))],
];
for (const [what, payload] of poison) {
  test('decodeBatch() refuses ' + what, () => assert.equal(decodeBatch(payload).ok, false));
}

const unknown: readonly (readonly [what: string, point: unknown])[] = [
  ['an unknown measurement', ['weather', 1, {}, { rain: 1 }]],
  ['a measurement named like a property of objects', ['constructor', 1, {}, { x: 1 }]],
  ['an unknown field', ['queue', 1, {}, { deepth: 1 }]],
  ['an unknown tag', ['queue', 1, { color: 'red' }, { depth: 1 }]],
  ['a missing tag', ['account', 1, {}, { up: 1 }]],
  ['a line break in a tag', ['account', 1, { account: 'a\nb' }, { up: 1 }]],
  ['a text where a number belongs', ['queue', 1, {}, { depth: '3' }]],
  ['no field at all', ['queue', 1, {}, {}]],
];
for (const [what, one] of unknown) {
  test('decodeBatch() drops and counts ' + what + ' and keeps the rest', () => {
    const decoded = decodeBatch(raw([one, ['queue', 2, {}, { depth: 1 }]]));
    assert.ok(decoded.ok);
    assert.equal(decoded.dropped, 1);
    assert.deepEqual(decoded.value.points, [{ name: 'queue', at: 2, tags: {}, fields: { depth: 1 } }]);
  });
}

test('decodeBatch() never throws on damaged bytes', () => {
  const whole = bytes(encodeBatch({ outbox, seq: 7, oldest: 5, at: 1, points: [point] }));
  for (let index = 0; index < whole.length; index += 1) {
    for (const value of [0, 34, 44, 255]) {
      const damaged = Buffer.from(whole);
      damaged[index] = value;
      assert.equal(typeof decodeBatch(damaged).ok, 'boolean');
    }
    assert.equal(decodeBatch(whole.subarray(0, index)).ok, false);
  }
});

test('createPoint() cleans what would harm a database', () => {
  const made = createPoint(
    'account',
    1.6,
    { account: 'a\nb,c=d\\' },
    { up: Number.NaN, backlog: Infinity, kept: 3, problem: 'x\r\ny\u0000' },
  );
  assert.deepEqual(made, { name: 'account', at: 2, tags: { account: 'a b,c=d' }, fields: { kept: 3, problem: 'x y' } });
});

test('createPoint() gives an empty tag a name', () => {
  assert.deepEqual(createPoint('account', 1, { account: ' ' }, { up: 1 }).tags, { account: '-' });
});

test('topics are spelled in one place', () => {
  const topic = topicOf({ tenant: 'acme', agent: 'nas-1' }, 'up');
  assert.equal(topic, 'mailferry/1/acme/nas-1/up');
  assert.deepEqual(parseTopic(topic), { tenant: 'acme', agent: 'nas-1', leaf: 'up' });
  assert.equal(filterOf('status'), 'mailferry/1/+/+/status');
});

for (const name of ['', '+', '#', 'A', 'a/b', '-a', 'a-', 'a b', 'ä', 'a'.repeat(33)]) {
  test('topicOf() refuses the name ' + JSON.stringify(name), () => {
    assert.throws(() => topicOf({ tenant: name, agent: 'nas-1' }, 'up'), /Cannot build a topic/);
    assert.equal(parseTopic('mailferry/1/' + name + '/nas-1/up'), undefined);
  });
}

for (const topic of [
  '',
  'mailferry/2/a/b/up',
  'mailferry/1/a/b/down',
  'mailferry/1/a/b/up/x',
  'x/mailferry/1/a/b/up',
]) {
  test('parseTopic() knows nothing of ' + JSON.stringify(topic), () => assert.equal(parseTopic(topic), undefined));
}
