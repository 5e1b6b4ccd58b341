// Changes that the collector proposes: sealed, shown without secrets, accepted by a person, never beyond their reach.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { systemClock } from '#shared/clock.ts';
import { configureContext, createSealKey, seal } from '#shared/sealed.ts';
import { openDatabase } from '#shared/sqlite.ts';
import { changesSchema, createChanges } from '../../../agent/control/changes.ts';

const start = 1_700_000_000_000;
const password = 'a-new-password';

function setup(t: TestContext, refuse?: string) {
  const db = openDatabase({ path: ':memory:', schema: [changesSchema] });
  t.after(() => db.close());
  const key = createSealKey();
  const applied: string[] = [];
  const decided: string[] = [];
  let now = start;
  const changes = createChanges({
    db,
    tenant: 'acme',
    agent: 'nas-1',
    key: key.privateKey,
    async preview() {
      if (refuse !== undefined) throw new Error(refuse);
    },
    async apply(edits) {
      applied.push(JSON.stringify(edits));
      return 'written, and it counts';
    },
    onDecided: (id, outcome, text) => void decided.push([id, outcome, text].join(' ')),
    clock: { ...systemClock, now: () => now },
  });
  const sealed = (
    value: unknown,
    to = key.publicKey,
    context = configureContext({ tenant: 'acme', agent: 'nas-1' }),
  ): string => seal({ to, text: typeof value === 'string' ? value : JSON.stringify(value), context });
  const propose = (args: Readonly<Record<string, unknown>>, allowed = false, id = 'change-1') =>
    changes.propose({ v: 1, id, name: 'configure', args, at: now, expires: now + 3_600_000 }, allowed);
  return { db, changes, applied, decided, sealed, propose, set: (at: number) => void (now = at) };
}

const good = {
  v: 1,
  note: 'the new password of the provider',
  edits: [
    { kind: 'set', path: ['accounts', 0, 'intervalSeconds'], value: 60 },
    { kind: 'secret', path: ['accounts', 0, 'password'], text: password, name: 'info' },
    { kind: 'remove', path: ['accounts', 0, 'idle'] },
    { kind: 'add', path: ['submission', 'users'], value: { name: 'scanner', senders: ['@example.org'] } },
  ],
};

test('a proposal waits for a person, is shown without its secret, and is nowhere in clear', async (t) => {
  const { changes, propose, sealed, applied, decided, db } = setup(t);
  const answer = await propose({ sealed: sealed(good) });
  assert.equal(answer.outcome, 'waits');
  assert.match(answer.text, /mailferry change accept change-1/);
  const [shown] = changes.list();
  assert.deepEqual(shown?.lines, [
    'accounts.0.intervalSeconds: 60',
    'accounts.0.password: another secret',
    'accounts.0.idle: removed',
    'submission.users: one more: {"name":"scanner","senders":["@example.org"]}',
  ]);
  assert.equal(shown?.note, good.note);
  assert.ok(!JSON.stringify(db.prepare('SELECT * FROM proposed_change').all()).includes(password));
  assert.deepEqual(applied, []);
  assert.equal((await changes.accept('change-1')).text, 'written, and it counts');
  assert.deepEqual(applied, [JSON.stringify(good.edits)]);
  assert.deepEqual(decided, ['change-1 done written, and it counts']);
  assert.deepEqual(changes.list(), []);
  await assert.rejects(changes.accept('change-1'), /none waits by this id, expected one of change list/);
});

test('what a person rejects, or leaves for too long, changes nothing', async (t) => {
  const { changes, propose, sealed, applied, decided, set } = setup(t);
  await propose({ sealed: sealed(good) });
  changes.reject('change-1');
  assert.deepEqual(decided, ['change-1 refused a person at the agent has rejected it']);
  await propose({ sealed: sealed(good) }, false, 'change-2');
  set(start + 3_600_001);
  assert.deepEqual(changes.list(), []);
  await assert.rejects(changes.accept('change-2'), /none waits/);
  assert.deepEqual(applied, []);
});

test('with the right to configure it counts at once', async (t) => {
  const { changes, propose, sealed, applied } = setup(t);
  assert.deepEqual(await propose({ sealed: sealed(good) }, true), { outcome: 'done', text: 'written, and it counts' });
  assert.equal(applied.length, 1);
  assert.deepEqual(changes.list(), []);
});

test('a proposal neither widens the rights of the collector nor names a file of this machine, allowed or not', async (t) => {
  const { propose, sealed, applied, changes } = setup(t);
  const set = (path: readonly (string | number)[], value: unknown) => ({ v: 1, edits: [{ kind: 'set', path, value }] });
  const bad = [
    set(['report', 'allow'], ['queue']),
    set(['report'], {}),
    { v: 1, edits: [{ kind: 'add', path: ['report', 'allow'], value: 'configure' }] },
    { v: 1, edits: [{ kind: 'remove', path: ['report', 'caFile'] }] },
    { v: 1, edits: [{ kind: 'secret', path: ['report', 'password'], text: 'x', name: 'x' }] },
    set(['tenant'], 'other'),
    set(['agent'], 'other'),
    set(['state'], '/tmp'),
    set(['page', 'password'], 'x'),
    set(['accounts', 0, 'password'], { file: '/etc/shadow' }),
    set(['accounts', 0], { id: 'x', password: { env: 'HOME' } }),
    set(['accounts', 0, 'password', 'file'], '/etc/shadow'),
    set(['accounts', 0, 'caFile'], '/etc/shadow'),
    { v: 1, edits: [{ kind: 'add', path: ['relays'], value: { oauth: { refreshToken: { file: 'x' } } } }] },
    { v: 1, edits: [{ kind: 'add', path: ['submission', 'users'], value: [[{ file: 'x' }]] }] },
    { v: 1, edits: [...good.edits, { kind: 'set', path: ['report', 'allow'], value: [] }] },
    { v: 1, edits: [{ kind: 'secret', path: ['accounts', 0, 'password'], text: 'x', name: '../x' }] },
  ];
  for (const one of bad)
    for (const allowed of [false, true])
      await assert.rejects(propose({ sealed: sealed(one) }, allowed), /^UserError: Cannot /, JSON.stringify(one));
  assert.deepEqual([applied.length, changes.list().length], [0, 0]);
});

test('what is not sealed to this agent, is no proposal, or would not start is refused in words', async (t) => {
  const { propose, sealed } = setup(t);
  await assert.rejects(propose({}), /nothing sealed was sent/);
  await assert.rejects(propose({ sealed: sealed(good, createSealKey().publicKey) }), /does not fit this agent/);
  await assert.rejects(
    propose({ sealed: sealed(good, undefined, configureContext({ tenant: 'acme', agent: 'nas-2' })) }),
    /does not fit this agent/,
  );
  for (const value of [
    'no JSON',
    [],
    {},
    { v: 2, edits: good.edits },
    { v: 1, edits: [] },
    { v: 1, edits: [{ kind: 'run', path: ['x'] }] },
  ])
    await assert.rejects(
      propose({ sealed: sealed(value) }),
      /Cannot read the proposed change: .*expected a list of edits/,
    );
  const broken = setup(t, 'option accounts[0].host: found nothing');
  await assert.rejects(broken.propose({ sealed: broken.sealed(good) }), /found nothing/);
  assert.deepEqual(broken.changes.list(), []);
});

test('no more proposals wait than a person can look at', async (t) => {
  const { changes, propose, sealed } = setup(t);
  for (let n = 0; n < 20; n += 1) await propose({ sealed: sealed(good) }, false, 'change-' + n);
  await assert.rejects(propose({ sealed: sealed(good) }, false, 'one-more'), /20 wait for an answer already/);
  assert.equal(changes.list().length, 20);
});
