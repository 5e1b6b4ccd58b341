// The scripted servers behave well unless told otherwise; judged by clients that are not ours.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import Pop3Command from 'node-pop3';
import { createTransport } from 'nodemailer';
import { createLab } from './lab.ts';
import type { ScriptedPop3 } from './scripted-pop3.ts';
import type { ScriptedSmtp } from './scripted-smtp.ts';
import { waitFor } from './wait.ts';

const mail = (text: string): Buffer => Buffer.from('Subject: test\r\n\r\n' + text + '\r\n');
const client = (server: ScriptedPop3, password = 'right'): Pop3Command =>
  new Pop3Command({ host: server.host, port: server.port, user: 'info@example.org', password, timeout: 5_000 });
const transport = (server: ScriptedSmtp, options: object = {}) =>
  createTransport({ host: server.host, port: server.port, ignoreTLS: true, ...options });
const letter = (text: string) => ({
  envelope: { from: 'info@example.org', to: ['a@example.net', 'b@example.net'] },
  raw: mail(text),
});

/** Sends lines one after the other, each after the answer to the one before; gives everything that was said. */
async function talk(port: number, lines: readonly string[]): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port });
  let said = '';
  socket.on('data', (chunk) => void (said += chunk.toString('latin1')));
  socket.on('error', () => {});
  for (const line of lines) {
    const length = said.length;
    await waitFor('an answer', () => said.length > length || (length === 0 && said.endsWith('\r\n')));
    socket.write(line + '\r\n');
  }
  await waitFor('the end', () => socket.closed);
  return said;
}

async function pop3(t: TestContext, options: Parameters<ReturnType<typeof createLab>['scriptedPop3']>[0]) {
  return createLab(t).scriptedPop3({ user: 'info@example.org', password: 'right', ...options });
}

test('scripted POP3 lists, gives and deletes like a good server', async (t) => {
  const server = await pop3(t, { mails: [1, 2].map((n) => ({ uid: 'uid-' + n, bytes: mail('.' + n) })) });
  const session = client(server);
  assert.deepEqual(await session.UIDL(), [
    ['1', 'uid-1'],
    ['2', 'uid-2'],
  ]);
  assert.match(await session.RETR(2), /\r\n\.\.2/); // this client leaves the doubled dot
  await session.command('DELE', 1);
  assert.equal(server.mails.length, 2);
  await session.QUIT();
  await waitFor('the deletion', () => server.mails.length === 1);
  assert.deepEqual(server.deleted, ['uid-1']);
  assert.deepEqual(server.commands, ['USER info@example.org', 'PASS', 'UIDL', 'RETR 2', 'DELE 1', 'QUIT']);
  await assert.rejects(client(server, 'wrong').UIDL(), /\[AUTH\]/);
});

test('a POP3 script replaces one answer and leaves the others', async (t) => {
  const server = await pop3(t, {
    mails: [{ uid: 'one', bytes: mail('x') }],
    script: ({ verb, before, good }) =>
      verb === 'LIST' && before === 0 ? [good.subarray(0, 4), { pauseMs: 1 }, { end: 'reset' }] : undefined,
  });
  const said = await talk(server.port, ['USER info@example.org', 'PASS right', 'LIST']);
  assert.ok(said.endsWith('+OK\r'), JSON.stringify(said));
  const again = await talk(server.port, ['USER info@example.org', 'PASS right', 'LIST', 'QUIT']);
  assert.match(again, /1 20\r\n\.\r\n\+OK bye\r\n$/);
});

test('scripted SMTP takes mail with STARTTLS and AUTH', async (t) => {
  const lab = createLab(t);
  const { ca, keyFile, certFile } = await lab.certificate();
  const tls = { key: await readFile(keyFile, 'utf8'), cert: await readFile(certFile, 'utf8') };
  const server = await lab.scriptedSmtp({ login: { user: 'info', password: 'right' }, tls });
  const options = { ignoreTLS: false, requireTLS: true, tls: { ca }, auth: { user: 'info', pass: 'right' } };
  await transport(server, options).sendMail(letter('.first\r\nsecond'));
  const [taken] = server.mails;
  assert.equal(taken?.from, 'info@example.org');
  assert.deepEqual(taken.recipients, ['a@example.net', 'b@example.net']);
  assert.deepEqual(taken.bytes, mail('.first\r\nsecond'));
  const wrong = { ...options, auth: { user: 'info', pass: 'wrong' } };
  await assert.rejects(transport(server, wrong).sendMail(letter('x')), /535/);
  await assert.rejects(transport(server).sendMail(letter('x')), /530/);
  assert.ok(!JSON.stringify(server.commands).includes('right'));
});

test('an SMTP script refuses one recipient, then the body, then dies after the dot', async (t) => {
  const server = await createLab(t).scriptedSmtp({
    script: ({ verb, argument, before }) => {
      if (verb === 'RCPT' && argument.includes('b@')) return '550 5.1.1 nobody\r\n';
      if (verb !== 'body') return undefined;
      if (before === 0) return '451 4.3.0 later\r\n';
      return before === 1 ? { end: 'reset' } : undefined;
    },
  });
  await assert.rejects(transport(server).sendMail(letter('1')), /451/);
  await assert.rejects(transport(server).sendMail(letter('2')));
  assert.equal(server.mails.length, 0);
  const info = await transport(server).sendMail(letter('3'));
  assert.deepEqual(info.rejected, ['b@example.net']);
  assert.deepEqual(
    server.mails.map(({ recipients }) => recipients),
    [['a@example.net']],
  );
});

test('scripted LMTP answers once for each recipient', async (t) => {
  const server = await createLab(t).scriptedSmtp({
    protocol: 'lmtp',
    script: ({ verb, argument }) => (verb === 'body' && argument.startsWith('b@') ? '452 4.2.2 full\r\n' : undefined),
  });
  await transport(server, { lmtp: true }).sendMail(letter('x'));
  assert.deepEqual(
    server.mails.map(({ recipients }) => recipients),
    [['a@example.net']],
  );
});

test('a big body that ends in pieces is taken whole', async (t) => {
  const server = await createLab(t).scriptedSmtp({});
  const bytes = mail(('.'.repeat(70) + '\r\n').repeat(150_000));
  await transport(server).sendMail({ ...letter(''), raw: bytes });
  assert.ok(server.mails[0]?.bytes.equals(bytes));
});
