import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { test } from 'node:test';
import { createWindow } from '../../../agent/receive/window.ts';

test('a window lets in so many mails, and the next one when one has left', async () => {
  const window = createWindow({ mails: 3, bytes: 1_000 });
  const leave = await window.enter(1);
  await window.enter(1);
  await window.enter(1);
  let entered = false;
  const next = window.enter(1).then(() => (entered = true));
  await turn();
  assert.equal(entered, false);
  leave();
  await next;
});

test('a window lets in so many bytes, but always two mails', async () => {
  const window = createWindow({ mails: 100, bytes: 1_000 });
  const leaves = [await window.enter(5_000), await window.enter(5_000)];
  let entered = false;
  const next = window.enter(600).then(() => (entered = true));
  await turn();
  assert.equal(entered, false);
  for (const leave of leaves) leave();
  await next;
  await window.enter(300);
  await window.enter(100);
  const late = window.enter(1).then(() => assert.fail('1,001 bytes'));
  await turn();
  void late;
});

test('a window of one mail holds one, whatever its size', async () => {
  const window = createWindow({ mails: 1, bytes: 1_000 });
  const leave = await window.enter(0);
  let entered = false;
  const next = window.enter(0).then(() => (entered = true));
  await turn();
  assert.equal(entered, false);
  leave();
  await next;
});

test('a wide window that was full lets in several at once', async () => {
  const window = createWindow({ mails: 64, bytes: 1_000 });
  const leaves: (() => void)[] = [];
  for (let n = 0; n < 64; n += 1) leaves.push(await window.enter(1));
  let entered = false;
  const next = window.enter(1).then(() => (entered = true));
  for (const leave of leaves.slice(0, 16)) leave();
  await turn();
  assert.equal(entered, false);
  leaves[16]?.();
  await next;
  for (let n = 0; n < 16; n += 1) await window.enter(1);
});
