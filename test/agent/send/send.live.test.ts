// The send room against a real postfix as the provider's relay (STARTTLS, AUTH) and a real dovecot as the local mail server.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { systemClock } from '#shared/clock.ts';
import { createLog } from '#shared/log.ts';
import { createLocal } from '../../../agent/local/local.ts';
import type { Local } from '../../../agent/local/local.ts';
import type { Endpoint } from '../../../agent/net/socket.ts';
import { createLab } from '../../lab/lab.ts';
import type { Lab } from '../../lab/lab.ts';
import { waitFor } from '../../lab/wait.ts';
import { letter, movableClock, openState, sender, startRig } from './rig.ts';
import type { Rig } from './rig.ts';

const login = { user: 'relay-user', password: 'relay-password' };
const domains = ['world.test'];

async function startRelay(lab: Lab, mailboxes?: readonly string[]) {
  const relay = await lab.postfix({
    role: 'relay',
    domains,
    users: { [login.user]: login.password },
    ...(mailboxes === undefined ? {} : { mailboxes }),
  });
  const endpoint: Endpoint = {
    host: relay.host,
    port: relay.submission,
    tls: 'starttls',
    ca: relay.ca,
    serverName: 'localhost',
  };
  return { relay, endpoint };
}

const drained = (rig: Rig) =>
  waitFor('an empty queue', async () => rig.send.queue.list().length === 0 && (await rig.files()).length === 0, {
    timeoutMs: 40_000,
  });

function localOf(t: TestContext, options: { readonly port: number; readonly protocol: 'smtp' | 'lmtp' }): Local {
  const { port, protocol } = options;
  const local = createLocal({
    config: { protocol, host: '127.0.0.1', port, tls: 'none', domains: ['office.test'], sessions: 2 },
    endpoint: { host: '127.0.0.1', port, tls: 'none' },
    name: 'nas.office.test',
    clock: systemClock,
    log: createLog({ name: 'test', level: 'silent' }),
  });
  t.after(local.close);
  return local;
}

test('200 mails of eight clients reach their mailboxes once each, over STARTTLS on both sides', async (t) => {
  const lab = createLab(t);
  const { relay, endpoint } = await startRelay(lab);
  const certificate = await lab.certificate();
  const tls = { key: await readFile(certificate.keyFile, 'utf8'), cert: await readFile(certificate.certFile, 'utf8') };
  const rig = await startRig(t, { relay: endpoint, tls });
  const numbers = Array.from({ length: 200 }, (_, n) => n);
  const clients = Array.from({ length: 8 }, async () => {
    for (let n = numbers.shift(); n !== undefined; n = numbers.shift())
      await rig.submit({
        ca: certificate.ca,
        to: ['box' + (n % 5) + '@world.test'],
        raw: letter('Mail number ' + n + '.\r\n..\r\n.leading', 'mail ' + n),
      });
  });
  await Promise.all(clients);
  await drained(rig);
  await waitFor('all in the mailboxes', async () => (await relay.count()) >= 200);
  assert.equal(await relay.sent(), 200);
  const subjects = new Set<string>();
  for (let box = 0; box < 5; box += 1) {
    for (const bytes of await relay.mails('box' + box + '@world.test')) {
      const text = bytes.toString();
      const n = Number(/^Subject: mail (\d+)$/m.exec(text)?.[1]);
      subjects.add(String(n));
      assert.equal(n % 5, box);
      assert.ok(text.endsWith('\nMail number ' + n + '.\n..\n.leading\n'), text);
      assert.match(text, /^X-Mailferry-Trace: out test-trace$/m);
      assert.match(text, /^Received: from \S+\n\tby nas\.office\.test with ESMTPSA id /m);
    }
  }
  assert.equal(subjects.size, 200);
  const points = rig.journal();
  assert.equal(points.filter((point) => point.name === 'mail_accepted').length, 200);
  assert.equal(points.filter((point) => point.name === 'mail_out' && point.tags['outcome'] === 'sent').length, 200);
});

test('Bcc recipients get the mail, and nobody sees them', async (t) => {
  const lab = createLab(t);
  const { relay, endpoint } = await startRelay(lab);
  const rig = await startRig(t, { relay: endpoint });
  await rig.submit({
    to: ['open@world.test', 'hidden@world.test'],
    raw: 'To: open@world.test\r\nBcc: hidden@world.test\r\nSubject: s\r\n\r\nbody\r\n',
  });
  await drained(rig);
  for (const address of ['open@world.test', 'hidden@world.test']) {
    const mails = await waitFor('the mail', async () => {
      const found = await relay.mails(address);
      return found.length > 0 ? found : undefined;
    });
    const own = (mails?.[0]?.toString() ?? '')
      .split('\n')
      .filter((line) => !/^(?:Delivered-To|X-Original-To):/i.test(line))
      .join('\n');
    if (address.startsWith('open')) assert.doesNotMatch(own, /hidden@/);
    assert.doesNotMatch(own, /^Bcc/im);
  }
});

test('a wrong relay password stops the relay with a clear problem; with the right one the mail goes', async (t) => {
  const lab = createLab(t);
  const { relay, endpoint } = await startRelay(lab);
  const state = await openState(t);
  const rig = await startRig(t, { relay: endpoint, state, relayPassword: 'mistaken-key' });
  for (let n = 0; n < 3; n += 1) await rig.submit();
  await waitFor('the problem', () => !rig.send.relays()[0]?.up);
  assert.match(
    rig.send.relays()[0]?.problem ?? '',
    /^Cannot log in at 127\.0\.0\.1:\d+: the server answered 535 .*expected the login to be accepted; check user and password/,
  );
  assert.deepEqual(
    rig.send.queue.list().map((mail) => [mail.state, mail.recipients[0]?.attempts]),
    [
      ['queued', 0],
      ['queued', 0],
      ['queued', 0],
    ],
  );
  await rig.send.stop();
  assert.equal((await rig.files()).length, 3);
  const again = await startRig(t, { relay: endpoint, state });
  await drained(again);
  await waitFor('three deliveries', async () => (await relay.sent()) === 3);
});

test('a relay whose certificate is not trusted gets neither password nor mail', async (t) => {
  const lab = createLab(t);
  const { endpoint } = await startRelay(lab);
  const { ca: _trusted, ...untrusted } = endpoint;
  const rig = await startRig(t, { relay: untrusted });
  await rig.submit();
  await waitFor('the problem', () => !rig.send.relays()[0]?.up);
  assert.match(
    rig.send.relays()[0]?.problem ?? '',
    /^Cannot start TLS with .*expected a valid certificate for localhost; check host, port, tls and caFile/,
  );
});

test('a relay that is down keeps the mail, and gets it when it is back', async (t) => {
  const lab = createLab(t);
  const { relay, endpoint } = await startRelay(lab);
  await relay.stop();
  const rig = await startRig(t, { relay: endpoint });
  for (let n = 0; n < 10; n += 1) await rig.submit();
  await waitFor('the problem', () => !rig.send.relays()[0]?.up);
  assert.equal(rig.send.queue.summary().depth, 10);
  await relay.start();
  await drained(rig);
  await waitFor('ten deliveries', async () => (await relay.sent()) === 10);
  assert.equal(rig.send.relays()[0]?.up, true);
});

/** The parts of a notice, by an independent split at its boundary. */
function readNotice(bytes: Buffer): { readonly header: string; readonly parts: readonly string[] } {
  const text = bytes.toString().replaceAll('\r\n', '\n');
  const boundary = /boundary="([^"]+)"/.exec(text)?.[1] ?? 'none';
  const [header = '', ...parts] = text.split('--' + boundary);
  return { header, parts };
}

for (const protocol of ['lmtp', 'smtp'] as const) {
  test(
    'a refused recipient is told to the sender through the local server (' + protocol + '), the others get the mail',
    async (t) => {
      const lab = createLab(t);
      const { relay, endpoint } = await startRelay(lab, ['known@world.test']);
      const home =
        protocol === 'lmtp'
          ? await lab.dovecot({ users: { [sender]: 'x' } })
          : await lab.postfix({ role: 'local', domains: ['office.test'] });
      const port = 'lmtp' in home ? home.lmtp : home.smtp;
      const rig = await startRig(t, { relay: endpoint, local: localOf(t, { port, protocol }) });
      await rig.submit({
        to: ['known@world.test', 'unknown@world.test'],
        raw: 'Message-ID: <offer@office.test>\r\n' + letter('Confidential.', 'offer'),
      });
      await drained(rig);
      const [bytes] =
        (await waitFor('the notice', async () => {
          const found = await home.mails(sender);
          return found.length > 0 ? found : undefined;
        })) ?? [];
      const { header, parts } = readNotice(bytes ?? Buffer.alloc(0));
      assert.match(header, /^Return-Path: <>/m);
      assert.match(header, /^Auto-Submitted: auto-replied$/m);
      assert.match(header, /^In-Reply-To: <offer@office\.test>$/m);
      assert.match(header, /^Content-Type: multipart\/report; report-type=delivery-status;/m);
      assert.equal(parts.length, 4);
      assert.match(parts[0] ?? '', /could not be delivered to:\n\n {2}unknown@world\.test\n {6}550 5\.1\.1 /);
      assert.match(
        parts[1] ?? '',
        /\nFinal-Recipient: rfc822; unknown@world\.test\nAction: failed\nStatus: 5\.1\.1\nRemote-MTA: dns; 127\.0\.0\.1\nDiagnostic-Code: smtp; 550 5\.1\.1 /,
      );
      assert.equal(parts[1]?.match(/Final-Recipient/g)?.length, 1);
      assert.match(parts[2] ?? '', /Subject: offer/);
      assert.doesNotMatch(parts.join(''), /Confidential/);
      assert.match(parts[3] ?? '', /^--\s*$/);
      await waitFor(
        'the mail of the other recipient',
        async () => (await relay.mails('known@world.test')).length === 1,
      );
      assert.equal((await home.mails(sender)).length, 1);
      assert.deepEqual(
        rig
          .journal()
          .filter((point) => point.name === 'mail_out')
          .map((point) => point.tags['outcome']),
        ['sent', 'failed'],
      );
    },
  );
}

test('a notice waits while the local server is down, survives a restart, and comes once', async (t) => {
  const lab = createLab(t);
  const { endpoint } = await startRelay(lab, ['known@world.test']);
  const dovecot = await lab.dovecot({ users: { [sender]: 'x' } });
  await dovecot.stop();
  const state = await openState(t);
  const first = await startRig(t, {
    relay: endpoint,
    state,
    local: localOf(t, { port: dovecot.lmtp, protocol: 'lmtp' }),
  });
  await first.submit({ to: ['unknown@world.test'] });
  await waitFor('the refusal', () => first.send.queue.list()[0]?.state === 'failed');
  await first.send.stop();
  assert.equal((await first.files()).length, 1, 'the mail is kept until its sender is told');
  const second = await startRig(t, {
    relay: endpoint,
    state,
    local: localOf(t, { port: dovecot.lmtp, protocol: 'lmtp' }),
  });
  await dovecot.start();
  await drained(second);
  assert.equal((await dovecot.mails(sender)).length, 1);
});

test('a sender whom the local server does not know cannot be told: the mail is held', async (t) => {
  const lab = createLab(t);
  const { endpoint } = await startRelay(lab, ['known@world.test']);
  const dovecot = await lab.dovecot({ users: { 'other@office.test': 'x' } });
  const rig = await startRig(t, { relay: endpoint, local: localOf(t, { port: dovecot.lmtp, protocol: 'lmtp' }) });
  await rig.submit({ to: ['unknown@world.test'] });
  const entry = await waitFor('held', () => rig.send.queue.list().find((mail) => mail.state === 'held'));
  assert.match(entry?.problem ?? '', /^The local server refused the notice to its sender: 550 /);
  assert.equal((await rig.files()).length, 1);
});

test('a mail that waits four hours is told as delayed, once; when it expires its sender gets a report and it is held', async (t) => {
  const lab = createLab(t);
  const dovecot = await lab.dovecot({ users: { [sender]: 'x' } });
  const clock = movableClock();
  const rig = await startRig(t, {
    relay: { host: '127.0.0.1', port: 1 },
    local: localOf(t, { port: dovecot.lmtp, protocol: 'lmtp' }),
    clock,
    relayConfig: { expireHours: 10 },
  });
  await rig.submit({ to: ['someone@world.test'] });
  await waitFor('the problem', () => !rig.send.relays()[0]?.up);
  clock.advance(4 * 3_600_000 + 31_000);
  await waitFor('the first notice', async () => (await dovecot.count(sender)) === 1);
  for (let round = 0; round < 3; round += 1) clock.advance(31_000);
  assert.equal(rig.send.queue.list()[0]?.state, 'queued');
  clock.advance(6 * 3_600_000);
  await waitFor('the second notice', async () => (await dovecot.count(sender)) === 2);
  const [delayed = '', expired = ''] = (await dovecot.mails(sender)).map(String);
  assert.match(delayed, /Subject: Your mail is delayed[^]*Action: delayed\r?\nStatus: 4\.4\.7/);
  assert.match(
    expired,
    /Subject: Your mail could not be delivered[^]*Not sent within 10 hours[^]*Action: failed\r?\nStatus: 4\.4\.7/,
  );
  assert.equal(rig.send.queue.list()[0]?.state, 'held');
  assert.equal((await rig.files()).length, 1);
});
