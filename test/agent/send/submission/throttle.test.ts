import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createThrottle } from '../../../../agent/send/submission/throttle.ts';

function start() {
  let now = 0;
  return { throttle: createThrottle({ monotonic: () => now }), pass: (ms: number) => void (now += ms) };
}

test('answers to failures get slower, and after five the pair is closed, longer each time', () => {
  const { throttle, pass } = start();
  const delays = [1, 2, 3, 4, 5, 6].map(() => throttle.failed('info', '192.0.2.1'));
  assert.deepEqual(delays, [250, 500, 1_000, 2_000, 4_000, 4_000]);
  assert.equal(throttle.mayTry('info', '192.0.2.1'), false);
  pass(19_999);
  assert.equal(throttle.mayTry('info', '192.0.2.1'), false);
  pass(2);
  assert.equal(throttle.mayTry('info', '192.0.2.1'), true);
  for (let n = 0; n < 20; n += 1) throttle.failed('INFO', '192.0.2.1');
  pass(59_000);
  assert.equal(throttle.mayTry('info', '192.0.2.1'), false);
  pass(1_001);
  assert.equal(throttle.mayTry('info', '192.0.2.1'), true, 'never longer than a minute');
});

test('others are not locked out: another user at the address, the same user at another', () => {
  const { throttle } = start();
  for (let n = 0; n < 10; n += 1) throttle.failed('info', '127.0.0.1');
  assert.equal(throttle.mayTry('info', '127.0.0.1'), false);
  assert.equal(throttle.mayTry('sales', '127.0.0.1'), true);
  assert.equal(throttle.mayTry('info', '192.0.2.1'), true);
});

test('an address that tries many names is closed, but not for a user that has logged in from there', () => {
  const { throttle } = start();
  throttle.succeeded('sales', '192.0.2.1');
  for (let n = 0; n < 30; n += 1) throttle.failed('guess' + n, '192.0.2.1');
  assert.equal(throttle.mayTry('guess99', '192.0.2.1'), false);
  assert.equal(throttle.mayTry('sales', '192.0.2.1'), true);
});

test('the programs of this machine are one address: a guesser among them is slowed down, the others are not kept out', () => {
  const { throttle } = start();
  const delays: number[] = [];
  for (let n = 0; n < 30; n += 1) delays.push(throttle.failed('guess' + n, '127.0.0.1'));
  assert.equal(throttle.mayTry('printer', '127.0.0.1'), true);
  assert.equal(delays[0], 250);
  assert.equal(delays.at(-1), 4_000);
});

test('a network of IPv6 addresses counts as one client, its neighbour as another', () => {
  const { throttle } = start();
  for (let n = 0; n < 30; n += 1) throttle.failed('guess' + n, '2001:db8:0:1::' + n.toString(16));
  assert.equal(throttle.mayTry('info', '2001:db8:0:1:ffff::1'), false);
  assert.equal(throttle.mayTry('info', '2001:db8::1:0:0:0:1'), false, 'the same network, written in another way');
  assert.equal(throttle.mayTry('info', '2001:db8:0:2::1'), true);
});

test('a success forgives, and so does time', () => {
  const { throttle, pass } = start();
  for (let n = 0; n < 4; n += 1) throttle.failed('info', 'a');
  throttle.succeeded('info', 'a');
  assert.equal(throttle.failed('info', 'a'), 250);
  for (let n = 0; n < 10; n += 1) throttle.failed('info', 'a');
  pass(900_001);
  assert.equal(throttle.failed('info', 'a'), 250);
});

test('a flood of names does not grow without bound, and the latest failures count', () => {
  const { throttle } = start();
  for (let n = 0; n < 20_000; n += 1) throttle.failed('name' + n, 'address' + n);
  for (let n = 0; n < 5; n += 1) throttle.failed('info', 'a');
  assert.equal(throttle.mayTry('info', 'a'), false);
});

test('one user guessed from all over the Internet: strangers wait, the own network and known places do not', () => {
  const { throttle, pass } = start();
  throttle.succeeded('info', '203.0.113.7');
  for (let n = 0; n < 60; n += 1) throttle.failed('info', '198.51.100.' + n);
  assert.equal(throttle.mayTry('info', '192.0.2.1'), false);
  assert.equal(throttle.mayTry('sales', '192.0.2.1'), true, 'another user is none of this');
  for (const address of ['192.168.1.5', '127.0.0.1', '::1', 'fd00::5', 'fe80::1%eth0', '203.0.113.7'])
    assert.equal(throttle.mayTry('info', address), true, address);
  pass(60_001);
  assert.equal(throttle.mayTry('info', '192.0.2.1'), true, 'never longer than a minute');
});
