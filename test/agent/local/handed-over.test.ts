import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rememberSenders } from '../../../agent/local/handed-over.ts';
import { fakeLocal } from '../send/fake-local.ts';

const mail = (from: string) => ({
  from,
  recipients: ['info@office.test'],
  head: new Uint8Array(0),
  body: { open: () => [], sizeBytes: 0 },
  signal: new AbortController().signal,
});

test('whose mail was handed over is known, whatever its case, and the null sender too', async () => {
  const local = rememberSenders(fakeLocal());
  assert.deepEqual([local.handedOver('a@world.test'), local.handedOver('')], [false, false]);
  for (const from of ['A@world.test', '']) assert.equal((await local.deliver(mail(from))).recipients.length, 1);
  assert.deepEqual([local.handedOver('a@WORLD.test'), local.handedOver('')], [true, true]);
  assert.equal(local.handedOver('b@world.test'), false);
});

test('the memory is bounded: who wrote last is known, who wrote long ago is not', async () => {
  const local = rememberSenders(fakeLocal());
  for (let n = 0; n < 5_000; n += 1) await local.deliver(mail(n + '@world.test'));
  await local.deliver(mail('0@world.test'));
  await local.deliver(mail('new@world.test'));
  assert.deepEqual(['0@world.test', '1@world.test', '2@world.test', 'new@world.test'].map(local.handedOver), [
    true,
    false,
    true,
    true,
  ]);
});
