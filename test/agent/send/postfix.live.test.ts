// A real postfix as the mail server of an office hands all its mail to ours (relayhost, AUTH, STARTTLS, as Synology's relay
// dialog sets it), and a real dovecot behind it sends out-of-office replies and redirects by Sieve. A second postfix is the
// provider.
import assert from 'node:assert/strict';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createTransport } from 'nodemailer';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { openOwnCertificate } from '../../../agent/send/submission/own-certificate.ts';
import type { MailServerRights } from '../../../agent/users/account-options.ts';
import { createLab } from '../../lab/lab.ts';
import { waitFor } from '../../lab/wait.ts';
import { password, startRig, user } from './rig.ts';

const login = { user: 'relay-user', password: 'relay-password' };
const rewriteTo = 'postmaster@office.test';

const scripts = {
  'away@office.test': 'require ["vacation"];\nvacation :subject "Away" "Back on Monday.";\n',
  'moved@office.test': 'redirect "moved@world.test";\n',
};

async function startOffice(t: TestContext, mailServer: Partial<MailServerRights> | undefined) {
  const lab = createLab(t);
  const provider = await lab.postfix({
    role: 'relay',
    domains: ['world.test'],
    users: { [login.user]: login.password },
  });
  const tls = await openOwnCertificate({ folder: lab.dir, names: ['localhost', '127.0.0.1'], now: Date.now });
  const policy: MailServerRights = {
    nullSender: 'refuse',
    foreignSender: 'refuse',
    headerFrom: 'replace',
    rewriteTo,
    ...mailServer,
  };
  const account = { name: user, password: { env: 'UNUSED' }, senders: ['@office.test'] };
  const rig = await startRig(t, {
    relay: {
      host: provider.host,
      port: provider.submission,
      tls: 'starttls',
      ca: provider.ca,
      serverName: 'localhost',
    },
    tls: { key: tls.key, cert: tls.cert },
    submission: { users: [{ ...account, ...(mailServer && { mailServer: policy }) }] },
  });
  const lmtp = await lab.freePort();
  const passwords = join(lab.dir, 'relay-passwords');
  await writeFile(passwords, '[127.0.0.1]:' + rig.port + ' ' + user + ':' + password + '\n');
  const office = await lab.postfix({
    role: 'local',
    domains: ['office.test'],
    main: {
      relayhost: '[127.0.0.1]:' + rig.port,
      default_transport: 'smtp',
      smtp_sasl_auth_enable: 'yes',
      smtp_sasl_password_maps: 'texthash:' + passwords,
      smtp_sasl_security_options: 'noanonymous',
      smtp_sasl_mechanism_filter: 'plain, login',
      smtp_tls_security_level: 'verify',
      smtp_tls_verify_cert_match: 'localhost',
      smtp_tls_CAfile: join(lab.dir, 'submission-cert.pem'),
      smtpd_relay_restrictions: 'permit_mynetworks, reject',
      virtual_transport: 'lmtp:inet:127.0.0.1:' + lmtp,
      virtual_mailbox_maps: 'static:all',
    },
  });
  const sieve = join(lab.dir, 'sieve');
  await mkdir(sieve);
  await chmod(sieve, 0o777); // dovecot's user keeps the compiled script beside it
  for (const [name, script] of Object.entries(scripts)) await writeFile(join(sieve, name + '.sieve'), script);
  const dovecot = await lab.dovecot({
    users: { 'boss@office.test': 'x', 'away@office.test': 'x', 'moved@office.test': 'x' },
    extra:
      `submission_host = 127.0.0.1:${office.smtp}\n` +
      `service lmtp {\n  inet_listener lmtp_office {\n    port = ${lmtp}\n  }\n}\n` +
      'protocol lmtp {\n  mail_plugins = sieve\n}\n' +
      `plugin {\n  sieve = file:${sieve}/%u.sieve\n  sieve_vacation_min_period = 0\n}\n`,
  });
  const local = createTransport({ host: '127.0.0.1', port: office.smtp, ignoreTLS: true });
  t.after(() => local.close());
  const mail = (from: string, to: string, subject: string): Promise<unknown> =>
    local.sendMail({
      envelope: { from, to: [to] },
      raw:
        'From: ' +
        from +
        '\r\nTo: ' +
        to +
        '\r\nSubject: ' +
        subject +
        '\r\nMessage-ID: <' +
        subject +
        '@x.test>\r\n\r\nHello.\r\n',
    });
  return { rig, office, provider, dovecot, mail };
}

/** The mail in a mailbox of the provider, once it is there. */
async function arrived(
  box: { readonly mails: (address: string) => Promise<Buffer[]> },
  address: string,
): Promise<string> {
  const found = await waitFor(
    'the mail of ' + address,
    async () => {
      const mails = await box.mails(address);
      return mails.length > 0 ? mails : undefined;
    },
    { timeoutMs: 30_000 },
  );
  return (found?.[0] ?? Buffer.alloc(0)).toString().replaceAll('\r\n', '\n');
}

test('ordinary mail of a postfix goes out through AUTH and STARTTLS, and its certificate is verified', async (t) => {
  const { mail, provider, office } = await startOffice(t, undefined);
  await mail('boss@office.test', 'customer@world.test', 'offer');
  const text = await arrived(provider, 'customer@world.test');
  assert.match(text, /^Return-Path: <boss@office\.test>$/m);
  assert.match(text, /^Received: from local\.lab\.test\n\tby nas\.office\.test with ESMTPSA id /m);
  assert.match(text, /^From: boss@office\.test$/m);
  assert.match(office.log(), /status=sent \(250 2\.0\.0 Queued as /);
  assert.doesNotMatch(office.log(), /Untrusted TLS connection|certificate verification failed/);
});

test('what is not its own is refused by default, and postfix says so', async (t) => {
  const { mail, provider, office, rig } = await startOffice(t, undefined);
  await mail('stranger@world.test', 'moved@office.test', 'redirected');
  await mail('stranger@world.test', 'away@office.test', 'answered');
  await waitFor(
    'both refusals',
    () => /550 5\.7\.1 The empty sender/.test(office.log()) && /550 5\.7\.1 This user may not/.test(office.log()),
    { timeoutMs: 30_000 },
  );
  assert.equal(await provider.count(), 0);
  assert.equal(rig.send.queue.summary().depth, 0);
});

test('rewrite: a bounce, an out-of-office reply and a redirect reach the world in the name of the office', async (t) => {
  const { mail, provider, dovecot } = await startOffice(t, { nullSender: 'rewrite', foreignSender: 'rewrite' });
  await mail('stranger@world.test', 'nobody@office.test', 'bounced');
  const bounce = await arrived(provider, 'stranger@world.test');
  assert.match(bounce, /^Return-Path: <postmaster@office\.test>$/m);
  assert.match(bounce, /^From: "MAILER-DAEMON at local\.lab\.test" <postmaster@office\.test>$/m);
  assert.match(bounce, /^X-Original-From: Mail Delivery System <MAILER-DAEMON@local\.lab\.test>$/m);
  assert.ok(bounce.indexOf('\nFrom: ') > bounce.lastIndexOf('\nReceived: by local'), 'no field between the traces');
  assert.match(bounce, /^Content-Type: multipart\/report; report-type=delivery-status;/m);
  assert.match(bounce, /550 5\.1\.1 <nobody@office\.test>/);
  assert.doesNotMatch(bounce, /^Reply-To:/m);

  await mail('customer@world.test', 'away@office.test', 'question');
  const away = await arrived(provider, 'customer@world.test');
  assert.match(away, /^Return-Path: <postmaster@office\.test>$/m);
  assert.match(away, /^From: .*away@office\.test>?$/m, 'an own header From stays');
  assert.match(away, /^Auto-Submitted: auto-replied/m);
  assert.match(away, /Back on Monday\./);
  assert.equal(await dovecot.count('away@office.test'), 1, 'the mail itself is kept');

  await mail('friend@world.test', 'moved@office.test', 'news');
  const moved = await arrived(provider, 'moved@world.test');
  assert.match(moved, /^Return-Path: <postmaster@office\.test>$/m);
  assert.match(moved, /^From: "friend at world\.test" <postmaster@office\.test>$/m);
  assert.match(moved, /^Reply-To: friend@world\.test$/m);
  assert.match(moved, /^X-Original-From: friend@world\.test$/m);
  assert.equal(moved.match(/^From:/gm)?.length, 1);
});

test('keep: a redirect keeps its author, and says who sends it on', async (t) => {
  const { mail, provider } = await startOffice(t, { foreignSender: 'rewrite', headerFrom: 'keep' });
  await mail('friend@world.test', 'moved@office.test', 'news');
  const moved = await arrived(provider, 'moved@world.test');
  assert.match(moved, /^Return-Path: <postmaster@office\.test>$/m);
  assert.match(moved, /^From: friend@world\.test$/m);
  assert.match(moved, /^Resent-From: <postmaster@office\.test>$/m);
  assert.match(moved, /^Resent-Date: /m);
});

test('allow: everything goes out as it is, with the null sender where there is one', async (t) => {
  const { mail, provider } = await startOffice(t, { nullSender: 'allow', foreignSender: 'allow' });
  await mail('stranger@world.test', 'nobody@office.test', 'bounced');
  assert.match(await arrived(provider, 'stranger@world.test'), /^Return-Path: <>$/m);
  await mail('friend@world.test', 'moved@office.test', 'news');
  const moved = await arrived(provider, 'moved@world.test');
  assert.match(moved, /^Return-Path: <friend@world\.test>$/m);
  assert.match(moved, /^From: friend@world\.test$/m);
});

test('hold: it waits where a person sees it, and goes when a person says so', async (t) => {
  const { mail, provider, rig } = await startOffice(t, { nullSender: 'hold', foreignSender: 'hold' });
  await mail('stranger@world.test', 'nobody@office.test', 'bounced');
  await mail('friend@world.test', 'moved@office.test', 'news');
  await waitFor('both', () => rig.send.queue.summary().held === 2, { timeoutMs: 30_000 });
  const problems = rig.send.queue.list().map(({ from, problem }) => [from, problem]);
  assert.deepEqual(
    problems.sort((a, b) => ((a[0] ?? '') < (b[0] ?? '') ? -1 : 1)),
    [
      ['', 'Held: it has the empty sender, as reports and out-of-office replies have'],
      ['friend@world.test', 'Held: its sender is not an address of the account that handed it in'],
    ],
  );
  assert.equal(await provider.count(), 0);
  for (const { id } of rig.send.queue.list()) await rig.send.desk()?.release(id);
  assert.match(await arrived(provider, 'stranger@world.test'), /^Return-Path: <>$/m);
  assert.match(await arrived(provider, 'moved@world.test'), /^From: friend@world\.test$/m);
});
