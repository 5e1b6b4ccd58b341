import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConversationError } from '../../../agent/smtp/conversation.ts';
import type { Phase } from '../../../agent/smtp/conversation.ts';
import { createReplyReader } from '../../../agent/smtp/reply.ts';
import type { Reply } from '../../../agent/smtp/reply.ts';
import { scopeOf, verdictOf } from '../../../agent/smtp/verdict.ts';
import type { Scope, Verdict } from '../../../agent/smtp/verdict.ts';

function replyOf(line: string): Reply {
  let reply: Reply | undefined;
  createReplyReader({ onReply: (read) => (reply = read) }).push(Buffer.from(line + '\r\n'));
  assert.ok(reply);
  return reply;
}

const rows: readonly (readonly [string, Phase, Verdict, Scope])[] = [
  ['250 2.0.0 taken', 'after-dot', 'delivered', 'message'],
  ['251 will forward', 'after-dot', 'delivered', 'message'],
  ['250 2.1.5 ok', 'recipients', 'later', 'recipient'], // an accepted recipient is not a delivered mail
  ['354 go on', 'after-dot', 'later', 'message'],
  ['550 5.1.1 no such user', 'recipients', 'refused', 'recipient'],
  ['550 5.1.1 no such user', 'after-dot', 'refused', 'message'],
  ['550 no text code', 'recipients', 'refused', 'recipient'],
  ['450 4.2.0 greylisted', 'recipients', 'later', 'recipient'],
  ['452 4.5.3 too many recipients', 'recipients', 'later', 'recipient'],
  ['452 4.3.1 disk full', 'mail', 'later', 'message'],
  ['552 mailbox full', 'after-dot', 'later', 'message'],
  ['552 5.2.2 quota exceeded', 'recipients', 'later', 'recipient'],
  ['550 5.2.2 quota exceeded', 'recipients', 'later', 'recipient'],
  ['554 5.3.1 system full', 'after-dot', 'later', 'message'],
  ['552 5.3.4 message too big', 'mail', 'refused', 'message'],
  ['552 5.2.3 message too big', 'body', 'refused', 'message'],
  ['554 5.7.1 rejected', 'mail', 'refused', 'message'],
  ['554 5.6.0 bad header', 'after-dot', 'refused', 'message'],
  ['500 line too long', 'after-dot', 'refused', 'message'],
  ['500 unknown command', 'mail', 'later', 'message'],
  ['502 not implemented', 'data', 'later', 'message'],
  ['501 5.1.3 bad address', 'recipients', 'refused', 'recipient'],
  ['503 5.5.1 bad sequence', 'data', 'later', 'message'],
  ['504 5.5.2 need a full address', 'recipients', 'refused', 'recipient'],
  ['553 5.1.8 sender domain', 'mail', 'refused', 'message'],
  ['421 4.3.2 shutting down', 'after-dot', 'later', 'relay'],
  ['421 4.7.0 too many connections', 'mail', 'later', 'relay'],
  ['432 4.3.2 concurrent connections', 'mail', 'later', 'relay'],
  ['530 5.7.0 log in first', 'mail', 'later', 'relay'],
  ['535 5.7.8 wrong password', 'auth', 'later', 'relay'],
  ['550 5.7.30 basic authentication is not supported', 'auth', 'later', 'relay'],
  ['454 4.7.0 too many login attempts', 'auth', 'later', 'relay'],
  ['554 5.7.1 no mail from you', 'greeting', 'later', 'relay'],
  ['554 5.7.1 who are you', 'hello', 'later', 'relay'],
  ['454 4.7.0 TLS not available', 'tls', 'later', 'relay'],
];

test('every reply has one meaning in its phase', () => {
  for (const [line, phase, verdict, scope] of rows) {
    const reply = replyOf(line);
    assert.equal(verdictOf(reply, phase), verdict, line + ' at ' + phase);
    assert.equal(scopeOf({ reply, phase }), scope, line + ' at ' + phase);
  }
});

test('a line that broke concerns every mail, but not once the mail itself may have broken it', () => {
  const scopes = new Map<Phase, Scope>([
    ['connect', 'relay'],
    ['tls', 'relay'],
    ['greeting', 'relay'],
    ['hello', 'relay'],
    ['auth', 'relay'],
    ['mail', 'relay'],
    ['recipients', 'relay'],
    ['data', 'relay'],
    ['body', 'message'],
    ['after-dot', 'message'],
  ]);
  for (const [phase, scope] of scopes) assert.equal(scopeOf(new ConversationError('broke', { phase })), scope, phase);
});
