import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { Database } from '#shared/sqlite.ts';
import { createQuota } from '../../../../agent/send/submission/quota.ts';
import type { Reservation } from '../../../../agent/send/submission/quota.ts';
import type { Rights } from '../../../../agent/send/submission/rights.ts';
import { openState } from '../rig.ts';

const hourMs = 3_600_000;
const account = (limits: Rights['limits'], user = 'info'): Rights => ({ user, senders: ['@office.test'], limits });

async function start(t: TestContext) {
  let now = Date.UTC(2026, 10, 25, 8);
  const { db } = await openState(t);
  const open = (database: Database = db) => createQuota({ db: database, clock: { now: () => now } });
  return { quota: open(), open, pass: (ms: number) => void (now += ms) };
}

function take(place: ReturnType<ReturnType<typeof createQuota>['reserve']>): Reservation {
  assert.ok(!('ok' in place), 'ok' in place ? place.text : '');
  return place;
}
function send(quota: ReturnType<typeof createQuota>, rights: Rights, sender = 'info@office.test'): void {
  const place = take(quota.reserve(rights, sender));
  place.count();
  place.release();
}

test('the mail above the limit of an hour is told to come later, and an hour later it is taken', async (t) => {
  const { quota, pass } = await start(t);
  const rights = account({ mailsPerHour: 3 });
  for (let n = 0; n < 3; n += 1) send(quota, rights);
  assert.deepEqual(quota.check(rights, 'info@office.test'), {
    ok: false,
    code: 450,
    text: '4.7.1 This user may send 3 mails an hour; try again later',
    reason: 'rate',
  });
  assert.equal('ok' in quota.reserve(rights, 'other@office.test'), true, 'the account counts, not its sender');
  pass(hourMs - 1);
  assert.notEqual(quota.check(rights, 'info@office.test'), undefined);
  pass(300_001);
  assert.equal(quota.check(rights, 'info@office.test'), undefined);
});

test('the limit of a day, and that of a sender over all accounts', async (t) => {
  const { quota, pass } = await start(t);
  const rights = account({ mailsPerDay: 2, senderMailsPerHour: 3 });
  send(quota, rights);
  pass(12 * hourMs);
  send(quota, rights);
  assert.match(quota.check(rights, 'info@office.test')?.text ?? '', /2 mails a day/);
  const other = account({ senderMailsPerHour: 2 }, 'other');
  send(quota, other, 'Info@Office.test');
  assert.match(quota.check(other, 'info@office.test')?.text ?? '', /^4\.7\.1 This sender may send 2 mails an hour/);
  assert.equal(quota.check(other, 'sales@office.test'), undefined);
});

test('a restart gives no new budget', async (t) => {
  const { quota, open } = await start(t);
  const rights = account({ mailsPerHour: 1 });
  send(quota, rights);
  assert.notEqual(open().check(rights, 'info@office.test'), undefined);
});

test('simultaneous sessions cannot share the last place; one that fails gives it back', async (t) => {
  const { quota } = await start(t);
  const rights = account({ mailsPerHour: 1 });
  const first = take(quota.reserve(rights, 'a@office.test'));
  assert.equal('ok' in quota.reserve(rights, 'a@office.test'), true);
  first.release();
  first.release();
  send(quota, rights);
  assert.notEqual(quota.check(rights, 'a@office.test'), undefined);
});

test('a clock that was years ahead blocks nobody for years', async (t) => {
  const { quota, pass } = await start(t);
  const rights = account({ mailsPerHour: 1 });
  pass(1_000 * 24 * hourMs);
  send(quota, rights);
  pass(-1_000 * 24 * hourMs);
  send(quota, account({ mailsPerHour: 9 }, 'other'));
  assert.equal(quota.check(rights, 'info@office.test'), undefined);
});

test('who has no limit is not counted', async (t) => {
  const { db } = await openState(t);
  const quota = createQuota({ db, clock: { now: () => 0 } });
  send(quota, account({}));
  assert.equal(db.prepare('SELECT COUNT(*) AS n FROM submitted').get()?.['n'], 0);
});
