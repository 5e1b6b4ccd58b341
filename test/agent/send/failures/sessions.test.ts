// Failures of the facts that are about the line to the relay, its sessions and its login, by their numbers.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { passwordSource } from '../../../../agent/accounts/secret.ts';
import type { SecretSource } from '../../../../agent/accounts/secret.ts';
import { createLab } from '../../../lab/lab.ts';
import { waitFor } from '../../../lab/wait.ts';
import { letter, movableClock, startRig } from '../rig.ts';
import { empty, login, only, problem, problemOf, said, settle, startScene } from './relay-scene.ts';

test('10: the line drops after the dot: unknown, one late retry in another session, the same Message-ID', async (t) => {
  const scene = await startScene(t, {
    script: ({ before, verb }) => (verb === 'body' && before === 0 ? { end: 'reset' } : undefined),
  });
  const { clock, relay, rig } = scene;
  await rig.submit();
  await waitFor('unknown', () => only(rig)?.state === 'unknown');
  clock.advance(61_000);
  await rig.submit({ to: ['other@world.test'] });
  await waitFor('the other mail', () => relay.mails.length === 1);
  assert.deepEqual(relay.mails[0]?.recipients, ['other@world.test']);
  assert.equal(only(rig)?.state, 'unknown');
  clock.advance(900_000);
  await empty(rig);
  assert.equal(said(relay, 'DATA').length, 3);
});

test('11: a relay that drops every session early is not asked in a loop, and no try counts', async (t) => {
  const scene = await startScene(t, { script: ({ verb }) => (verb === 'MAIL' ? { end: 'reset' } : undefined) });
  const { clock, relay, rig } = scene;
  for (const to of ['a', 'b', 'c']) await rig.submit({ to: [to + '@world.test'] });
  await problem(rig);
  await settle();
  assert.equal(relay.opened(), 1);
  for (let round = 0; round < 5; round += 1) {
    clock.advance(61_000);
    await waitFor('the next session', () => relay.opened() === round + 2);
    await settle();
  }
  assert.equal(relay.opened(), 6, 'one a minute at most');
  assert.deepEqual(
    rig.send.queue.list().map((mail) => [mail.state, mail.recipients[0]?.attempts]),
    Array.from({ length: 3 }, () => ['queued', 0]),
  );
});

test('12: a relay that hangs keeps its own mail, not that of another relay', async (t) => {
  const second = await createLab(t).scriptedSmtp({ login });
  const scene = await startScene(t, {
    script: ({ verb }) => (verb === 'MAIL' ? { end: 'hang' } : undefined),
    moreRelays: [{ relay: second, relayConfig: { id: 'second', senders: ['info@office.test'] } }],
  });
  const { relay, rig } = scene;
  await rig.submit();
  await waitFor('the hanging mail', () => said(relay, 'MAIL').length === 1);
  for (let n = 0; n < 3; n += 1)
    await rig.submit({ from: 'info@office.test', raw: letter().replace('sales@', 'info@') });
  await waitFor('the mails of the other', () => second.mails.length === 3);
  assert.deepEqual(
    rig.send.queue.list().map((mail) => [mail.relay, mail.state]),
    [['provider', 'queued']],
  );
  assert.deepEqual(
    rig.send.relays().map(({ id, up }) => [id, up]),
    [
      ['provider', true],
      ['second', true],
    ],
  );
});

test('13: a server that ends an idle session has not failed, with 421 or without, and the next mail goes at once', async (t) => {
  const { relay, rig } = await startScene(t, {
    script: ({ before, verb }) =>
      verb === 'MAIL' && before === 2 ? ['421 4.4.2 idle for too long\r\n', { end: 'close' }] : undefined,
  });
  await rig.submit();
  await empty(rig);
  relay.cut();
  await waitFor('the cut', () => relay.open() === 0);
  await rig.submit();
  await empty(rig);
  assert.equal(relay.mails.length, 2);
  await rig.submit();
  await empty(rig);
  assert.equal(relay.mails.length, 3);
  assert.deepEqual([relay.opened(), problemOf(rig)], [3, '']);
});

test('17: a session ends with QUIT: after its rest, and when the agent stops', async (t) => {
  const { clock, relay, rig } = await startScene(t);
  await rig.submit();
  await empty(rig);
  await settle();
  assert.equal(said(relay, 'QUIT').length, 0, 'it rests');
  clock.advance(21_000);
  await waitFor('the end of the session', () => relay.open() === 0);
  assert.equal(said(relay, 'QUIT').length, 1);
  await rig.submit();
  await empty(rig);
  await rig.send.stop();
  assert.equal(said(relay, 'QUIT').length, 2);
});

test('22: a relay that offers no AUTH gets no mail, and the state says so', async (t) => {
  const relay = await createLab(t).scriptedSmtp({});
  const rig = await startRig(t, { relay, clock: movableClock() });
  await rig.submit();
  await problem(rig);
  assert.match(problemOf(rig), /the server offers no login \(AUTH\)/);
  assert.equal(rig.send.relays()[0]?.up, false);
  assert.equal(said(relay, 'MAIL').length, 0);
  assert.equal(only(rig)?.recipients[0]?.attempts, 0);
});

test('23: STARTTLS that was stripped ends the session before the password is shown', async (t) => {
  const relay = await createLab(t).scriptedSmtp({ login });
  const rig = await startRig(t, {
    relay: { host: relay.host, port: relay.port, tls: 'starttls' },
    clock: movableClock(),
  });
  await rig.submit();
  await problem(rig);
  assert.match(problemOf(rig), /the server offers no STARTTLS/);
  assert.deepEqual(
    relay.commands.filter((line) => /^(?:AUTH|MAIL)/.test(line)),
    [],
  );
});

test('24: a wrong password is tried three times, then once an hour; another one ends that within seconds', async (t) => {
  let password = 'mistaken-key';
  const scene = await startScene(t, { relaySecret: passwordSource(() => password) });
  const { clock, relay, rig } = scene;
  await rig.submit();
  for (const tries of [1, 2, 3]) {
    await waitFor('login ' + tries, () => said(relay, 'AUTH').length === tries);
    await settle();
    if (tries < 3) clock.advance(60_000 * tries + 1_000);
  }
  assert.match(problemOf(rig), /535 5\.7\.8.*refused 3 times in a row, tried once an hour until the secret is changed/);
  for (let minutes = 0; minutes < 50; minutes += 10) {
    clock.advance(600_000);
    await settle();
  }
  assert.equal(said(relay, 'AUTH').length, 3);
  password = 'relay-password';
  clock.advance(6_000);
  await empty(rig);
  assert.equal(said(relay, 'AUTH').length, 4);
  assert.equal(problemOf(rig), '');
});

test('24b: a refused login is not a refusal of mail, and an open breaker still tries once an hour', async (t) => {
  const { clock, relay, rig } = await startScene(t, { relayPassword: 'mistaken-key' });
  await rig.submit();
  for (const tries of [1, 2, 3]) {
    await waitFor('login ' + tries, () => said(relay, 'AUTH').length === tries);
    await settle();
    clock.advance(tries < 3 ? 60_000 * tries + 1_000 : 3_970_000);
  }
  await waitFor('the fourth', () => said(relay, 'AUTH').length === 4);
  assert.deepEqual([only(rig)?.state, only(rig)?.recipients[0]?.attempts], ['queued', 0]);
});

test('24c: refused logins are known after a restart, until the secret is another one', async (t) => {
  const first = await startScene(t, { relayPassword: 'mistaken-key' });
  await first.rig.submit();
  for (const tries of [1, 2, 3]) {
    await waitFor('login ' + tries, () => said(first.relay, 'AUTH').length === tries);
    await settle();
    if (tries < 3) first.clock.advance(60_000 * tries + 1_000);
  }
  await first.rig.send.stop();
  let password = 'mistaken-key';
  const { clock, relay, rig } = await startScene(t, {
    state: first.rig.state,
    relaySecret: passwordSource(() => password),
  });
  clock.advance(1_800_000);
  await settle();
  assert.deepEqual(said(relay, 'AUTH'), []);
  assert.match(problemOf(rig), /^Before the last start the login was refused 3 times in a row, with the same secret/);
  password = 'relay-password';
  clock.advance(6_000);
  await empty(rig);
  await rig.send.stop();
  const third = await startScene(t, { state: first.rig.state });
  assert.equal(problemOf(third.rig), '');
});

/** Gives `tokens` one after the other, the next one after a refusal. */
function tokenSource(tokens: readonly string[]): SecretSource {
  let index = 0;
  return {
    read: async () => ({ kind: 'token', token: tokens[index] ?? '' }),
    stored: () => undefined,
    generation: () => 1,
    changed: () => false,
    refused: () => void (index = Math.min(index + 1, tokens.length - 1)),
  };
}

test('a token that expired before its time is replaced once, and the mail goes without a pause', async (t) => {
  const { relay, rig } = await startScene(t, {
    login: { ...login, token: 'fresh' },
    relaySecret: tokenSource(['stale', 'fresh']),
  });
  await rig.submit();
  await empty(rig);
  assert.deepEqual(said(relay, 'AUTH'), ['AUTH XOAUTH2', 'AUTH XOAUTH2']);
  assert.equal(problemOf(rig), '');
});

test('a token that is refused again is a refused login: one more try, not a loop', async (t) => {
  const { relay, rig } = await startScene(t, {
    login: { ...login, token: 'fresh' },
    relaySecret: tokenSource(['stale', 'stale as well']),
  });
  await rig.submit();
  await problem(rig);
  await settle();
  assert.equal(said(relay, 'AUTH').length, 2);
  assert.match(problemOf(rig), /535 5\.7\.8 wrong token \(the token: 401\)/);
});

test('47: a relay that refuses one connection is asked again within a minute, and its mail goes then', async (t) => {
  const lab = createLab(t);
  const relay = await lab.scriptedSmtp({ login });
  const proxy = await lab.proxy({ to: relay });
  await proxy.refuse(true);
  const clock = movableClock();
  const slow = { retryFirstSeconds: 600, retryMaxSeconds: 3_600 };
  const rig = await startRig(t, { relay: proxy, clock, random: () => 1, relayConfig: slow });
  await rig.submit();
  await problem(rig);
  for (let round = 0; round < 30; round += 1) {
    clock.advance(61_000);
    await settle();
  }
  await proxy.refuse(false);
  clock.advance(61_000);
  await empty(rig);
  assert.equal(relay.mails.length, 1);
});

test('47b: a relay that failed is found to work again, also when no mail is left for it', async (t) => {
  const lab = createLab(t);
  const relay = await lab.scriptedSmtp({ login });
  const proxy = await lab.proxy({ to: relay });
  await proxy.refuse(true);
  const clock = movableClock();
  const rig = await startRig(t, { relay: proxy, clock, random: () => 1 });
  await rig.submit();
  await problem(rig);
  rig.send.desk()?.drop(only(rig)?.id ?? '');
  clock.advance(301_000);
  await settle();
  assert.notEqual(problemOf(rig), '');
  await proxy.refuse(false);
  clock.advance(301_000);
  await waitFor('the probe', () => problemOf(rig) === '');
  assert.equal(said(relay, 'MAIL').length, 0);
  clock.advance(21_000);
  await waitFor('its end', () => relay.open() === 0);
  assert.equal(said(relay, 'QUIT').length, 1);
  clock.advance(3_600_000);
  await settle();
  assert.equal(relay.opened(), 1, 'and then no more');
});

test('48: a name that is not known is the trouble of the relay, and no try of the mail', async (t) => {
  const rig = await startRig(t, { relay: { host: 'relay.invalid', port: 25 }, clock: movableClock() });
  await rig.submit();
  await problem(rig);
  assert.match(problemOf(rig), /^Cannot connect to relay\.invalid:25: E/);
  assert.deepEqual([only(rig)?.state, only(rig)?.recipients[0]?.attempts], ['queued', 0]);
});

test('a big mail leaves a session to small ones', async (t) => {
  const lab = createLab(t);
  let slow = 0;
  const relay = await lab.scriptedSmtp({
    login,
    script: ({ recipients, verb }) => {
      if (verb !== 'body' || recipients[0] !== 'big@world.test') return undefined;
      slow += 1;
      return [{ pauseMs: 400 }, '250 2.0.0 taken\r\n'];
    },
  });
  const rig = await startRig(t, {
    relay,
    submission: { maxSizeBytes: 4_000_000 },
    relayConfig: { sessions: 2 },
  });
  await rig.submit({ to: ['first@world.test'] });
  await empty(rig);
  const raw = letter(('x'.repeat(70) + '\r\n').repeat(16_000));
  for (let n = 0; n < 3; n += 1) await rig.submit({ to: ['big@world.test'], raw });
  await waitFor('a big mail on its way', () => slow > 0);
  const before = relay.mails.length;
  await rig.submit({ to: ['small@world.test'] });
  await waitFor('the small mail', () => relay.mails.some((mail) => mail.recipients[0] === 'small@world.test'));
  assert.ok(relay.mails.length - before <= 2, 'it passed those that were before it');
  await empty(rig);
  assert.equal(relay.mails.length, 5);
});

test('a relay that no mail is for is never connected, and after a rest nobody is', async (t) => {
  const second = await createLab(t).scriptedSmtp({ login });
  const { clock, relay, rig } = await startScene(t, {
    moreRelays: [{ relay: second, relayConfig: { id: 'second', senders: ['info@office.test'] } }],
  });
  for (let n = 0; n < 5; n += 1) await rig.submit();
  await empty(rig);
  await settle();
  clock.advance(21_000);
  await waitFor('the end of the session', () => relay.open() === 0);
  clock.advance(3_600_000);
  await settle();
  assert.deepEqual([relay.opened(), second.opened()], [1, 0]);
});
