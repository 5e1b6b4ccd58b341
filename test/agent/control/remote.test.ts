// What the collector may ask for: every command by every right, once, in time, and written down.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { systemClock } from '#shared/clock.ts';
import { createLog } from '#shared/log.ts';
import { openDatabase } from '#shared/sqlite.ts';
import { decodeReply, encodeReply, maxMessageBytes } from '#shared/wire.ts';
import type { Command } from '#shared/wire.ts';
import { changesSchema } from '../../../agent/control/changes.ts';
import { commandSpecs, createCommands } from '../../../agent/control/commands.ts';
import type { CommandWork } from '../../../agent/control/commands.ts';
import { createRemote, remoteSchema } from '../../../agent/control/remote.ts';
import type { RemoteReply } from '../../../agent/control/remote.ts';
import { sampleMail, sampleQuarantine, sampleQueue, sampleStatus } from './sample.ts';

const start = 1_700_000_000_000;

function setup(
  t: TestContext,
  options: { readonly allow?: readonly string[]; readonly work?: Partial<CommandWork> } = {},
) {
  const db = openDatabase({ path: ':memory:', schema: [remoteSchema + ';' + changesSchema] });
  t.after(() => db.close());
  const did: string[] = [];
  let now = start;
  const noted = <T>(name: string, value: T): T => {
    did.push(name);
    return value;
  };
  const work: CommandWork = {
    status: () => sampleStatus,
    queueList: () => [sampleMail],
    queueShow: () => sampleMail,
    queue: () => ({
      ...sampleQueue,
      flush: () => noted('flush', { mails: 3 }),
      drop: (id) => noted('drop', sampleQueue.drop(id)),
    }),
    fetch: async () => noted('fetch', sampleStatus.accounts),
    confirm: async () => noted('confirm', []),
    adopt: async () => noted('adopt', ''),
    quarantine: () => ({ ...sampleQuarantine, drop: async (id) => noted('quarantine drop', { id }) }),
    ...options.work,
  };
  const open = () =>
    createRemote({
      db,
      commands: createCommands(work),
      allow: options.allow ?? [],
      configure: async (_command, allowed) => ({ outcome: allowed ? 'done' : 'waits', text: 'asked' }),
      clock: { ...systemClock, now: () => now },
      log: createLog({ name: 'test', level: 'silent' }),
    });
  const remote = open();
  let serial = 0;
  const ask = (name: string, args: Command['args'] = {}, over: Partial<Command> = {}): Promise<RemoteReply> => {
    serial += 1;
    return remote.run({ v: 1, id: 'command-' + serial, name, args, at: now, expires: now + 60_000, ...over });
  };
  return { remote, open, ask, did, db, set: (at: number) => void (now = at) };
}

const everything = Object.keys(commandSpecs);
/** Arguments with which each would go. */
const argumentsOf: Readonly<Record<string, Command['args']>> = {
  confirm: { account: 'info' },
  check: { what: 'dnsbl' },
};
const given = (name: string): Command['args'] => {
  const required: readonly string[] = commandSpecs[name as keyof typeof commandSpecs].arguments.required ?? []; // a key of it
  return argumentsOf[name] ?? (required.includes('id') ? { id: 'abc1' } : {});
};

/** What each right opens, beyond looking and fetching; written down by hand, to be compared with what is done. */
const rights: readonly (readonly [allow: readonly string[], opened: readonly string[]])[] = [
  [[], []],
  [['details'], ['queue show', 'quarantine show']],
  [['queue flush'], ['queue flush']],
  [['queue'], ['queue hold', 'queue release', 'queue retry', 'queue drop', 'queue flush', 'queue show']],
  [
    ['quarantine', 'confirm'],
    ['quarantine release', 'quarantine drop', 'quarantine show', 'confirm'],
  ],
  [['reload'], ['reload']],
  [['adopt', 'change', 'change accept', 'configure'], []],
];
const looking = ['status', 'check', 'queue list', 'quarantine list', 'fetch', 'change list', 'key', 'audit'];

for (const [allow, opened] of rights)
  test('report.allow ' + JSON.stringify(allow) + ' opens what it names, and nothing else', async (t) => {
    const { ask } = setup(t, { allow });
    for (const name of everything) {
      const { outcome, text = '' } = await ask(name, given(name));
      const isOpen = looking.includes(name) || opened.includes(name);
      assert.equal(outcome === 'refused', !isOpen, name + ': ' + outcome + ' ' + text);
      if (!isOpen) assert.match(text, /report\.allow there would have to name|can be said at the agent alone/, name);
    }
  });

test('a refused command is not even begun', async (t) => {
  const { ask, did } = setup(t);
  for (const name of ['queue flush', 'queue drop', 'quarantine drop', 'confirm', 'adopt']) await ask(name, given(name));
  assert.deepEqual(did, []);
  assert.equal((await ask('fetch')).outcome, 'done');
  assert.deepEqual(did, ['fetch']);
});

test('without details no address, subject or sender leaves the house; with it they do', async (t) => {
  const names = ['status', 'queue list', 'quarantine list', 'fetch'];
  const told = async (allow: readonly string[]): Promise<string> => {
    const { ask } = setup(t, { allow });
    return JSON.stringify(await Promise.all(names.map((name) => ask(name))));
  };
  const masked = await told([]);
  for (const secret of ['info@', 'a@example.net', 'b@example.net', 'stranger@', 'An offer'])
    assert.ok(!masked.includes(secret), secret);
  assert.match(masked, /\*\*\*@example\.net/, 'the domain stays');
  const open = await told(['details']);
  for (const shown of ['a@example.net', 'An offer']) assert.ok(open.includes(shown), shown);
});

test('a failure says what is wrong, without addresses', async (t) => {
  const { ask } = setup(t, { work: { fetch: () => Promise.reject(new Error('login of info@example.org failed')) } });
  const reply = await ask('fetch');
  assert.deepEqual([reply.outcome, reply.text], ['failed', 'login of i***@example.org failed']);
  assert.match((await ask('statsu')).text ?? '', /unknown command, expected status \(the nearest known command\)/);
  assert.match((await ask('fetch', { account: 'inof' })).text ?? '', /expected info/);
});

test('a command that comes again is not carried out again, and gets the same answer, over a restart', async (t) => {
  const { ask, open, did } = setup(t, { allow: ['queue'] });
  const first = await ask('queue flush', {}, { id: 'the-same-id' });
  assert.deepEqual(await ask('queue flush', {}, { id: 'the-same-id' }), first);
  const later = await open().run({
    v: 1,
    id: 'the-same-id',
    name: 'queue flush',
    args: {},
    at: start,
    expires: start + 60_000,
  });
  assert.deepEqual(later, first);
  assert.deepEqual(did, ['flush']);
  assert.deepEqual(first.result, { mails: 3 });
});

test('the same command twice at the same moment is carried out once', async (t) => {
  const { ask, did } = setup(t);
  const both = await Promise.all([
    ask('fetch', {}, { id: 'twice-at-once' }),
    ask('fetch', {}, { id: 'twice-at-once' }),
  ]);
  assert.deepEqual(both[0], both[1]);
  assert.deepEqual(did, ['fetch']);
});

test('what was under way when the process ended is not carried out again, and is said to be unknown', async (t) => {
  const { db, ask, did } = setup(t);
  db.prepare(
    "INSERT INTO remote_command (id, at, name, arguments, text) VALUES ('cut-off-id', 1, 'fetch', '{}', '')",
  ).run();
  const reply = await ask('fetch', {}, { id: 'cut-off-id' });
  assert.deepEqual([reply.outcome, did.length], ['failed', 0]);
  assert.match(reply.text ?? '', /the agent ended while it was carried out/);
});

test('after its time a command is not carried out, and both clocks are named', async (t) => {
  const { ask, did, set } = setup(t);
  set(start + 61_000);
  const reply = await ask('fetch', {}, { at: start, expires: start + 60_000 });
  assert.deepEqual([reply.outcome, did.length], ['expired', 0]);
  assert.match(
    reply.text ?? '',
    /valid until 2023-11-14T22:14:20.000Z, and this machine's clock says 2023-11-14T22:14:21.000Z/,
  );
});

test('all of it is in the audit, the newest first, and what is sealed is not', async (t) => {
  const { ask, remote, set } = setup(t, { allow: ['queue'] });
  await ask('queue drop', { id: 'abc1' });
  set(start + 1);
  await ask('adopt');
  set(start + 2);
  await ask('configure', { sealed: 'MS1.secret' });
  const rows = remote.list(10).map(({ name, arguments: text, outcome }) => [name, text, outcome]);
  assert.deepEqual(rows, [
    ['configure', '(sealed)', 'waits'],
    ['adopt', '{}', 'refused'],
    ['queue drop', '{"id":"abc1"}', 'done'],
  ]);
});

test('what waited for a person is told when it is decided, also to a collector that asks again', async (t) => {
  const { ask, remote } = setup(t);
  assert.equal((await ask('configure', { sealed: 'x' }, { id: 'the-change' })).outcome, 'waits');
  assert.equal(remote.settle('the-change', 'done', 'written, and it counts').outcome, 'done');
  const again = await ask('configure', { sealed: 'x' }, { id: 'the-change' });
  assert.deepEqual([again.outcome, again.text], ['done', 'written, and it counts']);
});

test('an answer that is too long for a message is said to be so; every reply fits and is understood', async (t) => {
  const many = Array.from({ length: 900 }, () => sampleMail);
  const { ask } = setup(t, { work: { queueList: () => many } });
  for (const name of ['queue list', 'status', 'nothing-of-this-name']) {
    const text = encodeReply(await ask(name));
    assert.ok(Buffer.byteLength(text) <= maxMessageBytes);
    assert.ok(decodeReply(Buffer.from(text)).ok);
  }
  assert.match((await ask('queue list')).text ?? '', /more than 49152 bytes: ask at the agent/);
});

test('more commands at once than it can carry out are refused, the others go on', async (t) => {
  let release = (): void => {};
  const gate = new Promise<void>((resolve) => (release = resolve));
  const { ask } = setup(t, { work: { fetch: () => gate.then(() => []) } });
  const asked = Array.from({ length: 10 }, () => ask('fetch'));
  const early = await Promise.race(asked);
  assert.match(early.text ?? '', /too many commands at once/);
  release();
  const outcomes = (await Promise.all(asked)).map(({ outcome }) => outcome);
  assert.equal(outcomes.filter((outcome) => outcome === 'done').length, 4);
});

test('a disk that takes no record lets nothing be carried out', async (t) => {
  const { ask, db, did } = setup(t);
  db.exec("CREATE TRIGGER full BEFORE INSERT ON remote_command BEGIN SELECT RAISE(ABORT, 'disk is full'); END");
  const reply = await ask('fetch');
  assert.deepEqual([reply.outcome, did.length], ['failed', 0]);
  assert.match(reply.text ?? '', /could not be written down, so it was not carried out: disk is full/);
});
