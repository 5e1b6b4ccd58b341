import assert from 'node:assert/strict';
import { test } from 'node:test';
import { generate } from 'mqtt-packet';
import { createFrameLimit } from '../../../collector/broker/frame-limit.ts';

const publish = (bytes: number): Buffer =>
  generate({ cmd: 'publish', topic: 't', payload: Buffer.alloc(bytes, 1), qos: 0, retain: false, dup: false });
const ping = generate({ cmd: 'pingreq' });

/** True when the limit was hit. */
function feed(bytes: Buffer, sizes: readonly number[]): boolean {
  let exceeded = false;
  const see = createFrameLimit({ maxBytes: 1_000, onExceeded: () => void (exceeded = true) });
  let at = 0;
  for (let n = 0; at < bytes.length; n += 1) {
    const size = sizes[n % sizes.length] ?? 1;
    see(bytes.subarray(at, at + size));
    at += size;
  }
  return exceeded;
}

test('packets within the limit pass, cut at any byte', () => {
  const bytes = Buffer.concat([ping, publish(900), ping, publish(0), publish(127), publish(128), publish(997), ping]);
  for (let size = 1; size < 300; size += 1) assert.equal(feed(bytes, [size]), false, 'pieces of ' + size);
});

test('a packet above the limit is seen at its length, cut at any byte', () => {
  const before = Buffer.concat([ping, publish(900), ping]);
  const header = publish(998).subarray(0, 3);
  for (let size = 1; size < 300; size += 1)
    assert.equal(feed(Buffer.concat([before, header]), [size]), true, 'pieces of ' + size);
});

test('a length of more than four bytes is no length', () => {
  assert.equal(feed(Buffer.from([0x30, 0x80, 0x80, 0x80, 0x80, 0x00]), [1]), true);
});
