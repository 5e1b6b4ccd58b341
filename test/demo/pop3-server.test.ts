// The simulated provider against a client that is not ours.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import Pop3Command from 'node-pop3';
import { createPop3Server } from '../../demo/pop3-server.ts';
import type { Mailbox } from '../../demo/pop3-server.ts';

const mail = (text: string): Buffer => Buffer.from('Subject: test\r\n\r\n' + text + '\r\n');

async function start(t: TestContext, texts: readonly string[]) {
  const mailbox: Mailbox = {
    password: 'right',
    mails: texts.map((text, index) => ({ uid: 'uid-' + (index + 1), bytes: mail(text) })),
  };
  const server = createPop3Server({ mailboxes: new Map([['info@demo.example', mailbox]]) });
  const port = await server.listen();
  t.after(server.close);
  const client = (password = 'right') =>
    new Pop3Command({ host: '127.0.0.1', port, user: 'info@demo.example', password, timeout: 5_000 });
  return { mailbox, client };
}

test('the simulated provider lists, gives and deletes mail', async (t) => {
  const { mailbox, client } = await start(t, ['one', 'two']);
  const pop3 = client();
  assert.deepEqual(await pop3.UIDL(), [
    ['1', 'uid-1'],
    ['2', 'uid-2'],
  ]);
  assert.match(await pop3.RETR(2), /^Subject: test\r\n\r\ntwo/);
  await pop3.command('DELE', 2);
  await pop3.QUIT();
  assert.deepEqual(
    mailbox.mails.map(({ uid }) => uid),
    ['uid-1'],
  );
});

test('the simulated provider refuses a wrong password', async (t) => {
  const { client } = await start(t, []);
  await assert.rejects(client('wrong').UIDL(), /\[AUTH\]/);
});

test('a mail deleted without QUIT stays', async (t) => {
  const { mailbox, client } = await start(t, ['one']);
  const pop3 = client();
  await pop3.UIDL();
  await pop3.command('DELE', 1);
  assert.equal(mailbox.mails.length, 1);
  await pop3.QUIT();
  assert.equal(mailbox.mails.length, 0);
});
