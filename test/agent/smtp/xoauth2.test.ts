// The login with an OAuth2 token, in the two steps that every provider takes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConversationError, openConversation } from '../../../agent/smtp/conversation.ts';
import type { Connection } from '../../lab/line-server.ts';
import { startLineServer } from '../../lab/line-server.ts';
import { optionsFor } from './talk.ts';

const good = 'user=info@example.org\u0001auth=Bearer good-token\u0001\u0001';

/** Offers `offer`; says what was said to it in `lines`. */
function serverOf(offer: string, lines: string[]) {
  return async (connection: Connection): Promise<void> => {
    await connection.act('220 ready\r\n');
    for (let line = await connection.line(); line !== undefined; line = await connection.line()) {
      lines.push(line);
      if (line.startsWith('EHLO')) await connection.act('250-x\r\n250 AUTH ' + offer + '\r\n');
      else if (line === 'AUTH XOAUTH2') await connection.act('334 \r\n');
      else if (line === '') await connection.act('535 5.7.8 Not accepted: ' + lines.at(-2) + ' good-token\r\n');
      else if (Buffer.from(line, 'base64').toString() === good) await connection.act('235 2.7.0 welcome\r\n');
      else
        await connection.act('334 ' + Buffer.from('{"status":"401","schemes":"bearer"}').toString('base64') + '\r\n');
    }
  };
}

test('XOAUTH2 goes in two steps and opens the session', async (t) => {
  const lines: string[] = [];
  const server = await startLineServer({ serve: serverOf('PLAIN XOAUTH2', lines) });
  t.after(server.close);
  const login = { user: 'info@example.org', token: 'good-token' };
  (await openConversation(optionsFor(server, { login }))).close();
  assert.deepEqual(lines, ['EHLO agent.example.org', 'AUTH XOAUTH2', Buffer.from(good).toString('base64')]);
});

test('an expired token: the challenge is answered, the status is told, the token is not', async (t) => {
  const lines: string[] = [];
  const server = await startLineServer({ serve: serverOf('XOAUTH2', lines) });
  t.after(server.close);
  const login = { user: 'info@example.org', token: 'expired-token' };
  await assert.rejects(openConversation(optionsFor(server, { login })), (error: unknown) => {
    assert.ok(error instanceof ConversationError);
    assert.equal(error.phase, 'auth');
    assert.equal(error.reply?.code, 535);
    assert.match(error.message, /535 5\.7\.8 Not accepted: \[redacted\] good-token \(the token: 401\)/);
    assert.doesNotMatch(error.message, /expired-token/);
    return true;
  });
  assert.equal(lines.at(-1), '', 'the challenge was answered by an empty line');
});

test('a token is never shown to a server that offers no XOAUTH2, and no weaker login is tried', async (t) => {
  const lines: string[] = [];
  const server = await startLineServer({ serve: serverOf('PLAIN LOGIN', lines) });
  t.after(server.close);
  const login = { user: 'info@example.org', token: 'good-token' };
  await assert.rejects(openConversation(optionsFor(server, { login })), /offers only PLAIN, LOGIN and not XOAUTH2/);
  assert.deepEqual(lines, ['EHLO agent.example.org']);
});

test('auth: login is taken instead of PLAIN when it is chosen', async (t) => {
  const lines: string[] = [];
  const server = await startLineServer({
    serve: async (connection) => {
      await connection.act('220 ready\r\n');
      for (let line = await connection.line(); line !== undefined; line = await connection.line()) {
        lines.push(line);
        if (line.startsWith('EHLO')) await connection.act('250-x\r\n250 AUTH PLAIN LOGIN\r\n');
        else await connection.act(lines.length < 4 ? '334 \r\n' : '235 2.7.0 welcome\r\n');
      }
    },
  });
  t.after(server.close);
  const login = { user: 'u', password: 'p', auth: 'login' } as const;
  (await openConversation(optionsFor(server, { login }))).close();
  assert.equal(lines[1], 'AUTH LOGIN');
});
