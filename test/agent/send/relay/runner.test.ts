// What becomes of a mail when the relay behaves, and when it does what no real server can be made to do.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AddressInfo } from 'node:net';
import type { Readable } from 'node:stream';
import { text as readAll } from 'node:stream/consumers';
import { SMTPServer } from 'smtp-server';
import type { SMTPServerSession } from 'smtp-server';
import type { QueueEntry } from '../../../../agent/send/send.ts';
import { createLab } from '../../../lab/lab.ts';
import type { SmtpStep } from '../../../lab/scripted-smtp.ts';
import { waitFor } from '../../../lab/wait.ts';
import { letter, movableClock, startRig } from '../rig.ts';
import type { Rig } from '../rig.ts';

const login = { user: 'relay-user', password: 'relay-password' };
const only = (rig: Rig): QueueEntry | undefined => rig.send.queue.list()[0];
const empty = (rig: Rig) =>
  waitFor('an empty queue', async () => rig.send.queue.list().length === 0 && (await rig.files()).length === 0);
const outs = (rig: Rig) => rig.journal().filter((point) => point.name === 'mail_out');

test('a mail goes to the relay and leaves nothing behind', async (t) => {
  const relay = await createLab(t).scriptedSmtp({ login });
  const rig = await startRig(t, { relay });
  await rig.submit({ to: ['one@world.test', 'two@world.test'], raw: letter('Hello.') });
  await empty(rig);
  assert.equal(relay.mails.length, 1);
  const [mail] = relay.mails;
  assert.equal(mail?.from, 'sales@office.test');
  assert.deepEqual(mail?.recipients, ['one@world.test', 'two@world.test']);
  const text = mail?.bytes.toString() ?? '';
  assert.match(
    text,
    /^Received: from \S+\r\n\tby nas\.office\.test with ESMTPA id [a-z0-9-]+;\r\n\t.*\+0000\r\nX-Mailferry-Trace: out test-trace\r\nDate: .*\r\nMessage-ID: <.*@nas\.office\.test>\r\nFrom: Sales/,
  );
  assert.ok(text.endsWith('Subject: test\r\n\r\nHello.\r\n'));
  assert.deepEqual(
    rig.journal().map(({ name, tags, fields }) => [name, tags, fields['count'], fields['recipients']]),
    [
      ['mail_accepted', { user: 'sales' }, 1, undefined],
      ['mail_out', { relay: 'provider', outcome: 'sent' }, 1, 2],
    ],
  );
  assert.deepEqual(rig.send.queue.summary(), { depth: 0, oldestSeconds: 0, held: 0, unknown: 0 });
  assert.deepEqual(rig.send.relays(), [{ id: 'provider', up: true, problem: '', waits: '', sessions: 1 }]);
});

test('one session carries many mails, and no more sessions are opened than allowed', async (t) => {
  const relay = await createLab(t).scriptedSmtp({ login });
  const rig = await startRig(t, { relay, relayConfig: { sessions: 2 } });
  await Promise.all(Array.from({ length: 20 }, () => rig.submit()));
  await empty(rig);
  assert.equal(relay.mails.length, 20);
  assert.ok(relay.opened() <= 2, 'sessions opened: ' + relay.opened());
});

test('each recipient has its own outcome', async (t) => {
  const relay = await createLab(t).scriptedSmtp({
    login,
    script: ({ verb, argument, before }: SmtpStep) => {
      if (verb !== 'RCPT') return undefined;
      if (argument.includes('busy') && before < 3) return '450 4.2.1 later please\r\n';
      if (argument.includes('nobody')) return '550 5.1.1 no such user\r\n';
      return undefined;
    },
  });
  const rig = await startRig(t, { relay });
  await rig.submit({ to: ['good@world.test', 'busy@world.test', 'nobody@world.test'] });
  await waitFor('the second try', () => relay.mails.length === 2);
  assert.deepEqual(
    relay.mails.map((mail) => mail.recipients),
    [['good@world.test'], ['busy@world.test']],
  );
  const entry = await waitFor('the held mail', () => (only(rig)?.state === 'held' ? only(rig) : undefined));
  const shown = entry?.recipients.map(({ address, attempts, lastReply, state }) => ({
    address,
    state,
    attempts,
    lastReply,
  }));
  assert.deepEqual(shown, [
    { address: 'good@world.test', state: 'sent', attempts: 1, lastReply: '250 2.0.0 taken' },
    { address: 'busy@world.test', state: 'sent', attempts: 2, lastReply: '250 2.0.0 taken' },
    { address: 'nobody@world.test', state: 'held', attempts: 1, lastReply: '550 5.1.1 no such user' },
  ]);
  assert.match(
    entry?.problem ?? '',
    /^Refused, and its sender is not local and cannot be told: 550 5\.1\.1 no such user/,
  );
  assert.deepEqual(
    outs(rig).map(({ tags, fields }) => [tags['outcome'], fields['recipients']]),
    [
      ['sent', 1],
      ['failed', 1],
      ['sent', 1],
    ],
  );
});

test('a 4xx after the dot is tried again with a pause of the mail, while others go on', async (t) => {
  const relay = await createLab(t).scriptedSmtp({
    login,
    script: ({ verb, recipients, before }) =>
      verb === 'body' && recipients[0] === 'slow@world.test' && before < 3 ? '451 4.3.0 come again\r\n' : undefined,
  });
  const rig = await startRig(t, { relay, relayConfig: { sessions: 1 } });
  await rig.submit({ to: ['slow@world.test'] });
  await rig.submit({ to: ['fast@world.test'] });
  await empty(rig);
  assert.deepEqual(
    relay.mails.map((mail) => mail.recipients[0]),
    ['fast@world.test', 'slow@world.test'],
  );
});

test('a line that breaks after the final dot makes the mail unknown; one late retry ends it', async (t) => {
  const clock = movableClock();
  const relay = await createLab(t).scriptedSmtp({
    login,
    script: ({ verb, before }) => (verb === 'body' && before === 0 ? { end: 'reset' } : undefined),
  });
  const rig = await startRig(t, { relay, clock, relayConfig: { unknownRetrySeconds: 900, retryMaxSeconds: 1 } });
  await rig.submit();
  const entry = await waitFor('unknown', () => (only(rig)?.state === 'unknown' ? only(rig) : undefined));
  assert.equal(rig.send.queue.summary().unknown, 1);
  assert.ok((entry?.nextTryAt ?? 0) - clock.now() > 880_000, 'the retry is late');
  clock.advance(890_000);
  await rig.submit({ to: ['other@world.test'] });
  await waitFor('the other mail', () => relay.mails.length === 1);
  assert.equal(only(rig)?.state, 'unknown', 'not tried before its time');
  clock.advance(20_000);
  await empty(rig);
  assert.equal(relay.mails.length, 2);
  assert.equal(relay.commands.filter((line) => line === 'DATA').length, 3);
  const entries = outs(rig).map(({ tags }) => tags['outcome']);
  assert.deepEqual(entries, ['sent', 'sent'], 'counted when it is known');
});

test('the late retry is the same mail again, with the same Message-ID', async (t) => {
  // A relay that takes the mail and goes without an answer: exactly what makes a double.
  const bodies: string[] = [];
  const relay = new SMTPServer({
    authOptional: false,
    allowInsecureAuth: true,
    disabledCommands: ['STARTTLS'],
    onAuth: (_auth, _session, done) => done(null, { user: 'relay-user' }),
    onData: (stream, session, done) => void take(stream, session, done),
  });
  async function take(stream: Readable, session: SMTPServerSession, done: () => void): Promise<void> {
    bodies.push(await readAll(stream));
    if (bodies.length > 1) return done();
    for (const connection of relay.connections) if (connection.session === session) connection._socket.destroy();
  }
  relay.on('error', () => {});
  await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', () => resolve()));
  t.after(() => new Promise<void>((resolve) => relay.close(() => resolve())));
  const { port } = relay.server.address() as AddressInfo; // a TCP server
  const rig = await startRig(t, { relay: { host: '127.0.0.1', port } });
  await rig.submit({ raw: letter() });
  await empty(rig);
  assert.equal(bodies.length, 2);
  assert.match(bodies[0] ?? '', /^Message-ID: <\S+>\r$/m);
  assert.equal(bodies[0], bodies[1]);
  await rig.send.stop();
});

test('a mail whose late retry ends unknown too is held, and not tried a third time', async (t) => {
  const clock = movableClock();
  const relay = await createLab(t).scriptedSmtp({
    login,
    script: ({ verb }) => (verb === 'body' ? { end: 'reset' } : undefined),
  });
  const rig = await startRig(t, { relay, clock });
  await rig.submit();
  const entry = await waitFor('held', () => (only(rig)?.state === 'held' ? only(rig) : undefined));
  assert.match(entry?.problem ?? '', /^Two tries ended without a known outcome; it may have arrived/);
  assert.deepEqual(rig.send.queue.summary(), { depth: 1, oldestSeconds: 0, held: 1, unknown: 0 });
  clock.advance(3_600_000);
  await rig.submit({ to: ['other@world.test'] });
  await waitFor('the other mail is tried', () => rig.send.queue.list().some((mail) => mail.state === 'unknown'));
  assert.equal(relay.commands.filter((line) => line === 'DATA').length, 3);
});

test('a relay that breaks the line after every dot is paused: few mails become unknown, not all', async (t) => {
  const clock = movableClock();
  const relay = await createLab(t).scriptedSmtp({
    login,
    script: ({ verb }) => (verb === 'body' ? { end: 'reset' } : undefined),
  });
  const rig = await startRig(t, {
    relay,
    clock,
    random: () => 1,
    relayConfig: { sessions: 1, retryFirstSeconds: 60, retryMaxSeconds: 600, unknownRetrySeconds: 900 },
  });
  for (let n = 0; n < 10; n += 1) await rig.submit();
  await waitFor('the first unknown', () => rig.send.queue.summary().unknown === 1);
  assert.equal(rig.send.relays()[0]?.up, false);
  assert.match(rig.send.relays()[0]?.problem ?? '', /Cannot tell whether .* took the mail/);
  const states = rig.send.queue.list().map((mail) => mail.state);
  assert.deepEqual(states.filter((state) => state === 'queued').length, 9);
});

test('a relay out of reach stops the relay, not the mail; when it is back the mail goes', async (t) => {
  const lab = createLab(t);
  const relay = await lab.scriptedSmtp({ login });
  const proxy = await lab.proxy({ to: relay });
  await proxy.refuse(true);
  const rig = await startRig(t, { relay: proxy });
  await rig.submit();
  await rig.submit();
  await waitFor('the problem', () => !rig.send.relays()[0]?.up);
  assert.match(
    rig.send.relays()[0]?.problem ?? '',
    /^Cannot connect to 127\.0\.0\.1:\d+: ECONNREFUSED, expected a mail server that answers there/,
  );
  for (const entry of rig.send.queue.list()) {
    assert.equal(entry.state, 'queued');
    assert.equal(entry.recipients[0]?.attempts, 0, 'no try is counted');
    assert.equal(entry.problem, rig.send.relays()[0]?.problem);
  }
  await proxy.refuse(false);
  await empty(rig);
  const states = rig.send.relays().map(({ sessions, ...state }) => ({ ...state, used: sessions > 0 }));
  assert.deepEqual(states, [{ id: 'provider', up: true, problem: '', waits: '', used: true }]);
});

test('a wrong password is tried rarely and by one session only; nothing is bounced', async (t) => {
  const clock = movableClock();
  const relay = await createLab(t).scriptedSmtp({ login });
  const rig = await startRig(t, {
    relay,
    clock,
    random: () => 1,
    relayPassword: 'mistaken-key',
    relayConfig: { retryFirstSeconds: 60, retryMaxSeconds: 3_600 },
  });
  for (let n = 0; n < 5; n += 1) await rig.submit();
  await waitFor('the problem', () => !rig.send.relays()[0]?.up);
  assert.match(
    rig.send.relays()[0]?.problem ?? '',
    /^Cannot log in at .*535 5\.7\.8 wrong user or password, expected the login to be accepted; check user and password/,
  );
  clock.advance(50_000);
  await rig.submit();
  assert.equal(relay.commands.filter((line) => line.startsWith('AUTH')).length, 1);
  clock.advance(11_000);
  await waitFor('the second login', () => relay.commands.filter((line) => line.startsWith('AUTH')).length === 2);
  assert.equal(rig.send.queue.summary().depth, 6);
  assert.ok(rig.send.queue.list().every((entry) => entry.recipients[0]?.attempts === 0));
});

test('a relay that offers no AUTH gets no mail', async (t) => {
  const relay = await createLab(t).scriptedSmtp({});
  const rig = await startRig(t, { relay });
  await rig.submit();
  await waitFor('the problem', () => !rig.send.relays()[0]?.up);
  assert.match(rig.send.relays()[0]?.problem ?? '', /offers no login/);
  assert.equal(relay.mails.length, 0);
  assert.equal(relay.commands.includes('MAIL FROM:<sales@office.test>'), false);
});

test('421 in the middle pauses the relay and does not count for the mail', async (t) => {
  const relay = await createLab(t).scriptedSmtp({
    login,
    script: ({ verb, before }) => (verb === 'MAIL' && before === 0 ? '421 4.7.0 too many, later\r\n' : undefined),
  });
  const rig = await startRig(t, { relay });
  await rig.submit();
  await waitFor('the problem', () => !rig.send.relays()[0]?.up);
  assert.match(rig.send.relays()[0]?.problem ?? '', /421 4\.7\.0 too many, later/);
  assert.equal(only(rig)?.recipients[0]?.attempts, 0);
  await empty(rig);
  assert.equal(relay.mails.length, 1);
});

test('a session that the relay closed while it was idle is replaced without a trace', async (t) => {
  const relay = await createLab(t).scriptedSmtp({ login });
  const rig = await startRig(t, { relay, relayConfig: { sessions: 1 } });
  await rig.submit();
  await empty(rig);
  relay.cut();
  await waitFor('the cut', () => relay.open() === 0);
  await rig.submit();
  await empty(rig);
  assert.equal(relay.mails.length, 2);
  assert.ok(outs(rig).every((point) => point.tags['outcome'] === 'sent'));
  assert.equal(rig.send.relays()[0]?.up, true);
});

test('a mail that is too old is held and counted as failed, also while the relay is down', async (t) => {
  const clock = movableClock();
  const rig = await startRig(t, { relay: { host: '127.0.0.1', port: 1 }, clock, relayConfig: { expireHours: 5 } });
  await rig.submit();
  await waitFor('the problem', () => !rig.send.relays()[0]?.up);
  clock.advance(5 * 3_600_000 - 60_000);
  await rig.submit({ to: ['young@world.test'] });
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(rig.send.queue.summary().held, 0);
  clock.advance(120_000);
  await waitFor('the expired mail', () => rig.send.queue.summary().held === 1);
  const [old, young] = rig.send.queue.list();
  assert.deepEqual([old?.state, old?.problem, young?.state], ['held', 'Not sent within 5 hours', 'queued']);
  assert.deepEqual(
    outs(rig).map((point) => point.tags['outcome']),
    ['failed'],
  );
  assert.equal((await rig.files()).length, 2);
});

test('a jump of the wall clock by years neither expires the queue nor stops it', async (t) => {
  const lab = createLab(t);
  const relay = await lab.scriptedSmtp({ login });
  const proxy = await lab.proxy({ to: relay });
  await proxy.refuse(true);
  const base = movableClock();
  let jump = 0;
  const rig = await startRig(t, { relay: proxy, clock: { ...base, now: () => base.now() + jump } });
  await rig.submit();
  await waitFor('the problem', () => !rig.send.relays()[0]?.up);
  for (const years of [20, -20]) {
    jump = years * 365 * 86_400_000;
    base.advance(31_000);
    await rig.submit();
    assert.equal(rig.send.queue.summary().held, 0);
  }
  await proxy.refuse(false);
  await empty(rig);
  assert.equal(relay.mails.length, 3);
});

test('stop() in the middle of a mail leaves it in the queue, and the next start sends it', async (t) => {
  const lab = createLab(t);
  const hanging = await lab.scriptedSmtp({
    login,
    script: ({ verb }) => (verb === 'MAIL' ? { end: 'hang' } : undefined),
  });
  const rig = await startRig(t, { relay: hanging });
  await rig.submit();
  await waitFor('MAIL', () => hanging.commands.some((line) => line.startsWith('MAIL')));
  const before = performance.now();
  await rig.send.stop();
  assert.ok(performance.now() - before < 3_500);
  const relay = await lab.scriptedSmtp({ login });
  const again = await startRig(t, { relay, state: rig.state });
  await empty(again);
  assert.equal(relay.mails.length, 1);
});

test('stop() while the answer after the dot is missing leaves the mail unknown, and the next start keeps the late retry', async (t) => {
  const lab = createLab(t);
  const hanging = await lab.scriptedSmtp({
    login,
    script: ({ verb }) => (verb === 'body' ? { end: 'hang' } : undefined),
  });
  const rig = await startRig(t, { relay: hanging, relayConfig: { unknownRetrySeconds: 900 } });
  await rig.submit();
  await waitFor('sending', () => only(rig)?.state === 'sending');
  await waitFor('the body', () => hanging.commands.includes('DATA'));
  await rig.send.stop();
  const clock = movableClock();
  const relay = await lab.scriptedSmtp({ login });
  const again = await startRig(t, { relay, state: rig.state, clock, relayConfig: { unknownRetrySeconds: 900 } });
  assert.equal(only(again)?.state, 'unknown');
  clock.advance(901_000);
  await empty(again);
  assert.equal(relay.mails.length, 1);
});

test('thousands of late and expired mails do not keep clients waiting', async (t) => {
  const clock = movableClock();
  const told: string[] = [];
  const local = {
    deliver: async ({ recipients }: { readonly recipients: readonly string[] }) => {
      told.push(...recipients);
      return {
        recipients: recipients.map((address) => ({ address, verdict: 'later' as const, text: '' })),
        session: undefined,
        bareLineEnds: 0,
      };
    },
    problem: () => undefined,
    close: async () => {},
  };
  const rig = await startRig(t, {
    relay: { host: '127.0.0.1', port: 1 },
    clock,
    local,
    relayConfig: { expireHours: 5 },
  });
  const { db } = rig.state;
  const mail = "'m' || value, 'sales@office.test', 'sales', 10, 10, 0, 0";
  const numbers = 'WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 1500) ';
  db.exec(
    numbers +
      'INSERT INTO mail (id, sender, user, size_bytes, offset_bytes, accepted_at, accepted_ms) SELECT ' +
      mail +
      ' FROM n',
  );
  db.exec(
    numbers +
      "INSERT INTO recipient (mail, number, address, state, due_ms, relay) SELECT 'm' || value, 0, 'x@world.test', 'queued', 1e15, 'provider' FROM n",
  );
  for (const hours of [4, 2]) {
    let longestMs = 0;
    let before = performance.now();
    const beat = setInterval(() => {
      longestMs = Math.max(longestMs, performance.now() - before);
      before = performance.now();
    }, 5);
    await new Promise((resolve) => setImmediate(resolve)); // the housekeeping sleeps
    clock.advance(hours * 3_600_000 + 31_000);
    const done = (): boolean =>
      Number(db.prepare('SELECT COUNT(*) AS n FROM notice').get()?.['n']) === (hours === 4 ? 1_500 : 3_000);
    await waitFor('all notices of hour ' + hours, done, { timeoutMs: 20_000, everyMs: 200 });
    clearInterval(beat);
    t.diagnostic('longest standstill: ' + Math.round(longestMs) + ' ms');
    assert.ok(longestMs < 400, 'longest standstill: ' + longestMs);
  }
});
