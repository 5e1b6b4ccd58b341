import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createJournal, journalSchema } from '#shared/journal.ts';
import { createPoint } from '#shared/meter.ts';
import { openDatabase } from '#shared/sqlite.ts';
import { createLedger, ledgerSchema } from '../../../../agent/receive/ledger/ledger.ts';
import type { Entry, Listed } from '../../../../agent/receive/ledger/ledger.ts';

function open() {
  const db = openDatabase({ path: ':memory:', schema: [[journalSchema, ledgerSchema].join(';\n')] });
  const journal = createJournal(db);
  return { db, journal, ledger: createLedger({ db, journal }) };
}
type Opened = ReturnType<typeof open>;

const day = 86_400_000;
const mails = (...uidls: readonly string[]): readonly Listed[] =>
  uidls.map((uidl, index) => ({ number: index + 1, uidl, sizeBytes: 100 + index }));
const point = createPoint('mail_in', 1_000, { account: 'info', outcome: 'delivered' }, { count: 1 });
const ok = { address: 'info@example.org', verdict: 'delivered', text: '250 2.0.0 saved' } as const;

function deliver(opened: Opened, entry: Entry | undefined, sha256: string, today = 1): void {
  assert.ok(entry);
  opened.ledger.settle(entry.id, 'handed-over', {
    fetched: { sha256, sizeBytes: 90, listedBytes: 100 },
    recipients: [ok],
    today,
    point,
  });
}
const states = (entries: readonly Entry[]): readonly string[] =>
  entries.map((entry) => entry.state + (entry.recheck ? '?' : ''));
const list = (opened: Opened, uidls: readonly string[], complete = true, today = 1): readonly Entry[] =>
  opened.ledger.reconcile('info', mails(...uidls), { complete, today });

test('a day is counted once, and a jump of the clock adds one at most', () => {
  const { ledger } = open();
  const start = 20_000 * day;
  assert.equal(ledger.sawDay(start), 1);
  assert.equal(ledger.sawDay(start + day - 1), 1);
  assert.equal(ledger.sawDay(start + day), 2);
  assert.equal(ledger.sawDay(start + 5_000 * day), 3, 'forward by years');
  assert.equal(ledger.sawDay(start + day), 3, 'and back');
  assert.equal(ledger.sawDay(start + 5_000 * day), 3, 'and forth again');
  assert.equal(ledger.sawDay(start + 2 * day), 4);
});

test('a mail is known again, by account, UIDL and occurrence', () => {
  const opened = open();
  const first = list(opened, ['a', 'b', 'a']);
  assert.deepEqual(
    first.map((entry) => entry.occurrence),
    [1, 1, 2],
  );
  assert.equal(new Set(first.map((entry) => entry.id)).size, 3);
  deliver(opened, first[2], 'sha-2');
  const again = list(opened, ['b', 'a', 'a']);
  assert.deepEqual(
    again.map((entry) => entry.id),
    [first[1]?.id, first[0]?.id, first[2]?.id],
  );
  assert.deepEqual(states(again), ['seen', 'seen', 'handed-over']);
  assert.equal(opened.ledger.reconcile('other', mails('a'), { complete: true, today: 1 })[0]?.state, 'seen');
});

test('UIDLs are bytes: NUL, 8-bit and case make a difference', () => {
  const opened = open();
  const uidls = ['a', 'A', 'a\0', 'a\0b', '\u00e4', '\u00ff'];
  const first = list(opened, uidls);
  assert.equal(new Set(first.map((entry) => entry.id)).size, uidls.length);
  assert.deepEqual(list(opened, uidls), first);
});

test('handed over and its point are one transaction', () => {
  const opened = open();
  const [entry] = list(opened, ['a']);
  assert.ok(entry);
  opened.db.exec('DROP TABLE journal');
  assert.throws(() => deliver(opened, entry, 'sha'));
  assert.deepEqual(states(list(opened, ['a'])), ['seen']);
  assert.deepEqual(opened.ledger.recipients(entry.id), []);

  const good = open();
  deliver(good, list(good, ['a'])[0], 'sha');
  assert.deepEqual(good.journal.read(0, 10).points, [point]);
  const [done] = list(good, ['a']);
  assert.deepEqual(
    { ...done, id: 0 },
    {
      id: 0,
      uidl: 'a',
      occurrence: 1,
      state: 'handed-over',
      recheck: false,
      listedBytes: 100,
      sha256: 'sha',
      fingerprint: undefined,
      absent: false,
      attempts: 0,
      settledDay: 1,
    },
  );
  assert.deepEqual(good.ledger.recipients(done?.id ?? 0), [ok]);
});

test('verdicts of several tries add up', () => {
  const opened = open();
  const [entry] = list(opened, ['a']);
  assert.ok(entry);
  const fetched = { sha256: 's', sizeBytes: 1, listedBytes: undefined };
  const later = { address: 'sales@example.org', verdict: 'later', text: '451 4.3.0 wait' } as const;
  opened.ledger.noteVerdicts(entry.id, fetched, [ok, later]);
  assert.deepEqual(opened.ledger.recipients(entry.id), [ok, later]);
  assert.deepEqual(states(list(opened, ['a'])), ['seen']);
  opened.ledger.noteVerdicts(entry.id, fetched, [{ ...later, verdict: 'delivered', text: '250 ok' }]);
  assert.deepEqual(opened.ledger.recipients(entry.id), [ok, { ...later, verdict: 'delivered', text: '250 ok' }]);
});

test('a UIDL that is absent from a complete listing is trusted no more', () => {
  const opened = open();
  const [a, b] = list(opened, ['a', 'b']);
  deliver(opened, a, 'sha-a');
  assert.deepEqual(states(list(opened, ['b'], false)), ['seen']);
  assert.deepEqual(states(list(opened, ['a', 'b'])), ['handed-over', 'seen'], 'the listing was not complete');
  list(opened, ['b']);
  const [back] = list(opened, ['a', 'b']);
  assert.deepEqual([back?.state, back?.recheck], ['seen', true], 'gone and back');
  assert.ok(back);
  assert.equal(opened.ledger.identify('info', back, { sha256: 'sha-a' }, 1).state, 'handed-over', 'the same mail');

  list(opened, []);
  const [reused] = list(opened, ['a']);
  assert.ok(reused);
  const fresh = opened.ledger.identify('info', reused, { sha256: 'sha-other' }, 1);
  assert.deepEqual([fresh.state, fresh.recheck, fresh.sha256], ['seen', false, undefined], 'another mail');
  assert.deepEqual(opened.ledger.recipients(fresh.id), []);
  assert.notEqual(fresh.id, b?.id);
});

test('an undelivered mail that is absent is forgotten', () => {
  const opened = open();
  const [a] = list(opened, ['a']);
  list(opened, []);
  assert.notEqual(list(opened, ['a'])[0]?.id, a?.id);
});

test('when one of two copies with one UIDL goes, content says which one stays', () => {
  const table = [
    { delivered: 0, stays: 'sha-0', expected: 'handed-over' },
    { delivered: 0, stays: 'sha-1', expected: 'seen' },
    { delivered: 1, stays: 'sha-1', expected: 'handed-over' },
    { delivered: 1, stays: 'sha-0', expected: 'seen' },
  ];
  for (const { delivered, stays, expected } of table) {
    const opened = open();
    deliver(opened, list(opened, ['a', 'a'])[delivered], 'sha-' + delivered);
    const [left] = list(opened, ['a']);
    assert.ok(left);
    assert.equal(left.recheck, true);
    const entry = opened.ledger.identify('info', left, { sha256: stays }, 1);
    assert.equal(entry.state, expected, JSON.stringify({ delivered, stays }));
    assert.deepEqual(states(list(opened, ['a'])), [expected]);
  }
});

test('when one of three delivered copies goes and the others change places, none is new', () => {
  const opened = open();
  list(opened, ['a', 'a', 'a']).forEach((entry, index) => deliver(opened, entry, 'sha-' + index));
  const left = list(opened, ['a', 'a']);
  assert.deepEqual(states(left), ['seen?', 'seen?']);
  const found = left.map((entry, index) =>
    opened.ledger.identify('info', entry, { sha256: ['sha-2', 'sha-0'][index] ?? '' }, 1),
  );
  assert.deepEqual(states(found), ['handed-over', 'handed-over']);
  assert.deepEqual(states(list(opened, ['a', 'a'])), ['handed-over', 'handed-over']);
});

test('a quarantined mail that was in doubt stays quarantined', () => {
  const opened = open();
  const [entry] = list(opened, ['a']);
  assert.ok(entry);
  const fetched = { sha256: 's', sizeBytes: 1, listedBytes: 1 };
  const refused = { address: 'info@example.org', verdict: 'refused', text: '550 no' } as const;
  opened.ledger.settle(entry.id, 'quarantined', { fetched, recipients: [refused], today: 1, point });
  list(opened, []);
  const [back] = list(opened, ['a']);
  assert.ok(back);
  assert.equal(opened.ledger.identify('info', back, { sha256: 's' }, 1).state, 'quarantined');
});

test('deleted mails go from delete-pending to gone, and are remembered for 30 seen days', () => {
  const opened = open();
  const [entry] = list(opened, ['a']);
  deliver(opened, entry, 'sha');
  assert.ok(entry);
  opened.ledger.deletePending([entry.id]);
  assert.deepEqual(states(list(opened, ['a'])), ['delete-pending']);
  opened.ledger.gone([entry.id], 5);
  const count = (): unknown => opened.db.prepare('SELECT count(*) AS n FROM received').get()?.['n'];
  list(opened, [], true, 35);
  assert.equal(count(), 1);
  list(opened, [], true, 36);
  assert.equal(count(), 0);
  assert.equal(opened.db.prepare('SELECT count(*) AS n FROM received_recipient').get()?.['n'], 0);
});

test('failed tries are counted until the mail is settled', () => {
  const opened = open();
  const [entry] = list(opened, ['a']);
  assert.ok(entry);
  opened.ledger.failed(entry.id);
  opened.ledger.failed(entry.id);
  assert.equal(list(opened, ['a'])[0]?.attempts, 2);
  deliver(opened, entry, 'sha');
  assert.equal(list(opened, ['a'])[0]?.attempts, 0);
});
