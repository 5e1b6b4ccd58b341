// Limits of the provider that the agent keeps to by itself: counted before the dot, over restarts, whatever the clock does.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { createLab } from '../../../lab/lab.ts';
import { waitFor } from '../../../lab/wait.ts';
import { createBandwidth } from '../../../../agent/send/relay/bandwidth.ts';
import { openBudget } from '../../../../agent/send/relay/budget.ts';
import { letter, movableClock, openStateDb, startRig } from '../rig.ts';
import { empty, login, only, problemOf, settle, startScene } from './relay-scene.ts';

function openDb(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'mailferry-budget-'));
  const db = openStateDb(folder);
  t.after(() => {
    db.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return db;
}

test('when the mails of the hour are used up the rest waits, the state says until when, and it goes in the next hour', async (t) => {
  const { clock, relay, rig } = await startScene(t, { relayLimits: { messagesPerHour: 2 } });
  for (let n = 0; n < 3; n += 1) await rig.submit();
  await waitFor('two mails', () => relay.mails.length === 2);
  await settle();
  const [state] = rig.send.relays();
  assert.deepEqual([state?.up, state?.budget], [true, { mails: 0 }]);
  assert.match(state?.waits ?? '', /^Its limits are used up, mail waits until \d\d:\d\d$/);
  assert.equal(only(rig)?.problem, state?.waits);
  assert.equal(only(rig)?.recipients[0]?.attempts, 0);
  clock.advance(3_500_000);
  await settle();
  assert.equal(relay.mails.length, 2);
  clock.advance(200_000);
  await empty(rig);
  assert.equal(relay.mails.length, 3);
});

test('what was used is known after a restart, and a wall clock that jumps gives nothing back', async (t) => {
  const lab = createLab(t);
  const relay = await lab.scriptedSmtp({ login });
  const base = movableClock();
  let jump = 0;
  const clock = { ...base, now: () => base.now() + jump };
  const options = { relay, clock, relayLimits: { messagesPerDay: 2 }, relayConfig: { sessions: 1 } };
  const rig = await startRig(t, options);
  for (let n = 0; n < 2; n += 1) await rig.submit();
  await empty(rig);
  await rig.send.stop();
  jump = 400 * 86_400_000;
  const again = await startRig(t, { ...options, state: rig.state });
  await again.submit();
  await settle();
  assert.equal(relay.mails.length, 2, 'of the time in which the agent did not run an hour counts at most');
  jump = -400 * 86_400_000;
  base.advance(3_600_000);
  await settle();
  assert.equal(relay.mails.length, 2);
  base.advance(86_400_000);
  await empty(again);
  assert.equal(relay.mails.length, 3);
});

test('recipients count: a mail with more than are left goes to some now and to the others later', async (t) => {
  const { clock, relay, rig } = await startScene(t, { relayLimits: { recipientsPerHour: 3 } });
  await rig.submit({ to: ['a', 'b', 'c', 'd', 'e'].map((name) => name + '@world.test') });
  await waitFor('the first three', () => relay.mails.length === 1);
  await settle();
  assert.deepEqual(
    only(rig)?.recipients.map((recipient) => recipient.state),
    ['sent', 'sent', 'sent', 'queued', 'queued'],
  );
  clock.advance(3_700_000);
  await empty(rig);
  assert.deepEqual(
    relay.mails.map((mail) => mail.recipients.length),
    [3, 2],
  );
});

test('a refusal before the dot costs nothing of the budget', async (t) => {
  const { relay, rig } = await startScene(t, {
    relayLimits: { messagesPerHour: 1 },
    script: ({ before, verb }) => (verb === 'RCPT' && before < 3 ? '550 5.1.1 no such user\r\n' : undefined),
  });
  for (let n = 0; n < 4; n += 1) await rig.submit();
  await empty(rig);
  assert.equal(relay.mails.length, 1);
});

test('mails in a session are as many as the provider allows, then another one is opened', async (t) => {
  const { relay, rig } = await startScene(t, { relayLimits: { messagesPerConnection: 2 } });
  for (let n = 0; n < 5; n += 1) await rig.submit();
  await empty(rig);
  assert.deepEqual(
    relay.mails.map((mail) => mail.connection),
    [1, 1, 2, 2, 3],
  );
});

test('a relay whose limits are used up for long is stood in for', async (t) => {
  const second = await createLab(t).scriptedSmtp({ login });
  const { relay, rig } = await startScene(t, {
    relayLimits: { messagesPerHour: 1 },
    relayConfig: { fallback: ['second'] },
    moreRelays: [{ relay: second, relayConfig: { id: 'second', senders: ['info@office.test'] } }],
  });
  for (let n = 0; n < 3; n += 1) await rig.submit();
  await empty(rig);
  assert.deepEqual([relay.mails.length, second.mails.length], [1, 2]);
  assert.equal(rig.send.relays()[0]?.standIn, 'second');
  assert.equal(problemOf(rig), '');
});

test('two relays with one login spend of the same limits', async (t) => {
  const { relay, rig } = await startScene(t, { relayLimits: { messagesPerHour: 2 } });
  await rig.send.stop();
  const more = { id: 'second', senders: ['info@office.test'] };
  const limited = { relayLimits: { messagesPerHour: 2 } };
  const scene = await startRig(t, { relay, ...limited, moreRelays: [{ relay, relayConfig: more, ...limited }] });
  for (const name of ['sales', 'info', 'sales', 'info'])
    await scene.submit({ from: name + '@office.test', raw: letter().replace('sales@', name + '@') });
  await waitFor('two mails', () => relay.mails.length === 2);
  await settle();
  assert.equal(relay.mails.length, 2);
  assert.deepEqual(
    scene.send.relays().map((state) => state.budget),
    [{ mails: 0 }, { mails: 0 }],
  );
});

test('simultaneous sessions do not spend the same room', (t) => {
  const db = openDb(t);
  const limits = { messagesPerHour: 2, recipientsPerHour: 10 };
  const budget = openBudget({ db, queueClock: { now: () => 0 }, relay: 'r', limits });
  const release = budget.reserve(4);
  assert.equal(budget.room(false), 6);
  budget.reserve(1);
  assert.equal(budget.room(false), 0);
  assert.ok(budget.waitMs(false) > 0);
  release();
  release();
  assert.equal(budget.room(false), 9);
});

test('mail of lowest priority leaves a tenth to people', (t) => {
  const db = openDb(t);
  let now = 0;
  const budget = openBudget({ db, queueClock: { now: () => now }, relay: 'r', limits: { messagesPerHour: 20 } });
  for (let n = 0; n < 18; n += 1) budget.book(1);
  assert.deepEqual([budget.room(false) > 0, budget.room(true)], [true, 0]);
  assert.deepEqual([budget.waitMs(false), budget.waitMs(true) > 3_500_000], [0, true]);
  now = 3_700_000;
  assert.ok(budget.room(true) > 0);
});

test('every window counts, and is never shorter than it says', (t) => {
  const db = openDb(t);
  let now = 59_999;
  const limits = { messagesPerHour: 2, messagesPerDay: 3 };
  const open = () => openBudget({ db, queueClock: { now: () => now }, relay: 'r', limits });
  const budget = open();
  for (let n = 0; n < 2; n += 1) budget.book(1);
  now += 3_599_999;
  assert.equal(budget.room(false), 0);
  assert.equal(open().room(false), 0, 'as it stands on disk');
  now += budget.waitMs(false) + 1;
  assert.ok(budget.room(false) > 0);
  budget.book(1);
  assert.deepEqual(budget.left(), { mails: 0 });
  assert.ok(budget.waitMs(false) > 80_000_000);
  now += budget.waitMs(false) + 1;
  assert.ok(open().room(false) > 0 && budget.room(false) > 0);
});

test('a cap on the bytes per second holds for all sessions together, and changes no byte', async () => {
  let now = 0;
  const clock = {
    monotonic: () => now,
    sleep: async (ms: number) => {
      now = Math.max(now, now + ms);
    },
  };
  const { capped } = createBandwidth({ bytesPerSecond: 10_000, clock });
  const bytes = Buffer.from(Array.from({ length: 25_000 }, (_, index) => index % 251));
  const { signal } = new AbortController();
  const read = async (): Promise<Buffer> => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of capped({ open: () => [bytes], sizeBytes: bytes.length }, signal).open())
      chunks.push(chunk);
    return Buffer.concat(chunks);
  };
  for (const got of [await read(), await read()]) assert.deepEqual(got, bytes);
  assert.ok(now >= 4_400 && now <= 5_100, String(now));
});
