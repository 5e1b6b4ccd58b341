// Real postfixes as relays: one stands in for another, limits of theirs are met, and one takes tokens of a real OAuth2 server.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '#shared/clock.ts';
import { createLog } from '#shared/log.ts';
import { createTokenSource } from '../../../../agent/accounts/oauth.ts';
import { createLab } from '../../../lab/lab.ts';
import type { Postfix, PostfixOptions } from '../../../lab/postfix.ts';
import { waitFor } from '../../../lab/wait.ts';
import { startAuthorizationServer, tokenPassdb } from '../../accounts/authorization-server.ts';
import { fakeLocal } from '../fake-local.ts';
import { letter, startRig } from '../rig.ts';
import type { Rig } from '../rig.ts';

const login = { user: 'relay-user', password: 'relay-password' };
const options = (main: PostfixOptions['main'] = {}): PostfixOptions => ({
  role: 'relay',
  domains: ['world.test', 'other.test'],
  users: { [login.user]: login.password },
  main,
});
const endpointOf = ({ ca, host, submission }: Postfix) =>
  ({ host, port: submission, tls: 'starttls', ca, serverName: 'localhost' }) as const;
const drained = (rig: Rig) =>
  waitFor('an empty queue', () => rig.send.queue.list().length === 0, { timeoutMs: 40_000 });
const countOf = (relay: Postfix, count: number) =>
  waitFor(count + ' deliveries', async () => (await relay.sent()) === count, { timeoutMs: 20_000 });

test('a relay that is stopped is stood in for, and sends again when it is back', async (t) => {
  const lab = createLab(t);
  const [first, second] = await Promise.all([lab.postfix(options()), lab.postfix(options())]);
  const rig = await startRig(t, {
    relay: endpointOf(first),
    relayConfig: { id: 'first', fallback: ['second'], fallbackAfterSeconds: 1 },
    moreRelays: [{ relay: endpointOf(second), relayConfig: { id: 'second', senders: ['info@office.test'] } }],
  });
  await rig.submit();
  await drained(rig);
  await countOf(first, 1);
  await first.stop();
  for (let n = 0; n < 5; n += 1) await rig.submit();
  await drained(rig);
  await countOf(second, 5);
  assert.equal(rig.send.relays()[0]?.standIn, 'second');
  await first.start();
  await waitFor(
    'mail by the first again',
    async () => {
      await rig.submit();
      await drained(rig);
      return rig.send.relays()[0]?.standIn === undefined && (await first.sent()) >= 1;
    },
    { timeoutMs: 30_000, everyMs: 500 },
  );
  assert.deepEqual([rig.send.relays()[0]?.up, rig.send.relays()[1]?.up], [true, true]);
});

test('a postfix that takes two recipients at once gets them two by two, and each mailbox has one mail', async (t) => {
  const lab = createLab(t);
  const relay = await lab.postfix(options({ smtpd_recipient_limit: '2', smtpd_recipient_overshoot_limit: '1000' }));
  const rig = await startRig(t, { relay: endpointOf(relay) });
  const to = ['a', 'b', 'c', 'd', 'e'].map((name) => name + '@world.test');
  await rig.submit({ to });
  await drained(rig);
  await countOf(relay, 5);
  for (const address of to) assert.equal((await relay.mails(address)).length, 1, address);
  const out = rig.journal().filter((point) => point.name === 'mail_out');
  assert.deepEqual(
    out.map((point) => point.fields['recipients']),
    [2, 2, 1],
  );
});

test('a mail over the size limit of a postfix goes back at once with 5.3.4, and the next one goes', async (t) => {
  const lab = createLab(t);
  const relay = await lab.postfix(options({ message_size_limit: '20000' }));
  const local = fakeLocal();
  const rig = await startRig(t, { relay: endpointOf(relay), local });
  await rig.submit({ raw: letter('x'.repeat(70).concat('\r\n').repeat(500)) });
  await rig.submit();
  await drained(rig);
  await countOf(relay, 1);
  assert.match(local.delivered[0]?.text ?? '', /Status: 5\.3\.4/);
});

test('a postfix that checks tokens of a real OAuth2 server takes mail, and one whose tokens expire gets fresh ones', async (t) => {
  const lab = createLab(t);
  const server = await startAuthorizationServer(t, login.user);
  const passdb = tokenPassdb(lab.dir, server);
  const relay = await lab.postfix({
    ...options(),
    auth: 'auth_mechanisms = plain xoauth2\n' + passdb,
  });
  let stored = await server.issue();
  let forged = 0;
  const source = createTokenSource({
    account: 'provider',
    client: () => server.client,
    read: () => stored,
    write: async (token) => void (stored = token),
    clock: systemClock,
    log: createLog({ level: 'silent', name: 'test' }),
  });
  const relaySecret = {
    ...source,
    // The first token is spoiled, as one that was withdrawn.
    read: async (signal: AbortSignal) => {
      const secret = await source.read(signal);
      forged += 1;
      return forged === 1 && secret.kind === 'token'
        ? { ...secret, token: secret.token.slice(0, -8) + 'AAAAAAAA' }
        : secret;
    },
  };
  const rig = await startRig(t, { relay: endpointOf(relay), relaySecret });
  for (let n = 0; n < 3; n += 1) await rig.submit();
  await drained(rig);
  await countOf(relay, 3);
  assert.equal(forged >= 2, true);
  assert.match(relay.log(), /sasl_method=XOAUTH2, sasl_username=relay-user/);
});
