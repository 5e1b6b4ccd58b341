// Failures of POP3 fetchers at the local delivery, and the rest.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { systemClock } from '#shared/clock.ts';
import { createLog } from '#shared/log.ts';
import type { LocalConfig } from '../../../../agent/config.ts';
import { createLocal } from '../../../../agent/local/local.ts';
import { createLab } from '../../../lab/lab.ts';
import { startScriptedSmtp } from '../../../lab/scripted-smtp.ts';
import { waitFor } from '../../../lab/wait.ts';
import { createBench } from '../bench.ts';
import { count, delivered, failure, left, mail, mails, setScene, taken } from './scene.ts';

const quarantined = (folder: string): number =>
  readdirSync(join(folder, 'quarantine')).filter((name) => name.endsWith('.eml')).length;

failure('45', 'a mail that cannot be delivered does not hold up the others, and its tries are counted', async (t) => {
  const { pop3, smtp, bench } = await setScene(t, {
    pop3: { mails: mails('bad', 'b', 'c') },
    smtp: {
      script: ({ verb, before }) => (verb === 'body' && (before === 0 || before > 2) ? '451 4.3.0 odd\r\n' : undefined),
    },
    bench: { sessions: 1 },
  });
  for (let n = 0; n < 3; n += 1) await bench.fetch();
  assert.deepEqual([delivered(smtp), left(pop3)], [['b', 'c'], ['uid-bad']]);
  const row = bench.db.prepare("SELECT attempts FROM received WHERE state = 'seen'").get();
  assert.equal(row?.['attempts'], 3);
});

failure('46', 'a mail refused by local policy is kept aside, never bounced and never deleted', async (t) => {
  const { pop3, smtp, bench } = await setScene(t, {
    pop3: { mails: mails('spam', 'b') },
    smtp: { script: ({ verb, before }) => (verb === 'body' && before === 0 ? '554 5.7.1 spam\r\n' : undefined) },
    bench: { sessions: 1 },
  });
  for (let n = 0; n < 2; n += 1) await bench.fetch();
  assert.deepEqual([delivered(smtp), left(pop3), quarantined(bench.folder)], [['b'], ['uid-spam'], 1]);
  assert.deepEqual(
    [...new Set(smtp.commands.filter((line) => line.startsWith('RCPT')))],
    ['RCPT TO:<info@example.org>'],
  );
  assert.equal(count(smtp.commands, /^MAIL/), 2);
});

failure('47', 'a mail that is too large for the local server stays at the provider, without a bounce', async (t) => {
  for (const [answer, aside] of [
    ['552 too much mail data', 0],
    ['552 5.2.2 over quota', 0],
    ['552 5.3.4 message too big', 1],
  ] as const) {
    const { pop3, smtp, bench } = await setScene(t, {
      pop3: { mails: mails('a') },
      smtp: { script: ({ verb }) => (verb === 'body' ? answer + '\r\n' : undefined) },
    });
    for (let n = 0; n < 2; n += 1) await bench.fetch();
    assert.deepEqual([delivered(smtp), left(pop3), quarantined(bench.folder)], [[], ['uid-a'], aside], answer);
    assert.equal(count(smtp.commands, /^RCPT TO:<(?!info@example\.org>)/), 0);
  }
});

failure('48', 'raw UTF-8 in a header does not ask the local server for SMTPUTF8', async (t) => {
  const raw = {
    uid: 'u',
    bytes: Buffer.from('Subject: a\r\nX-Name: Gr\u00fc\u00dfe\r\n\r\nGr\u00fc\u00dfe\r\n', 'utf8'),
  };
  const { smtp, bench } = await setScene(t, {
    pop3: { mails: [raw] },
    smtp: { capabilities: ['PIPELINING', '8BITMIME', 'SMTPUTF8'] },
  });
  await bench.fetch();
  assert.deepEqual(taken(smtp, 'a'), raw.bytes);
  assert.equal(count(smtp.commands, /SMTPUTF8/), 0);
});

failure('49', 'recipients are never guessed from To, Cc or a header that a stranger may have written', async (t) => {
  const forged = {
    uid: 'u',
    bytes: Buffer.from(
      'Delivered-To: ceo@example.org\r\nX-Original-To: ceo@example.org\r\nReceived: by mx.test\r\nTo: ceo@example.org, sales@example.org\r\n' +
        'Cc: ops@example.org\r\nBcc: hidden@example.org\r\nSubject: a\r\n\r\ntext\r\n',
    ),
  };
  const { smtp, bench } = await setScene(t, { pop3: { mails: [forged] } });
  await bench.fetch();
  assert.deepEqual(
    smtp.mails.map(({ recipients }) => recipients),
    [['info@example.org']],
  );
});

failure('50', 'every mail that is handed over carries our own trace on top', async (t) => {
  const { smtp, bench } = await setScene(t, { pop3: { mails: mails('a') } });
  await bench.fetch();
  assert.match(smtp.mails[0]?.bytes.toString() ?? '', /^X-Mailferry-Trace: in abc123\r\nSubject: a\r\n/);
});

failure('51a', 'mails without a header, or without anything, are mails', async (t) => {
  const bodies = ['', '\r\n', 'no header at all\r\n', '\r\nbody alone\r\n', ': no name\r\n\r\n'];
  const { pop3, smtp, bench } = await setScene(t, {
    pop3: { mails: bodies.map((body, index) => ({ uid: 'uid-' + index, bytes: Buffer.from(body) })) },
    bench: { sessions: 1 },
  });
  const [status] = await bench.fetch();
  assert.deepEqual([status?.problem, left(pop3)], ['', []]);
  const found = smtp.mails.map(({ bytes }) => bytes.subarray(bytes.indexOf('\r\n') + 2).toString());
  assert.deepEqual(found.sort(), bodies.sort());
});

failure('51b', 'a large mail is held in a file, not in memory', async (t) => {
  const large = mail('a', 'line of text\r\n'.repeat(100_000));
  const { smtp, bench } = await setScene(t, {
    pop3: { mails: [large] },
    smtp: { script: ({ verb }) => (verb === 'MAIL' ? [{ pauseMs: 500 }, '250 ok\r\n'] : undefined) },
  });
  const done = bench.fetch();
  await waitFor('the hand-over', () => count(smtp.commands, /^MAIL/) === 1);
  assert.equal(readdirSync(join(bench.folder, 'incoming')).length, 1);
  await done;
  assert.ok(taken(smtp, 'a')?.equals(large.bytes));
  assert.deepEqual(readdirSync(join(bench.folder, 'incoming')), []);
});

failure('51c', 'the delay of a mail is taken from the topmost Received alone', async (t) => {
  const at = (secondsAgo: number): string =>
    new Date(Date.now() - secondsAgo * 1_000).toUTCString().replace('GMT', '+0000');
  const received =
    'Received: by mx.test; ' + at(90) + '\r\nReceived: by far.test; ' + at(90_000) + '\r\nSubject: a\r\n\r\nx\r\n';
  const { bench } = await setScene(t, { pop3: { mails: [{ uid: 'u', bytes: Buffer.from(received) }] } });
  await bench.fetch();
  const delay = Number(bench.mailIn()[0]?.fields['delay_seconds']);
  assert.ok(delay >= 89 && delay < 130, String(delay));
});

failure('51d', 'a certificate for another name is refused, before any password is sent', async (t) => {
  const lab = createLab(t);
  const { ca, keyFile, certFile } = await lab.certificate(['elsewhere.test']);
  const tls = { key: readFileSync(keyFile, 'utf8'), cert: readFileSync(certFile, 'utf8') };
  const pop3 = await lab.scriptedPop3({ mails: mails('a'), tls });
  const smtp = await lab.scriptedSmtp({});
  const bench = await createBench(t, lab, {
    accounts: [{ endpoint: { host: pop3.host, port: pop3.port, tls: 'starttls', ca } }],
    local: { host: smtp.host, port: smtp.port, tls: 'none' },
  });
  const [status] = await bench.fetch();
  assert.match(status?.problem ?? '', /certificate|ALTNAME/i);
  assert.deepEqual([count(pop3.commands, /^PASS/), delivered(smtp)], [0, []]);
});

failure('44', 'the answer to the final dot is waited for ten minutes', async (t) => {
  // RFC 5321 section 4.5.3.2.6: who waits less makes doubles. Time is the test's own.
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const seen: string[] = [];
  const smtp = await startScriptedSmtp({
    script: ({ verb }) => {
      seen.push(verb);
      return verb === 'body' ? { end: 'hang' } : undefined;
    },
  });
  const endpoint = { host: smtp.host, port: smtp.port, tls: 'none' } as const;
  const config: LocalConfig = { ...endpoint, protocol: 'smtp', domains: ['example.org'], sessions: 1 };
  const log = createLog({ level: 'silent', name: 'test' });
  const local = createLocal({ config, endpoint, name: 'agent.test', clock: systemClock, log });
  let done = false;
  const body = { open: () => [Buffer.from('Subject: a\r\n\r\nx\r\n')], sizeBytes: 17 };
  const { signal } = new AbortController();
  const delivery = local
    .deliver({ from: '', recipients: ['info@example.org'], head: Buffer.alloc(0), body, signal })
    .finally(() => (done = true));
  for (let n = 0; !seen.includes('body') && n < 1_000_000; n += 1) await turn();
  for (let n = 0; n < 200; n += 1) await turn();
  t.mock.timers.tick(590_000);
  for (let n = 0; n < 200; n += 1) await turn();
  assert.deepEqual([seen.includes('body'), done], [true, false]);
  t.mock.timers.tick(20_000);
  assert.match((await delivery).recipients[0]?.text ?? '', /outcome unknown/);
  const closing = [local.close(), smtp.close()];
  for (let n = 0; n < 200; n += 1) await turn();
  t.mock.timers.tick(10_000);
  await Promise.all(closing);
});
