// E-mail and Telegram against servers that misbehave: what is told, what is tried again when, what stays secret.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createEmailChannels } from '../../../collector/alert/email.ts';
import type { Message } from '../../../collector/alert/message.ts';
import type { Channel, Sent } from '../../../collector/alert/notify.ts';
import { createTelegramChannels } from '../../../collector/alert/telegram.ts';
import type { EmailConfig } from '../../../collector/config.ts';
import { createLab } from '../../lab/lab.ts';
import { waitFor } from '../../lab/wait.ts';

const message: Message = {
  kind: 'raised',
  severity: 'critical',
  title: 'acme/nas-1: mailbox ümlaut <b> cannot be fetched',
  lines: ['New mail waits.', '', 'Reason: a < b & "c"', 'http://127.0.0.1:8420/#/agent/acme/nas-1'],
  reference: '0123456789ab',
};
const { signal: never } = new AbortController();

function emailTo(port: number, more: Partial<EmailConfig> = {}, password?: string): readonly Channel[] {
  const config = {
    host: '127.0.0.1',
    port,
    tls: 'none' as const,
    from: 'alerts@ops.example',
    to: ['team@ops.example'],
  };
  return createEmailChannels({ config: { ...config, ...more }, ...(password === undefined ? {} : { password }) });
}
const first = (channels: readonly Channel[]): Channel => channels[0] ?? assert.fail('no channel');
const problemOf = async (channel: Channel) => {
  const sent = await channel.send(message, never);
  assert.ok(!sent.ok, 'expected a failure');
  return sent;
};
/** Header fields by lower-case name, unfolded. */
function headOf(bytes: Buffer): ReadonlyMap<string, string> {
  const head = bytes.toString('utf8').split('\r\n\r\n')[0] ?? '';
  const lines = head.replaceAll(/\r\n[ \t]+/g, ' ').split('\r\n');
  return new Map(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 2)]),
  );
}

/** Long before the deadlines of the channels themselves. */
async function endsSoon(sending: Promise<Sent>): Promise<void> {
  const ended: Sent[] = [];
  void sending.then((sent) => ended.push(sent));
  await waitFor('the end of the sending', () => ended.length === 1, { timeoutMs: 5_000 });
  assert.equal(ended[0]?.ok, false);
}

test('e-mail: a repeat has the same Message-ID, the end refers to the beginning, and nobody answers it automatically', async (t) => {
  const smtp = await createLab(t).scriptedSmtp({});
  const channel = first(emailTo(smtp.port));
  for (const kind of ['raised', 'raised', 'resolved'] as const)
    assert.deepEqual(await channel.send({ ...message, kind }, never), { ok: true });
  const [raised, repeated, resolved] = smtp.mails.map(({ bytes }) => headOf(bytes));
  assert.ok(raised !== undefined && repeated !== undefined && resolved !== undefined);
  const id = raised.get('message-id') ?? '';
  assert.match(id, /^<0123456789ab\.raised\.mailferry@ops\.example>$/);
  assert.equal(repeated.get('message-id'), id);
  assert.notEqual(resolved.get('message-id'), id);
  assert.deepEqual([resolved.get('in-reply-to'), resolved.get('references')], [id, id]);
  assert.equal(raised.get('auto-submitted'), 'auto-generated');
  assert.match(raised.get('list-id') ?? '', /<alerts\.mailferry\.ops\.example>/);
  assert.equal(smtp.mails[0]?.from, 'alerts@ops.example');
  const html = smtp.mails[0]?.bytes.toString('utf8').split('Content-Type: text/html')[1]?.replaceAll('=\r\n', '') ?? '';
  assert.ok(html.includes('&lt;b&gt;') && !html.includes('<b>'), 'what comes from outside is no markup');
});

test('e-mail: a recipient who is refused or put off keeps nothing from the others and is not passed over', async (t) => {
  const smtp = await createLab(t).scriptedSmtp({
    script: ({ verb, argument }) => {
      if (verb === 'RCPT' && argument.includes('gone@')) return '550 5.1.1 no such user\r\n';
      return verb === 'RCPT' && argument.includes('grey@') ? '451 4.7.1 try again later\r\n' : undefined;
    },
  });
  const to = ['gone@ops.example', 'grey@ops.example', 'team@ops.example', 'team@ops.example'];
  const channels = emailTo(smtp.port, { to });
  assert.equal(new Set(channels.map(({ name }) => name)).size, 3, 'who is named twice is told once');
  const sent = await Promise.all(channels.map((channel) => channel.send(message, never)));
  const [gone, grey, well] = sent;
  assert.ok(gone?.ok === false && (gone.afterMs ?? 0) >= 60_000, 'a person must mend it');
  assert.match(gone.problem, /g\*\*\*@ops\.example through 127\.0\.0\.1:\d+: .*no such user.*option alerts\.email/);
  assert.ok(grey?.ok === false && grey.afterMs === undefined, 'soon again');
  assert.deepEqual(well, { ok: true });
  assert.deepEqual(
    smtp.mails.map(({ recipients }) => recipients),
    [['team@ops.example']],
  );
});

test('e-mail: a wrong password is not tried every few seconds, and is not repeated', async (t) => {
  const smtp = await createLab(t).scriptedSmtp({ login: { user: 'alerts', password: 'right' } });
  const sent = await problemOf(first(emailTo(smtp.port, { user: 'alerts' }, 'very-secret')));
  assert.ok((sent.afterMs ?? 0) >= 60_000);
  assert.match(sent.problem, /535/);
  assert.ok(
    !sent.problem.includes('very-secret') && !sent.problem.includes(Buffer.from('very-secret').toString('base64')),
  );
});

test('e-mail: where a login is configured and none is offered, nothing is sent without', async (t) => {
  const smtp = await createLab(t).scriptedSmtp({});
  await problemOf(first(emailTo(smtp.port, { user: 'alerts' }, 'very-secret')));
  assert.equal(smtp.mails.length, 0);
  assert.ok(!smtp.commands.some((line) => line.startsWith('MAIL')));
});

test('e-mail: where STARTTLS is configured and not offered, neither mail nor password is sent', async (t) => {
  const smtp = await createLab(t).scriptedSmtp({ login: { user: 'alerts', password: 'right' } });
  await problemOf(first(emailTo(smtp.port, { tls: 'starttls', user: 'alerts' }, 'right')));
  assert.ok(!smtp.commands.some((line) => /^(AUTH|MAIL)/.test(line)), smtp.commands.join(' | '));
});

test('e-mail: a server that says nothing more is cut off by the stop', async (t) => {
  const smtp = await createLab(t).scriptedSmtp({
    script: ({ verb }) => (verb === 'body' ? { end: 'hang' } : undefined),
  });
  const stop = new AbortController();
  const sending = first(emailTo(smtp.port)).send(message, stop.signal);
  await waitFor('the mail on the way', () => smtp.commands.includes('DATA'));
  stop.abort();
  await endsSoon(sending);
});

test('Telegram: a chat named twice is told once; a slash at the end of the address is no fault', async (t) => {
  const bot = await createLab(t).scriptedBotApi({ token: '42:secret' });
  const config = { token: { env: 'X' }, chats: ['-1001', '@channel', '-1001'], apiRoot: bot.url + '/' };
  const channels = createTelegramChannels({ config, token: '42:secret' });
  for (const channel of channels) assert.deepEqual(await channel.send(message, never), { ok: true });
  assert.deepEqual(
    bot.messages.map(({ chat }) => chat),
    ['-1001', '@channel'],
  );
});

test('Telegram: an API out of reach is named with its cause, without the token', async (t) => {
  const port = await createLab(t).freePort();
  const config = { token: { env: 'X' }, chats: ['-1001'], apiRoot: 'http://127.0.0.1:' + port };
  const sent = await problemOf(first(createTelegramChannels({ config, token: '42:secret/ä' })));
  assert.match(sent.problem, /ECONNREFUSED/);
  assert.ok(!sent.problem.includes('secret'), sent.problem);
  assert.equal(sent.afterMs, undefined);
});

test('Telegram: a server that says nothing is cut off by the stop', async (t) => {
  const bot = await createLab(t).scriptedBotApi({ script: () => 'hang' });
  const config = { token: { env: 'X' }, chats: ['-1001'], apiRoot: bot.url };
  const stop = new AbortController();
  const sending = first(createTelegramChannels({ config, token: '42:secret' })).send(message, stop.signal);
  await waitFor('the call', () => bot.calls.length === 1);
  stop.abort();
  await endsSoon(sending);
});
