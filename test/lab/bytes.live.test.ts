// What the real servers themselves do with the bytes of the corpus. The flow tests build on it: what they see beyond this
// is the agent's doing.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { corpus } from '../corpus/corpus.ts';
import { createLab } from './lab.ts';
import { withoutTrace, withCrlf } from './maildir.ts';
import { handOver, retrieveAll } from './plain-clients.ts';
import { waitFor } from './wait.ts';

const user = 'info@example.org';
const letter = { from: 'sender@example.net' };
const mails = corpus();
const show = (bytes: Buffer): string =>
  bytes.length + ' bytes ' + JSON.stringify(bytes.toString('latin1').slice(0, 300));

function compare(name: string, found: Buffer | undefined, expected: Buffer): void {
  assert.ok(found?.equals(expected), name + ': ' + show(found ?? Buffer.alloc(0)) + ' expected ' + show(expected));
}

test('dovecot gives by POP3 every byte of the corpus, with a bare LF as CRLF', async (t) => {
  const dovecot = await createLab(t).dovecot({ users: { [user]: 'right' } });
  for (const { bytes } of mails) await dovecot.put(user, bytes());
  const found = await retrieveAll({ port: dovecot.pop3, user, password: 'right' });
  assert.equal(found.length, mails.length);
  for (const [index, { name, bytes }] of mails.entries()) compare(name, found[index], withCrlf(bytes()));
});

test('dovecot stores what comes by LMTP with LF line ends, and nothing else changed', async (t) => {
  const dovecot = await createLab(t).dovecot({ users: { [user]: 'right' } });
  const sent = mails.map(({ bytes }) => bytes());
  const answers = await handOver({ ...letter, protocol: 'lmtp', port: dovecot.lmtp, to: user, mails: sent });
  assert.deepEqual(
    answers.filter((answer) => !answer.startsWith('250 ')),
    [],
  );
  const found = (await dovecot.mails(user)).map(withoutTrace);
  for (const [index, { name, bytes }] of mails.entries()) {
    const expected = Buffer.from(bytes().toString('latin1').replaceAll('\r\n', '\n'), 'latin1');
    compare(name, found[index], expected);
  }
});

/** What postfix changes beyond line ends, by name. */
const changedByPostfix: Readonly<Record<string, (stored: string) => string>> = {
  // cleanup(8) puts a blank where a CR stands alone, and drops CRs before a line end.
  'bare-cr': (stored) => stored.replaceAll('\r', ' '),
  'bare-cr-last': (stored) => stored.replaceAll(/\r+\n/g, '\n'),
  'bare-cr-dot': (stored) => stored.replaceAll('\r', ' '),
  'bare-both': (stored) => stored.replaceAll(/\r+\n/g, '\n').replaceAll('\r', ' '),
  // The header ends before the first line that is no header line.
  'nul-first': (stored) => '\n' + stored,
  'text-only': (stored) => '\n' + stored,
  'header-oddities': (stored) => '\n' + stored,
  'mbox-first-line': (stored) => 'X-Mailbox-Line: ' + stored,
};

test('postfix stores what comes by SMTP with LF line ends and few, named changes', async (t) => {
  const postfix = await createLab(t).postfix({ role: 'local', domains: ['example.org'] });
  for (const { name, bytes } of mails) {
    const to = name + '@example.org';
    const [answer] = await handOver({ ...letter, protocol: 'smtp', port: postfix.smtp, to, mails: [bytes()] });
    assert.match(answer ?? '', /^250 /, name);
  }
  await waitFor('all deliveries', async () => (await postfix.sent()) === mails.length);
  const stored = await postfix.all();
  for (const { name, bytes } of mails) {
    const found = stored.filter(({ to }) => to === name + '@example.org').map(({ bytes }) => withoutTrace(bytes));
    assert.equal(found.length, 1, name);
    const same = bytes().toString('latin1').replaceAll('\r\n', '\n');
    compare(name, found[0], Buffer.from(changedByPostfix[name]?.(same) ?? same, 'latin1'));
  }
});
