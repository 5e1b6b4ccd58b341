import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Verdict } from '../../../../agent/smtp/verdict.ts';
import { waitFor } from '../../../lab/wait.ts';
import { fakeLocal } from '../fake-local.ts';
import { movableClock, openState, startRig } from '../rig.ts';

const operator = 'postmaster@office.test';
const nowhere = { host: '127.0.0.1', port: 1 };

test('a relay that is out of service is told to the operator, once a day', async (t) => {
  const clock = movableClock();
  const local = fakeLocal();
  const rig = await startRig(t, { relay: nowhere, local, clock, operator });
  await rig.submit();
  await waitFor('the problem', () => rig.send.relays()[0]?.up === false);
  clock.advance(600_000);
  await rig.submit();
  assert.deepEqual(local.tried, [], 'relays fail for minutes all the time');
  clock.advance(400_000);
  await waitFor('the note', () => local.delivered.length === 1);
  const [note] = local.delivered;
  assert.deepEqual([note?.from, note?.to], ['', operator]);
  assert.match(note?.text ?? '', /^Subject: The relay provider takes no mail\r$/m);
  assert.match(note?.text ?? '', /none is lost:\r\n\r\nCannot connect to 127\.0\.0\.1:1: ECONNREFUSED/);
  for (let hours = 0; hours < 3; hours += 1) clock.advance(3_600_000);
  await rig.submit();
  assert.equal(local.delivered.filter(({ to }) => to === operator).length, 1);
});

test('a note waits for the local server, over a restart, and comes once', async (t) => {
  const clock = movableClock();
  let verdict: Verdict = 'later';
  const local = fakeLocal(() => verdict);
  const state = await openState(t);
  const first = await startRig(t, { relay: nowhere, local, clock, operator, state });
  await first.submit();
  await waitFor('the problem', () => first.send.relays()[0]?.up === false);
  clock.advance(1_000_000);
  await waitFor('a try', () => local.tried.includes(operator));
  await first.send.stop();
  verdict = 'delivered';
  await startRig(t, { relay: nowhere, local, clock, operator, state });
  clock.advance(1_200_000);
  await waitFor('the note', () => local.delivered.length === 1);
  clock.advance(3_600_000);
  assert.equal(local.delivered.length, 1);
});

test('without an operator nothing is written to anybody', async (t) => {
  const clock = movableClock();
  const local = fakeLocal();
  const rig = await startRig(t, { relay: nowhere, local, clock });
  await rig.submit();
  await waitFor('the problem', () => rig.send.relays()[0]?.up === false);
  clock.advance(1_000_000);
  await rig.submit();
  assert.deepEqual(local.tried, []);
});
