// What real providers answer, through the whole way out: each failure of the facts that is about a reply, by its number.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { pino } from 'pino';
import type { RelayConfig } from '../../../../agent/config.ts';
import type { QueueEntry } from '../../../../agent/send/send.ts';
import { createLab } from '../../../lab/lab.ts';
import type { ScriptedSmtpOptions, SmtpStep } from '../../../lab/scripted-smtp.ts';
import { waitFor } from '../../../lab/wait.ts';
import { fakeLocal } from '../fake-local.ts';
import { letter, movableClock, sender, startRig } from '../rig.ts';
import type { Rig } from '../rig.ts';

const login = { user: 'relay-user', password: 'relay-password' };

type Scene = {
  readonly rig: Rig;
  readonly relay: Awaited<ReturnType<ReturnType<typeof createLab>['scriptedSmtp']>>;
  readonly local: ReturnType<typeof fakeLocal>;
  readonly clock: ReturnType<typeof movableClock>;
};

async function startScene(
  t: TestContext,
  script: ScriptedSmtpOptions['script'],
  more: { readonly relayConfig?: Partial<RelayConfig>; readonly capabilities?: readonly string[] } = {},
): Promise<Scene> {
  const clock = movableClock();
  const { capabilities, relayConfig } = more;
  const relay = await createLab(t).scriptedSmtp({
    login,
    ...(script === undefined ? {} : { script }),
    ...(capabilities === undefined ? {} : { capabilities }),
  });
  const local = fakeLocal();
  const slow = { sessions: 1, retryFirstSeconds: 60, retryMaxSeconds: 600 };
  const rig = await startRig(t, { relay, local, clock, random: () => 1, relayConfig: { ...slow, ...relayConfig } });
  return { rig, relay, local, clock };
}

const only = (rig: Rig): QueueEntry | undefined => rig.send.queue.list()[0];
const problem = (rig: Rig): string => rig.send.relays()[0]?.problem ?? '';
const failed = (rig: Rig) =>
  rig.journal().filter((point) => point.name === 'mail_out' && point.tags['outcome'] === 'failed').length;
const tries = ({ relay }: Scene, verb: string): number =>
  relay.commands.filter((line) => line.toUpperCase().startsWith(verb)).length;

/** The account or relay waits: no try counts, nobody is told of a failure, and no second mail is burnt meanwhile. */
async function assertWaits(scene: Scene, verb: string, text: RegExp, said = 1): Promise<void> {
  const { local, rig } = scene;
  await rig.submit();
  await waitFor('the problem', () => problem(rig) !== '');
  assert.match(problem(rig), text);
  await rig.submit({ to: ['other@world.test'] });
  assert.deepEqual(
    rig.send.queue.list().map((mail) => [mail.state, mail.recipients[0]?.attempts]),
    [
      ['queued', 0],
      ['queued', 0],
    ],
  );
  assert.deepEqual([tries(scene, verb), failed(rig), local.tried.length], [said, 0, 0]);
}

/** After the wait the provider takes both mails. */
async function assertGoes({ clock, relay, rig }: Scene, afterMs: number): Promise<void> {
  clock.advance(afterMs);
  await waitFor('both mails', () => relay.mails.length === 2);
  await waitFor('an empty queue', () => rig.send.queue.list().length === 0);
}

const once =
  (verb: string, reply: string): NonNullable<ScriptedSmtpOptions['script']> =>
  ({ before, verb: now }: SmtpStep) =>
    now === verb && before === 0 ? reply + '\r\n' : undefined;

test("14: too many sessions at once (432) is the relay's matter: the mail waits, and fewer sessions come back", async (t) => {
  const scene = await startScene(
    t,
    once('body', '432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending'),
  );
  await assertWaits(scene, 'DATA', /432 4\.3\.2 Concurrent .*fewer sessions at once.*sessions: 1/);
  await assertGoes(scene, 130_000);
});

test('15: 421 too many connections pauses the relay, wherever it is said', async (t) => {
  const scene = await startScene(t, once('connect', '421 4.7.0 Error: too many connections from 192.0.2.1'));
  await assertWaits(scene, 'MAIL', /421 4\.7\.0 Error: too many connections/, 0);
  await assertGoes(scene, 130_000);
});

test('16: too many logins (454) are not answered by more logins', async (t) => {
  const scene = await startScene(t, once('AUTH', '454 4.7.0 Too many login attempts, please try again later.'));
  await assertWaits(scene, 'AUTH', /454 4\.7\.0 Too many login attempts/);
  scene.clock.advance(900_000);
  await scene.rig.submit({ to: ['third@world.test'] });
  assert.equal(tries(scene, 'AUTH'), 1, 'a quarter of an hour is too early');
  scene.clock.advance(3_000_000);
  await waitFor('three mails', () => scene.relay.mails.length === 3);
});

test('18: what a server says to QUIT changes nothing: the mail was taken, and goes once', async (t) => {
  const scene = await startScene(t, ({ verb }) => (verb === 'QUIT' ? '500 5.5.1 what?\r\n' : undefined));
  const { clock, relay, rig } = scene;
  await rig.submit();
  await waitFor('an empty queue', () => rig.send.queue.list().length === 0);
  clock.advance(30_000);
  await waitFor('QUIT', () => tries(scene, 'QUIT') === 1);
  clock.advance(3_600_000);
  await rig.submit({ to: ['other@world.test'] });
  await waitFor('the other mail', () => relay.mails.length === 2);
});

test('19: a recipient that is refused does not keep the others from their mail', async (t) => {
  const { local, relay, rig } = await startScene(t, ({ argument, verb }) =>
    verb === 'RCPT' && argument.includes('nobody') ? '550 5.1.1 User unknown\r\n' : undefined,
  );
  await rig.submit({ to: ['good@world.test', 'nobody@world.test'] });
  await waitFor('the report', () => local.delivered.length === 1);
  assert.deepEqual(relay.mails[0]?.recipients, ['good@world.test']);
  assert.match(
    local.delivered[0]?.text ?? '',
    /Final-Recipient: rfc822; nobody@world\.test\r\nAction: failed\r\nStatus: 5\.1\.1/,
  );
  assert.doesNotMatch(local.delivered[0]?.text ?? '', /good@world\.test/);
});

test('20: "mailbox unavailable, try again later" is a limit of the account, and no mailbox', async (t) => {
  const scene = await startScene(
    t,
    once('RCPT', '550-Requested action not taken: mailbox unavailable\r\n550 Failure sending mail. Try again later'),
  );
  await assertWaits(scene, 'RCPT', /550 Requested action.*Failure sending mail.*says it as "mailbox unavailable"/);
  await assertGoes(scene, 2_000_000);
});

test('21: a mail over the announced SIZE goes back at once, and is not tried for days', async (t) => {
  const { local, relay, rig } = await startScene(t, undefined, { capabilities: ['SIZE 1000'] });
  await rig.submit({ raw: letter('x'.repeat(900) + '\r\n' + 'y'.repeat(900)) });
  await waitFor('the report', () => local.delivered.length === 1);
  assert.match(local.delivered[0]?.text ?? '', /Action: failed\r\nStatus: 5\.3\.4/);
  assert.equal(relay.commands.filter((line) => line.startsWith('MAIL')).length, 0);
});

test('24: a wrong password at the relay bounces no mail', async (t) => {
  const scene = await startScene(t, ({ verb }) =>
    verb === 'AUTH' ? '535 5.7.8 Authentication failed\r\n' : undefined,
  );
  await assertWaits(scene, 'AUTH', /535 5\.7\.8 Authentication failed/);
  scene.clock.advance(45_000);
  await scene.rig.submit({ to: ['third@world.test'] });
  assert.equal(tries(scene, 'AUTH'), 1, 'a login is tried rarely, or the provider locks it');
});

test('25: basic authentication that is switched off stops the relay, and says what helps', async (t) => {
  const scene = await startScene(
    t,
    once('AUTH', '550 5.7.30 Basic authentication is not supported for Client Submission.'),
  );
  await assertWaits(scene, 'AUTH', /550 5\.7\.30 .*takes no passwords any more.*OAuth2/);
});

test('25b: the same answer after the dot bounces no mail either', async (t) => {
  const scene = await startScene(
    t,
    once('body', '550 5.7.30 Basic authentication is not supported for Client Submission.'),
  );
  await assertWaits(scene, 'DATA', /550 5\.7\.30 .*takes no passwords any more/);
});

test("26: a sender that is not the login's goes back at once with the reason", async (t) => {
  const { local, rig } = await startScene(t, ({ verb }) =>
    verb === 'body' ? '554 5.2.252 SendAsDenied; a@b not allowed to send as c@d; STOREDRV.Submission\r\n' : undefined,
  );
  await rig.submit();
  await waitFor('the report', () => local.delivered.length === 1);
  assert.match(
    local.delivered[0]?.text ?? '',
    /554 5\.2\.252 SendAsDenied; a@b not allowed[^]*This means: The login at the relay may not send as the address this mail is from\.\r\n {6}What helps: Send as[^]*Status: 5\.2\.252/,
  );
  await waitFor('an empty queue', () => rig.send.queue.list().length === 0);
});

for (const [number, name, verb, reply, text, waitMs] of [
  [
    '29',
    'the hourly limit of IONOS (450 "mailbox unavailable") pauses the account until the next hour',
    'RCPT',
    '450-Requested mail action not taken: mailbox unavailable\r\n450 Mail send limit exceeded.',
    /450 .*Mail send limit exceeded.*mails of this hour/,
    3_700_000,
  ],
  [
    '30',
    'the quota of T-Online (550) is waited for, not bounced',
    'body',
    '550 Send quota exceeded',
    /550 Send quota exceeded.*mails of the day/,
    3_700_000,
  ],
  [
    '31',
    'the recipients of a day of Exchange Online (554 5.2.0) are waited for, not bounced',
    'body',
    '554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException',
    /554 5\.2\.0 .*recipients of the day/,
    3_700_000,
  ],
  [
    '31b',
    'full Sent Items at Exchange Online (554 5.2.2) hold the account and tell what helps',
    'body',
    '554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException',
    /554 5\.2\.2 .*sender's own mailbox.*Empty the sender's mailbox/,
    8_000_000,
  ],
  [
    '32',
    'the daily limit of Gmail (550 5.4.5) is waited for, not bounced',
    'body',
    '550 5.4.5 Daily user sending quota exceeded. - gsmtp',
    /550 5\.4\.5 .*mails of the day/,
    3_700_000,
  ],
  [
    '32b',
    'the peak limit of Gmail (450 4.2.1) is of the account, not of the recipient',
    'RCPT',
    '450 4.2.1 Peak SMTP relay limit exceeded for customer.',
    /450 4\.2\.1 Peak .*too many mails at once/,
    700_000,
  ],
] as const) {
  test(number + ': ' + name, async (t) => {
    const scene = await startScene(t, once(verb, reply));
    await assertWaits(scene, verb === 'body' ? 'DATA' : verb, text);
    await assertGoes(scene, waitMs);
  });
}

test('what a relay says is in the log without the addresses in it, and bounded', async (t) => {
  const lines: string[] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) });
  const local = fakeLocal(() => 'refused');
  const relay = await createLab(t).scriptedSmtp({
    login,
    script: ({ argument, verb }) => {
      if (verb === 'RCPT' && argument.includes('nobody'))
        return '550 5.1.1 <nobody@world.test>: unknown; ' + 'blah '.repeat(500) + '\r\n';
      return verb === 'RCPT' ? '450 Mail send limit exceeded for relay-user@provider.test\r\n' : undefined;
    },
  });
  const rig = await startRig(t, { relay, local, log });
  await rig.submit({ to: ['nobody@world.test'] });
  await waitFor('held', () => rig.send.queue.list()[0]?.state === 'held');
  assert.match(
    rig.send.queue.list()[0]?.recipients[0]?.lastReply ?? '',
    /<nobody@world\.test>: unknown; (?:blah ){400}/,
  );
  await rig.submit({ to: ['other@world.test'] });
  await waitFor('the problem', () => problem(rig) !== '');
  const all = lines.join('');
  assert.match(all, /n\*\*\*@world\.test>: unknown/);
  assert.match(all, /Mail send limit exceeded for r\*\*\*@provider\.test/);
  for (const address of ['nobody@', 'other@', 'relay-user@', sender]) assert.ok(!all.includes(address), address);
  assert.ok(Math.max(...lines.map((line) => line.length)) < 2_000);
});

test('33: of a reply in several lines all are kept, in the queue and in the report', async (t) => {
  const { local, rig } = await startScene(t, ({ verb }) =>
    verb === 'body' ? '554-Transaction failed\r\n554-One line more\r\n554 The reason stands here\r\n' : undefined,
  );
  await rig.submit();
  await waitFor('the report', () => local.delivered.length === 1);
  const text = local.delivered[0]?.text ?? '';
  assert.match(text, /Diagnostic-Code: smtp; 554 Transaction failed \/ One line more \/ The reason stands here\r\n/);
  assert.match(text, / {6}554 Transaction failed \/ One line more \/ The reason stands here\r\n/);
});

test('9: a header that the provider does not like goes back at once, with what helps', async (t) => {
  const { local, rig } = await startScene(t, ({ verb }) =>
    verb === 'body'
      ? '554-Transaction failed\r\n554-Reject due to policy restrictions.\r\n554 For explanation visit https://example.org\r\n'
      : undefined,
  );
  await rig.submit();
  await waitFor('the report', () => local.delivered.length === 1);
  assert.match(
    local.delivered[0]?.text ?? '',
    /This means: The relay does not like the header[^]*encoded \(RFC 2047\)/,
  );
});

test('9b: what a provider is known to refuse is refused at the door, or its sender warned, once a day', async (t) => {
  const bad = letter().replace('Subject: test', 'Subject: test\r\nSubject: again');
  const strict = await startScene(t, undefined, { relayConfig: { preset: 'ionos', preflight: 'refuse' } });
  await assert.rejects(
    strict.rig.submit({ raw: bad }),
    /554 5\.6\.0 .*The header field Subject stands there more than once/,
  );
  assert.deepEqual(await strict.rig.files(), []);
  await strict.rig.submit();
  await waitFor('the good mail', () => strict.relay.mails.length === 1);
  const lenient = await startScene(t, once('MAIL', '421 4.3.0 later'), { relayConfig: { preset: 'ionos' } });
  await lenient.rig.submit({ raw: bad });
  await lenient.rig.submit({ raw: bad });
  await waitFor('the warning', () => lenient.local.delivered.length === 1);
  assert.match(
    lenient.local.delivered[0]?.text ?? '',
    /Subject: Your mail may be refused\r\n[^]*The header field Subject stands there more than once\./,
  );
  lenient.clock.advance(70_000);
  await waitFor('both mails', () => lenient.relay.mails.length === 2);
  assert.equal(lenient.local.delivered.length, 1);
});

test('35: greylisting is waited out in minutes, and nobody is told', async (t) => {
  const { clock, local, relay, rig } = await startScene(
    t,
    once('RCPT', '450 4.2.0 <someone@world.test>: Recipient address rejected: Greylisted'),
  );
  await rig.submit();
  const entry = await waitFor('the first try', () =>
    only(rig)?.recipients[0]?.attempts === 1 ? only(rig) : undefined,
  );
  assert.equal(
    entry?.recipients[0]?.meaning,
    'The server wants the mail a second time a few minutes later (greylisting)',
  );
  const waitMs = (entry?.nextTryAt ?? 0) - clock.now();
  assert.ok(waitMs > 250_000 && waitMs < 350_000, String(waitMs));
  clock.advance(310_000);
  await waitFor('the mail', () => relay.mails.length === 1);
  assert.equal(local.tried.length, 0);
  assert.equal(rig.journal().filter((point) => point.tags['outcome'] === 'failed').length, 0);
  assert.equal(relay.mails[0]?.from, sender);
});
