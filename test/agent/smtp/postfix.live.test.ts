// The real postfix: as the local server on its SMTP port, and as the provider's relay with STARTTLS and login.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConversationError, openConversation } from '../../../agent/smtp/conversation.ts';
import type { ConversationOptions } from '../../../agent/smtp/conversation.ts';
import { scopeOf, verdictOf } from '../../../agent/smtp/verdict.ts';
import { createLab } from '../../lab/lab.ts';
import type { Postfix } from '../../lab/postfix.ts';
import { withoutTrace } from '../../lab/maildir.ts';
import { waitFor } from '../../lab/wait.ts';
import { mailOf, optionsFor } from './talk.ts';

const login = { user: 'info@example.org', password: 'right' };

async function mailsAt(postfix: Postfix, address: string, count: number): Promise<readonly string[]> {
  await waitFor(count + ' mails for ' + address, async () => (await postfix.mails(address)).length === count);
  return (await postfix.mails(address)).map((bytes) => withoutTrace(bytes).toString('latin1'));
}

const header = 'From: info@example.org\r\nDate: Wed, 25 Nov 2026 08:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n';

test('postfix as the local server takes mail after mail over one conversation', async (t) => {
  const postfix = await createLab(t).postfix({
    role: 'local',
    domains: ['example.org'],
    mailboxes: ['info@example.org'],
  });
  const conversation = await openConversation(optionsFor({ host: postfix.host, port: postfix.smtp }));
  assert.equal(conversation.capabilities.has('PIPELINING'), true);
  const text = header + '\r\n.\r\n..dots\r\n\0\xff\xfe 8 bits\r\n';
  const recipients = ['nobody@example.org', 'info@example.org'];
  for (let count = 0; count < 3; count += 1) {
    const { recipients: answers } = await conversation.send(mailOf(text, { from: '', recipients }));
    assert.deepEqual(
      answers.map(({ reply, phase }) => verdictOf(reply, phase)),
      ['refused', 'delivered'],
    );
  }
  const refused = await conversation.send(mailOf(text, { recipients: ['nobody@example.org'] }));
  assert.deepEqual([refused.recipients[0]?.phase, refused.recipients[0]?.reply.code], ['recipients', 550]);
  const bare = await conversation.send(mailOf(header + '\r\na\n.\r\nb\rc', { recipients: ['info@example.org'] }));
  assert.equal(bare.bareLineEnds, 2);
  const found = await mailsAt(postfix, 'info@example.org', 4);
  assert.deepEqual(
    [...found].sort(),
    [text, text, text, header + '\r\na\r\n.\r\nb\r\nc\r\n'].map((mail) => mail.replaceAll('\r\n', '\n')).sort(),
  );
  await conversation.quit();
});

test('postfix as relay: STARTTLS and login, then mail; without them one line says what is missing', async (t) => {
  const lab = createLab(t);
  const domains = ['example.net'];
  const postfix = await lab.postfix({ role: 'relay', domains, users: { [login.user]: login.password } });
  const place = { host: postfix.host, port: postfix.submission };
  const endpoint = { ...place, tls: 'starttls', ca: postfix.ca } as const;
  const conversation = await openConversation(optionsFor(place, { endpoint, login }));
  for (let count = 0; count < 2; count += 1) {
    const { recipients } = await conversation.send(mailOf(header + '\r\nhello ' + count + '\r\n'));
    assert.equal(recipients[0]?.reply.enhanced, '2.0.0');
  }
  await conversation.quit();
  const found = await mailsAt(postfix, 'sales@example.net', 2);
  assert.match(found.join(''), /hello 0\n[\s\S]*hello 1\n|hello 1\n[\s\S]*hello 0\n/);

  const failures: readonly (readonly [Partial<ConversationOptions>, string, RegExp])[] = [
    [
      { endpoint, login: { ...login, password: 'wrong' } },
      'auth',
      /Cannot log in at .*: the server answered 535 5\.7\.8 .*; check user and password$/,
    ],
    [
      { endpoint: { ...place, tls: 'starttls' }, login },
      'tls',
      /Cannot start TLS with .*check host, port, tls and caFile$/,
    ],
    [
      { endpoint: { ...endpoint, serverName: 'mail.example.com' }, login },
      'tls',
      /ERR_TLS_CERT_ALTNAME_INVALID, expected a valid certificate for mail\.example\.com/,
    ],
    [{ endpoint: { ...place, tls: 'none' }, login }, 'auth', /the server offers no login \(AUTH\); check port and tls/],
    [
      { endpoint: { ...endpoint, tls: 'implicit' }, login },
      'tls',
      /Cannot start TLS with .*seems to speak plain text first: check port, and tls/,
    ],
  ];
  for (const [options, phase, message] of failures) {
    await assert.rejects(openConversation(optionsFor(place, options)), (error: unknown) => {
      assert.ok(error instanceof ConversationError, String(error));
      assert.deepEqual([error.phase, scopeOf(error)], [phase, 'relay'], error.message);
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /\n|wrong$/);
      return true;
    });
  }
  assert.equal(await postfix.sent(), 2);
});
