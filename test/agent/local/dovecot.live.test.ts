// The real Dovecot over LMTP: byte for byte. It stores LF for CRLF, so both sides are compared with LF.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { systemClock } from '#shared/clock.ts';
import { createLocal } from '../../../agent/local/local.ts';
import type { Local } from '../../../agent/local/local.ts';
import { corpus } from '../../corpus/corpus.ts';
import { createLab } from '../../lab/lab.ts';
import type { Dovecot } from '../../lab/dovecot.ts';
import { seeded, silent } from '../smtp/talk.ts';
import type { Owner } from '../smtp/talk.ts';

const user = 'info@example.org';
const users = { [user]: 'right', 'sales@example.org': 'right' };

function localAt(t: Owner, dovecot: Dovecot, sessions = 2): Local {
  const place = { host: dovecot.host, port: dovecot.lmtp, tls: 'none' } as const;
  const local = createLocal({
    config: { protocol: 'lmtp', ...place, domains: ['example.org'], sessions },
    endpoint: place,
    name: 'agent.example.org',
    clock: systemClock,
    log: silent,
  });
  t.after(local.close);
  return local;
}

async function deliver(local: Local, mail: Buffer, recipients: readonly string[] = [user]) {
  const body = { open: () => [mail], sizeBytes: mail.length };
  const signal = new AbortController().signal;
  return local.deliver({ from: 'sender@example.net', recipients, head: new Uint8Array(), body, signal });
}

/** As stored: CRLF is LF, and there is a line end at the end. */
function stored(mail: Buffer): Buffer {
  const text = mail.toString('latin1');
  const whole = text === '' || text.endsWith('\r\n') ? text : text + '\r\n';
  return Buffer.from(whole.replaceAll('\r\n', '\n'), 'latin1');
}

const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** The file ends with the very bytes of the mail; what Dovecot put on top is its trace. */
function assertStored(file: Buffer | undefined, mail: Buffer, name: string): void {
  assert.ok(file, name + ' is not stored');
  const expected = stored(mail);
  const tail = file.subarray(file.length - expected.length);
  assert.equal(digest(tail), digest(expected), name);
  const top = file.subarray(0, file.length - expected.length).toString('latin1');
  assert.match(top, /^(?:Return-Path|Delivered-To|Received):/, name);
  assert.match(top, /\n\tfor <info@example\.org>; [^\n]+\n$/, name + ' has something between the trace and the mail');
}

const hard: Readonly<Record<string, string>> = {
  'bare CR': 'Subject: x\r\n\r\na\rb\r\r\nc\r.d\r\n',
  'bare LF': 'Subject: x\r\n\r\na\nb\n\nc\r\n',
  'NUL and 8 bits': 'Subject: \xfc\r\n\r\n\0\x00\x80\xff\xfe\r\n',
  'a line of 100 kB': 'Subject: x\r\n\r\n' + 'y'.repeat(100_000) + '\r\nend\r\n',
  'leading dots': 'Subject: x\r\n\r\n.\r\n..\r\n...\r\n.a\r\n\r\n.\r\n',
  'dots after bare LF': 'Subject: x\r\n\r\na\n.b\n..c\n.\nd\r\n',
  'an end of DATA for lenient servers':
    'Subject: x\r\n\r\na\n.\r\nMAIL FROM:<evil@example.com>\r\nRCPT TO:<sales@example.org>\r\nDATA\r\nb\r\n',
  'no line end at the end': 'Subject: x\r\n\r\nend',
};

test('the mails that break tools are stored byte for byte', async (t) => {
  const dovecot = await createLab(t).dovecot({ users });
  const local = localAt(t, dovecot, 1);
  const mails = [
    ...Object.entries(hard).map(([name, text]) => ({ name, mail: Buffer.from(text, 'latin1') })),
    ...corpus().map(({ name, bytes }) => ({ name, mail: bytes() })),
  ];
  for (const { name, mail } of mails) {
    const result = await deliver(local, mail);
    assert.equal(result.recipients[0]?.verdict, 'delivered', name + ': ' + result.recipients[0]?.text);
    assert.equal(result.bareLineEnds, 0);
  }
  const files = await dovecot.mails(user);
  assert.equal(files.length, mails.length);
  for (const [index, { name, mail }] of mails.entries()) assertStored(files[index], mail, name);
  assert.equal(await dovecot.count('sales@example.org'), 0);
});

test('200 random mails over four sessions are stored byte for byte', async (t) => {
  const dovecot = await createLab(t).dovecot({ users });
  const local = localAt(t, dovecot, 4);
  const random = seeded(31);
  const words = ['\r\n', '\r', '\n', '.', '\n.\r\n', '\r\n.\r\n', 'word ', '\0', '\xff', 'z'.repeat(900)];
  const mails = Array.from({ length: 200 }, (_, n) => {
    const count = Math.floor(random() * 80);
    const text = Array.from({ length: count }, () => words[Math.floor(random() * words.length)]).join('');
    return Buffer.from('X-Number: ' + n + '\r\n\r\n' + text, 'latin1');
  });
  const results = await Promise.all(mails.map((mail) => deliver(local, mail)));
  assert.equal(
    results.every((result) => result.recipients[0]?.verdict === 'delivered'),
    true,
  );
  const files = await dovecot.mails(user);
  assert.equal(files.length, 200);
  for (const file of files) {
    const number = Number(/^X-Number: (\d+)$/m.exec(file.toString('latin1'))?.[1]);
    assertStored(file, mails[number] ?? Buffer.alloc(0), 'mail ' + number);
  }
});

test('each recipient has its own answer: taken, unknown, and taken again after a refusal', async (t) => {
  const dovecot = await createLab(t).dovecot({ users });
  const local = localAt(t, dovecot, 1);
  const mail = Buffer.from('Subject: x\r\n\r\nx\r\n');
  const result = await deliver(local, mail, [user, 'nobody@example.org', 'sales@example.org']);
  assert.deepEqual(
    result.recipients.map(({ verdict }) => verdict),
    ['delivered', 'refused', 'delivered'],
  );
  assert.match(result.recipients[1]?.text ?? '', /^550 5\.1\.1 /);
  const none = await deliver(local, mail, ['nobody@example.org']);
  assert.deepEqual(
    none.recipients.map(({ verdict }) => verdict),
    ['refused'],
  );
  assert.equal((await deliver(local, mail)).recipients[0]?.verdict, 'delivered');
  assert.deepEqual([await dovecot.count(user), await dovecot.count('sales@example.org')], [2, 1]);
});

test('a server that stops is a problem, one that starts again is none', async (t) => {
  const dovecot = await createLab(t).dovecot({ users });
  const local = localAt(t, dovecot);
  const mail = Buffer.from('Subject: x\r\n\r\nx\r\n');
  await deliver(local, mail);
  await dovecot.stop();
  const result = await deliver(local, mail);
  assert.equal(result.recipients[0]?.verdict, 'later');
  assert.match(local.problem() ?? '', /Cannot connect to 127\.0\.0\.1:\d+: ECONNREFUSED/);
  await dovecot.start();
  assert.equal((await deliver(local, mail)).recipients[0]?.verdict, 'delivered');
  assert.equal(local.problem(), undefined);
  assert.equal(await dovecot.count(user), 2);
});
