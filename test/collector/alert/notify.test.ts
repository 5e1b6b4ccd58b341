import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { alertRules } from '#shared/alert-rules.ts';
import { systemClock } from '#shared/clock.ts';
import { createLog } from '#shared/log.ts';
import { openDatabase } from '#shared/sqlite.ts';
import type { AlertState, Transition } from '../../../collector/alert/evaluate.ts';
import { messageOf } from '../../../collector/alert/message.ts';
import type { Message } from '../../../collector/alert/message.ts';
import { startNotifier } from '../../../collector/alert/notify.ts';
import type { Channel, Sent } from '../../../collector/alert/notify.ts';
import { checkRuleOverrides } from '../../../collector/alert/rules.ts';
import { alertSchema, createAlertStore } from '../../../collector/alert/state.ts';
import { createTelegramChannels, textOf } from '../../../collector/alert/telegram.ts';
import { loadCollectorConfig } from '../../../collector/config.ts';
import { createLab } from '../../lab/lab.ts';
import { waitFor } from '../../lab/wait.ts';

const alert: AlertState = {
  key: '["account-failing","acme","nas-1",["account","info"]]',
  rule: 'account-failing',
  tenant: 'acme',
  agent: 'nas-1',
  tags: { account: 'info' },
  phase: 'firing',
  since: 1_700_000_000_000,
  heldMs: 0,
  counting: false,
  detail: 'login refused',
};
const raised: Transition = { kind: 'raised', alert, at: 1_700_000_060_000, why: 'condition' };
const resolved: Transition = { kind: 'resolved', alert, at: 1_700_000_360_000, why: 'condition' };

const { signal: never } = new AbortController();

function setup(t: TestContext) {
  const db = openDatabase({ path: ':memory:', schema: [alertSchema] });
  const store = createAlertStore(db);
  const waits: number[] = [];
  const clock = {
    ...systemClock,
    sleep: (ms: number, signal?: AbortSignal) => {
      waits.push(ms);
      return systemClock.sleep(ms >= 60_000 ? ms : 1, signal);
    },
  };
  const start = (channels: readonly Channel[]) => {
    const notifier = startNotifier({
      store,
      channels,
      rules: alertRules,
      link: 'http://c',
      clock,
      random: () => 0.5,
      log: createLog({ name: 'test', level: 'silent' }),
    });
    t.after(notifier.stop);
    return notifier;
  };
  t.after(() => db.close());
  return { db, store, start, waits };
}

function channel(name: string, answers: readonly Sent[] = []): Channel & { readonly got: Message[] } {
  const got: Message[] = [];
  let calls = 0;
  return {
    name,
    label: name,
    got,
    send: async (message) => {
      const answer = answers[calls] ?? { ok: true };
      calls += 1;
      if (answer.ok) got.push(message);
      return answer;
    },
  };
}

test('a notice goes out once on every channel, raised before resolved', async (t) => {
  const { store, start } = setup(t);
  const channels = [channel('a'), channel('b')];
  const notifier = start(channels);
  store.save({ states: [alert], transitions: [raised] }, ['a', 'b']);
  store.save({ states: [], transitions: [resolved] }, ['a', 'b']);
  notifier.wake();
  await waitFor('both notices on both channels', () => channels.every(({ got }) => got.length >= 2));
  notifier.wake();
  for (const { got } of channels)
    assert.deepEqual(
      got.map(({ kind }) => kind),
      ['raised', 'resolved'],
    );
  assert.equal(store.next('a'), undefined);
});

test('a channel that fails is tried again and holds up no other', async (t) => {
  const { store, start, waits } = setup(t);
  const fails: Sent = { ok: false, problem: 'away' };
  const slow = { ...fails, afterMs: 34_000 };
  const [broken, well] = [channel('a', [fails, slow, fails]), channel('b')];
  store.save({ states: [alert], transitions: [raised] }, ['a', 'b']);
  start([broken, well]);
  await waitFor('the notice on both', () => broken.got.length + well.got.length >= 2);
  assert.ok(waits.includes(34_000), 'the pause that the server asked for: ' + waits.join(' '));
  assert.equal(broken.got.length, 1);
});

test('what was sent is not sent again after a restart, what was not is', async (t) => {
  const { db, store, start } = setup(t);
  const first = channel('a');
  const notifier = start([first]);
  store.save({ states: [alert], transitions: [raised] }, ['a']);
  notifier.wake();
  await waitFor('the notice', () => first.got.length === 1);
  await notifier.stop();
  createAlertStore(db).save({ states: [], transitions: [resolved] }, ['a']);
  const second = channel('a');
  start([second]);
  await waitFor('the second notice', () => second.got.length >= 1);
  assert.deepEqual(
    second.got.map(({ kind }) => kind),
    ['resolved'],
  );
});

test('a crash between sending and recording repeats the notice under the same reference', (t) => {
  const { store } = setup(t);
  store.save({ states: [alert], transitions: [raised] }, ['a']);
  const rule = alertRules.find(({ id }) => id === 'account-failing') ?? assert.fail();
  const [once, again] = [store.next('a'), store.next('a')];
  assert.ok(once !== undefined && again !== undefined);
  assert.equal(messageOf(once, rule, 'http://c').reference, messageOf(again, rule, 'http://c').reference);
});

test('a channel that is configured no more is given up, and tells nothing old when it comes back', async (t) => {
  const { store, start } = setup(t);
  store.save({ states: [alert], transitions: [raised] }, ['a', 'b']);
  store.retire(['b'], 1);
  const channels = [channel('a'), channel('b')];
  start(channels);
  await waitFor('the notice on b', () => channels[1]?.got.length === 1);
  assert.equal(store.next('a'), undefined);
  assert.deepEqual(channels[0]?.got, []);
});

test('stop() lets a channel end that answers, cuts off one that does not, and keeps its notice', async (t) => {
  const { db, store, start } = setup(t);
  store.save({ states: [alert], transitions: [raised] }, ['slow', 'dead']);
  const sending: string[] = [];
  const answer = Promise.withResolvers<Sent>();
  const slow: Channel = { name: 'slow', label: 'slow', send: () => (sending.push('slow'), answer.promise) };
  const dead: Channel = {
    name: 'dead',
    label: 'dead',
    send: (_, signal) =>
      new Promise((resolve) => {
        sending.push('dead');
        signal.addEventListener('abort', () => resolve({ ok: false, problem: 'cut' }), { once: true });
      }),
  };
  const notifier = start([slow, dead]);
  await waitFor('both on the way', () => sending.length === 2);
  const stopped = notifier.stop();
  answer.resolve({ ok: true });
  await stopped;
  assert.equal(store.next('slow'), undefined);
  assert.ok(store.next('dead') !== undefined);
  const row = db.prepare("SELECT attempts, problem FROM alert_delivery WHERE channel = 'dead'").get();
  assert.deepEqual([row?.['attempts'], row?.['problem']], [0, ''], 'our own stop is no trouble of the channel');
  assert.equal(sending.length, 2);
});

test('a wake that comes while the store is looked into is not lost', async (t) => {
  const { store, start } = setup(t);
  const only = channel('a');
  const notifier = start([only]);
  // The look has been made, the sleep has not begun.
  store.save({ states: [alert], transitions: [raised] }, ['a']);
  notifier.wake();
  await waitFor('the notice', () => only.got.length === 1, { timeoutMs: 5_000 });
});

test('state and notices are written together or not at all', (t) => {
  const { db, store } = setup(t);
  db.exec("CREATE TRIGGER full BEFORE INSERT ON alert_delivery BEGIN SELECT RAISE(ABORT, 'disk full'); END");
  assert.throws(() => store.save({ states: [alert], transitions: [raised] }, ['a']), /disk full/);
  assert.deepEqual(store.states(), []);
  db.exec('DROP TRIGGER full');
  store.save({ states: [alert], transitions: [raised] }, ['a']);
  assert.deepEqual(store.states(), [alert]);
  assert.ok(store.next('a') !== undefined);
});

test('a message says what happened, since when, what it means, what to do, and where to look', () => {
  const rule = alertRules.find(({ id }) => id === 'account-failing') ?? assert.fail();
  const { title, lines } = messageOf({ id: 1, thread: 't', transition: raised }, rule, 'http://c:8420');
  assert.equal(title, 'acme/nas-1: mailbox info cannot be fetched');
  const text = lines.join('\n');
  for (const part of [
    'waits at the provider',
    'Since: 2023-11-14 22:13:20 UTC',
    'Reason: login refused',
    'What to do: ',
    'http://c:8420/#/agent/acme/nas-1',
  ])
    assert.ok(text.includes(part), part);
});

test('a text for Telegram is never longer than it may be, and never cut through a character', () => {
  for (let length = 4_080; length < 4_100; length += 1) {
    const text = textOf({
      kind: 'raised',
      severity: 'critical',
      title: 't',
      lines: ['x'.repeat(length % 2) + '\u{1F600}'.repeat(length / 2)],
      reference: 'r',
    });
    assert.ok(text.length <= 4_096);
    assert.ok(text.isWellFormed());
  }
});

test('Telegram: odd characters arrive as they are; 429, a wrong token and a reset are told apart; the token stays secret', async (t) => {
  const lab = createLab(t);
  const token = '42:secret-token';
  const replies = [
    undefined,
    { error: 429, description: 'Too Many Requests', retryAfterSeconds: 34 },
    'reset',
    { error: 403, description: 'bot was blocked' },
  ] as const;
  const bot = await lab.scriptedBotApi({ token, script: ({ before }) => replies[before] });
  const message: Message = {
    kind: 'raised',
    severity: 'critical',
    title: '_*[]()~`<b> ümlaut \u{1F600}',
    lines: ['a < b & c'],
    reference: 'r',
  };
  const open = (key: string) =>
    createTelegramChannels({ config: { token: { env: 'X' }, chats: ['-1001'], apiRoot: bot.url }, token: key })[0] ??
    assert.fail();
  const right = open(token);
  assert.deepEqual(await right.send(message, never), { ok: true });
  assert.equal(bot.messages[0]?.text, textOf(message));
  const limited = await right.send(message, never);
  assert.ok(!limited.ok && limited.afterMs === 34_000);
  const broken = await right.send(message, never);
  assert.ok(!broken.ok && broken.afterMs === undefined);
  const blocked = await right.send(message, never);
  assert.ok(!blocked.ok && (blocked.afterMs ?? 0) >= 60_000);
  assert.match(blocked.problem, /Telegram chat -1001: .*bot was blocked.*; check option alerts\.telegram/);
  const wrong = await open('43:other-token').send(message, never);
  assert.ok(!wrong.ok);
  for (const sent of [limited, broken, blocked, wrong])
    assert.ok(
      !sent.ok && !sent.problem.includes('secret-token') && !sent.problem.includes('other-token'),
      JSON.stringify(sent),
    );
});

const overrides: readonly (readonly [what: string, rules: string, message: RegExp])[] = [
  [
    'an unknown rule',
    '{agent-silen: {forSeconds: 1}}',
    /option alerts\.rules\.agent-silen: found an unknown rule, expected agent-silent \(the nearest known rule\)/,
  ],
  [
    'a limit that the rule has not',
    '{agent-silent: {fireAbove: 3}}',
    /option alerts\.rules\.agent-silent\.fireAbove: found a limit, expected no fireAbove/,
  ],
  ['limits the wrong way round', '{queue-old: {clearBelow: 5000}}', /found clearBelow 5000 above fireAbove 900/],
];
for (const [what, rules, message] of overrides) {
  test('checkRuleOverrides() refuses ' + what, (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'mailferry-rules-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'collector.yaml');
    writeFileSync(file, 'state: s\nalerts: {rules: ' + rules + '}\n');
    assert.throws(() => checkRuleOverrides(loadCollectorConfig(file)), message);
  });
}
