// Seeded random sessions: commands in any order, several in one write, cut anywhere. Whatever comes, a mail is taken only
// after a login in the same session, for the sender that the login allows; and the server answers the next client.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openOwnCertificate } from '../../../agent/send/submission/own-certificate.ts';
import { letter, password, plain, submit, user } from './rig.ts';
import { startSubmission } from './submission-rig.ts';
import type { Server } from './submission-rig.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const vocabulary = [
  'EHLO x',
  'HELO x',
  'EHLO',
  'NOOP',
  'RSET',
  'QUITE',
  'VRFY a',
  'HELP',
  'DATA',
  'STARTTLS',
  'STARTTLS x',
  plain(),
  plain(user, 'wrong'),
  plain('', ''),
  'AUTH PLAIN',
  'AUTH LOGIN',
  'AUTH LOGIN ' + base64(user),
  base64(password),
  base64(user),
  base64('\0' + user + '\0' + password),
  '*',
  '=',
  'AUTH CRAM-MD5',
  'AUTH XOAUTH2 eA==',
  'AUTH',
  'MAIL FROM:<sales@office.test>',
  'MAIL FROM:<a@evil.test>',
  'MAIL FROM:<>',
  'MAIL FROM:<sales@office.test> SIZE=1 BODY=8BITMIME',
  'MAIL FROM:<@office.test:a@evil.test>',
  'MAIL FROM: <sales@office.test> AUTH=<>',
  'MAIL FROM:<"sales@office.test"@evil.test>',
  'RCPT TO:<victim@world.test>',
  'RCPT TO:<victim@world.test> NOTIFY=NEVER',
  'RCPT TO:<>',
  'RCPT TO:<@a.test:victim@world.test>',
  'From: sales@office.test',
  'From: a@evil.test',
  '',
  '.',
  '..',
  'Subject: x',
  'XCLIENT LOGIN=sales',
  'x'.repeat(2_000),
  '\0',
  '\u00ff',
] as const;
const mail = ['MAIL FROM:<sales@office.test>', 'RCPT TO:<victim@world.test>', 'DATA', 'Subject: x', '', 'text', '.'];
const good = ['EHLO x', plain(), ...mail, 'RSET', ...mail];

function createRandom(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => (state = (state * 48_271) % 2_147_483_647) % limit;
}

/** What the server said in one session, and what was taken in it. */
async function play(
  server: Server,
  seed: number,
): Promise<{ readonly text: string; readonly lines: readonly string[] }> {
  const random = createRandom(seed);
  const strange = (): string => vocabulary[random(vocabulary.length)] ?? 'NOOP';
  // A good session in which lines are left out, replaced, doubled, or preceded by others.
  const lines = good.flatMap((line): readonly string[] => {
    switch (random(14)) {
      case 0:
        return [];
      case 1:
        return [strange()];
      case 2:
        return [strange(), line];
      case 3:
        return [line, line];
      default:
        return [line];
    }
  });
  const bytes = Buffer.from(
    lines.map((line) => line + (random(15) === 0 ? '\n' : '\r\n')).join('') + '\r\n.\r\nQUIT\r\n',
    'latin1',
  );
  const socket = connect(server.port, '127.0.0.1');
  let text = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk));
  socket.on('error', () => {});
  const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()));
  for (let at = 0; at < bytes.length;) {
    const size = 1 + random(random(4) === 0 ? 3 : 400);
    if (socket.destroyed || !socket.writable) break;
    socket.write(bytes.subarray(at, at + size));
    at += size;
    await new Promise((resolve) => setImmediate(resolve));
  }
  // After STARTTLS the server waits for TLS, after half a mail for the rest: the client leaves.
  const late = setTimeout(() => socket.destroy(), 250);
  await closed;
  clearTimeout(late);
  return { text, lines };
}

for (const [name, secure] of [
  ['where passwords travel in clear', false],
  ['where STARTTLS comes first', true],
] as const)
  test('random sessions ' + name, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'mailferry-fuzz-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const tls = secure
      ? await openOwnCertificate({ folder, names: ['localhost', '127.0.0.1'], now: Date.now })
      : undefined;
    const server = await startSubmission(t, {
      ...(tls && { tls }),
      submission: { maxRecipients: 3, maxSizeBytes: 4_096 },
    });
    let mails = 0;
    for (let seed = 1; seed <= 300; seed += 1) {
      const before = server.taken.length;
      const { text, lines } = await play(server, seed * 7_919);
      const taken = server.taken.slice(before);
      const about = 'seed ' + seed + ': ' + JSON.stringify(lines);
      mails += taken.length;
      if (!/^235 /m.test(text)) assert.equal(taken.length, 0, about);
      if (secure) assert.doesNotMatch(text, /^235 /m, about);
      for (const { from, rights, passage } of taken)
        assert.deepEqual([from, rights.user, passage.from], ['sales@office.test', user, 'sales@office.test'], about);
      for (const line of text.split('\r\n').slice(0, -1)) assert.match(line, /^[2345]\d\d[ -]/, about);
    }
    t.diagnostic('300 sessions, ' + mails + ' mails taken');
    assert.equal(mails > 20, !secure, 'sessions get far enough where they may: ' + mails);
    await submit(server.port, { raw: letter(), ...(tls && { ca: tls.cert }) });
  });
