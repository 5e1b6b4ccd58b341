// The loop of a local mail server that does not know a domain as its own: a real Postfix gets what came in, and sends it to the
// agent as its relay host. Stopped after one turn, told to the operator, and delivered once that Postfix is mended.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { systemClock } from '#shared/clock.ts';
import { createLog } from '#shared/log.ts';
import type { SubmissionConfig } from '../../../../agent/config.ts';
import { rememberSenders } from '../../../../agent/local/handed-over.ts';
import { createLocal } from '../../../../agent/local/local.ts';
import { createLab } from '../../../lab/lab.ts';
import { waitFor } from '../../../lab/wait.ts';
import { baseSubmission, password, startRig, user } from '../rig.ts';

const operator = 'postmaster@office.test';
const stranger = 'stranger@world.test';
const forgotten = 'sales@branch.test';
const isLocal = (address: string): boolean => /@(?:office|branch)\.test$/.test(address);
const senders = ['@office.test', '@branch.test'];
type MailServer = NonNullable<SubmissionConfig['users'][number]['mailServer']>;

/** A Postfix that relays whatever is not for office.test to the agent, with a login. */
async function startScene(t: TestContext, mailServer?: MailServer) {
  const lab = createLab(t);
  const port = await lab.freePort();
  const domains = join(lab.dir, 'domains');
  writeFileSync(domains, 'office.test x\n');
  const postfix = await lab.postfix({
    role: 'local',
    domains: ['office.test', 'branch.test'],
    main: {
      virtual_mailbox_domains: 'texthash:' + domains,
      relayhost: '[127.0.0.1]:' + port,
      default_transport: 'smtp',
      smtpd_relay_restrictions: 'permit_mynetworks reject',
      smtp_sasl_auth_enable: 'yes',
      smtp_sasl_password_maps: 'inline:{ { [127.0.0.1]:' + port + ' = ' + user + ':' + password + ' } }',
      smtp_sasl_security_options: 'noanonymous',
      smtp_sasl_mechanism_filter: 'plain',
      minimal_backoff_time: '300s',
    },
  });
  const relay = await lab.scriptedSmtp({ login: { user: 'relay-user', password: 'relay-password' } });
  const local = createLocal({
    config: {
      protocol: 'smtp',
      host: '127.0.0.1',
      port: postfix.smtp,
      tls: 'none',
      domains: ['office.test', 'branch.test'],
      sessions: 2,
    },
    endpoint: { host: '127.0.0.1', port: postfix.smtp, tls: 'none' },
    name: 'nas.office.test',
    clock: systemClock,
    log: createLog({ name: 'test', level: 'silent' }),
  });
  t.after(local.close);
  const remembering = rememberSenders(local);
  const { handedOver } = remembering;
  const users = [{ name: user, password: { env: 'UNUSED' }, senders, ...(mailServer && { mailServer }) }];
  const submission = { ...baseSubmission, port, users };
  const rig = await startRig(t, { relay, local: remembering, handedOver, isLocal, operator, submission });
  /** As the receive side hands mail over. */
  const inject = async (from: string, to: string, subject: string): Promise<void> => {
    const bytes = Buffer.from('From: <' + from + '>\r\nTo: <' + to + '>\r\nSubject: ' + subject + '\r\n\r\nHello.\r\n');
    const head = Buffer.from('X-Mailferry-Trace: in test-trace\r\n');
    const body = { open: () => [bytes], sizeBytes: bytes.length };
    const signal = AbortSignal.timeout(20_000);
    const { recipients } = await remembering.deliver({ from, recipients: [to], head, body, signal });
    assert.equal(recipients[0]?.verdict, 'delivered', recipients[0]?.text);
  };
  const mend = async (): Promise<void> => {
    await postfix.stop();
    writeFileSync(domains, 'office.test x\nbranch.test x\n');
    await postfix.start();
    const folder = join(lab.dir, readdirSync(lab.dir).find((file) => existsSync(join(lab.dir, file, 'main.cf'))) ?? '');
    await promisify(execFile)('postqueue', ['-c', folder, '-f']);
  };
  const recent = (): unknown => rig.said.findLast((point) => point.name === 'mail_loop')?.fields['recent'];
  return { inject, mend, postfix, recent, relay, rig };
}

for (const [name, from, mailServer] of [
  ['a stranger, by an account that may send only as its own domains', stranger, undefined],
  [
    'a stranger, by an account that may send for strangers too',
    stranger,
    { nullSender: 'allow', foreignSender: 'allow', headerFrom: 'replace' },
  ],
  ['nobody, by an account that may send only as its own domains', '', undefined],
] as const satisfies readonly (readonly [string, string, MailServer | undefined])[]) {
  test('mail of ' + name + ', that a Postfix sends back goes no second turn', async (t) => {
    const { inject, mend, postfix, recent, relay, rig } = await startScene(t, mailServer);
    await inject(from, forgotten, 'first');
    await waitFor('the refusal', () => /451 4\.4\.6 Mail loop: this mail came in/.test(postfix.log()));
    await inject(from, forgotten, 'second');
    await waitFor('two refusals', () => recent() === 2);
    const note = await waitFor('the note', async () => (await postfix.mails(operator))[0]);
    assert.match(String(note), /^From: Mail Delivery System <mailer-daemon@nas\.office\.test>$/m);
    assert.match(String(note), /must know branch\.test as a domain of its own/);
    assert.equal((await postfix.mails(operator)).length, 1, 'once a day about the same');
    assert.equal((await postfix.queue()).length, 2, 'the local server keeps what it could not deliver');
    assert.deepEqual([relay.mails.length, rig.send.queue.list().length], [0, 0]);
    assert.doesNotMatch(postfix.log(), /status=bounced/);
    await mend();
    await waitFor('both mails', async () => (await postfix.mails(forgotten)).length === 2, { timeoutMs: 40_000 });
    assert.equal((await postfix.queue()).length, 0);
    assert.equal(relay.mails.length, 0);
  });
}

test('a forwarding that no policy allows waits at the local server, and the operator learns why', async (t) => {
  const { inject, postfix, recent, relay, rig } = await startScene(t);
  await inject(stranger, 'postmaster@office.test', 'for the door to remember');
  const bytes = 'X-Mailferry-Trace: in test-trace\r\nFrom: <' + stranger + '>\r\nSubject: redirected\r\n\r\nHello.\r\n';
  await assert.rejects(
    rig.submit({ from: stranger, to: ['elsewhere@world.test'], raw: bytes }),
    /451 4\.4\.6 This sender/,
  );
  const plain = bytes.slice(bytes.indexOf('From'));
  await assert.rejects(
    rig.submit({ from: stranger, to: ['elsewhere@world.test'], raw: plain }),
    /550 5\.7\.1 This user may not/,
  );
  await assert.rejects(
    rig.submit({ from: 'other@world.test', to: ['elsewhere@world.test'], raw: bytes }),
    /550 5\.7\.1/,
  );
  await waitFor('the note', async () =>
    (await postfix.mails(operator)).some((mail) => /If it is a forwarding/.test(String(mail))),
  );
  assert.deepEqual([recent(), relay.mails.length], [1, 0]);
});

test('a forwarding of what came in goes out once, when its account may', async (t) => {
  const { postfix, recent, relay, rig } = await startScene(t, {
    nullSender: 'allow',
    foreignSender: 'allow',
    headerFrom: 'replace',
  });
  const bytes = 'X-Mailferry-Trace: in test-trace\r\nFrom: <' + stranger + '>\r\nSubject: redirected\r\n\r\nHello.\r\n';
  await rig.submit({ from: stranger, to: ['elsewhere@world.test'], raw: bytes });
  await waitFor('the mail', () => relay.mails.length === 1);
  assert.match(
    relay.mails[0]?.bytes.toString() ?? '',
    /X-Mailferry-Trace: out test-trace\r\n[^]*X-Mailferry-Trace: in test-trace\r\n/,
  );
  assert.equal(recent(), 0);
  assert.equal((await postfix.queue()).length, 0);
});
