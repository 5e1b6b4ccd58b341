import assert from 'node:assert/strict';
import { test } from 'node:test';
import { presetNames } from '../../../agent/accounts/presets.ts';
import { createReplyReader } from '../../../agent/smtp/reply.ts';
import type { Reply } from '../../../agent/smtp/reply.ts';
import { replyRules } from '../../../agent/smtp/reply-rules.ts';
import { judge, scopeOf, verdictOf } from '../../../agent/smtp/verdict.ts';
import { replyTable } from './reply-table.ts';

const at1020 = new Date(2026, 10, 25, 10, 20, 0).getTime();

/** Through the reader, as from the line: `/` ends a line where a code follows or the text goes on. */
function replyOf(text: string): Reply {
  const code = text.slice(0, 3);
  const lines = text.split(' / ').map((line) => line.replace(/^\d{3}[ -]/, ''));
  const wire = lines.map((line, index) => code + (index < lines.length - 1 ? '-' : ' ') + line + '\r\n').join('');
  let reply: Reply | undefined;
  createReplyReader({ onReply: (read) => (reply = read) }).push(Buffer.from(wire));
  assert.ok(reply);
  return reply;
}

test('each of the real replies means what its row says', () => {
  for (const row of replyTable) {
    const { meaning, remedy, ...found } = judge({ reply: replyOf(row.reply), phase: row.phase }, { now: at1020 });
    const { verdict, scope, waitSeconds, session, rule } = row;
    assert.deepEqual(found, { verdict, scope, waitSeconds, session, rule }, row.reply + ' (' + row.source + ')');
    assert.match(meaning, /^[A-Z].*[^.]$/, row.reply);
    assert.ok(remedy === '' || /^[A-Z].*[^.]$/.test(remedy), row.reply);
  }
});

test('the table has at least sixty replies, each with its source, and every rule is hit by one of them', () => {
  assert.ok(replyTable.length >= 60, String(replyTable.length));
  for (const row of replyTable) assert.ok(row.source.length > 5, row.reply);
  assert.equal(new Set(replyTable.map((row) => row.phase + row.reply)).size, replyTable.length);
  const hit = new Set(replyTable.map((row) => row.rule));
  assert.deepEqual(
    replyRules.map((rule) => rule.id).filter((id) => !hit.has(id)),
    [],
  );
  assert.equal(new Set(replyRules.map((rule) => rule.id)).size, replyRules.length);
  for (const { id, presets = [], source } of replyRules) {
    assert.ok(source.length > 5, id);
    assert.ok(
      presets.every((preset) => presetNames.includes(preset)),
      id,
    );
  }
});

test('the reply decides by all of its lines, wherever the reason stands and however it is cut', () => {
  const reason = 'Mail send limit exceeded.';
  for (const lines of [
    [reason],
    ['Requested mail action not taken', reason],
    [reason, 'see the help'],
    ['a', 'Mail send', 'limit exceeded.'],
  ]) {
    const judged = judge({ reply: replyOf('450 ' + lines.join(' / ')), phase: 'recipients' }, { now: at1020 });
    assert.equal(judged.rule, 'ionos-hour', lines.join('|'));
  }
});

test('an address in a reply decides nothing: anybody can choose it', () => {
  for (const address of [
    'send.quota.exceeded@example.org',
    '<hourly-limit@spam.example.org>',
    '<mailbox-full@example.org>',
  ]) {
    const judged = judge({ reply: replyOf('550 5.1.1 ' + address + ': no'), phase: 'recipients' }, { now: at1020 });
    assert.deepEqual([judged.verdict, judged.scope, judged.rule], ['refused', 'recipient', ''], address);
  }
});

test('what one mail or its recipient suffers from stops no account and no relay', () => {
  for (const text of [
    "452 4.2.1 The recipient's mailbox has exceeded its limit of messages per hour",
    '450 4.2.1 The user you are trying to contact is receiving mail at a rate limit',
    '554 5.7.1 Message content rejected: a link in it is on a blacklist',
    '550 5.7.1 Your sender domain is blacklisted here',
  ]) {
    const { scope } = judge({ reply: replyOf(text), phase: 'recipients' }, { now: at1020 });
    assert.ok(scope === 'recipient' || scope === 'message', text + ' -> ' + scope);
  }
});

test('an accepted mail is accepted whatever the text says', () => {
  const judged = judge(
    { reply: replyOf('250 2.0.0 taken, but your daily sending limit is near'), phase: 'after-dot' },
    { now: at1020 },
  );
  assert.deepEqual([judged.verdict, judged.rule], ['delivered', '']);
});

test('a broken line is later for the relay, and nobody knows more', () => {
  const judged = judge({ reply: undefined, phase: 'mail' }, { now: at1020 });
  assert.deepEqual([judged.verdict, judged.scope, judged.waitSeconds, judged.rule], ['later', 'relay', undefined, '']);
});

test('waits end at the next window, a little late, or when the server says', () => {
  const wait = (text: string, now: number) => judge({ reply: replyOf(text), phase: 'recipients' }, { now }).waitSeconds;
  assert.equal(wait('450 Mail send limit exceeded', new Date(2026, 10, 25, 23, 59, 30).getTime()), 30 + 90);
  assert.equal(wait('450 Mail send limit exceeded', new Date(2026, 10, 25, 10, 0, 0).getTime()), 3_600 + 90);
  assert.equal(wait('450 4.7.1 greylisted, try again in 10 minutes', at1020), 600);
  assert.equal(wait('450 4.7.1 greylisted, come back in 45 seconds', at1020), 45);
  assert.equal(wait('450 4.7.1 greylisted for 99999 hours', at1020), 7_200);
  assert.equal(wait('450 4.7.1 greylisted for 0 seconds', at1020), 30);
});

test("no provider's rule reaches the local server: there the code alone decides", () => {
  const reply = replyOf('550 Send quota exceeded');
  assert.deepEqual([verdictOf(reply, 'recipients'), scopeOf({ reply, phase: 'recipients' })], ['refused', 'recipient']);
});

test('whatever a server says, a judgement is bounded and quick', () => {
  const words = [
    'limit',
    'exceeded',
    'per',
    'hour',
    'mail',
    'too',
    'many',
    'sender',
    'address',
    '<',
    '>',
    '@',
    ' ',
    'quota',
    '5.7.1',
  ];
  let seed = 7;
  const random = (below: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return seed % below;
  };
  for (let round = 0; round < 300; round += 1) {
    const text = Array.from({ length: random(4_000) }, () => words[random(words.length)]).join(
      random(2) === 0 ? ' ' : '',
    );
    const started = performance.now();
    const judged = judge(
      { reply: { code: 400 + random(200), enhanced: undefined, text }, phase: 'after-dot' },
      { now: at1020 },
    );
    assert.ok((judged.waitSeconds ?? 0) <= 86_490);
    assert.ok(performance.now() - started < 250, text.slice(0, 80));
  }
});
