// Two relays: who sends for whom, and that what may have arrived never goes by another one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { createLab } from '../../../lab/lab.ts';
import { waitFor } from '../../../lab/wait.ts';
import { noRoute } from '../../../../agent/send/queue/queue-routes.ts';
import type { ScriptedSmtpOptions } from '../../../lab/scripted-smtp.ts';
import { fakeLocal } from '../fake-local.ts';
import { letter, movableClock, startRig } from '../rig.ts';
import type { RigOptions } from '../rig.ts';
import { empty, login, only, problem, problemOf, said, settle, startScene } from './relay-scene.ts';

const from = (name: string) => ({
  from: name + '@office.test',
  raw: letter().replace('sales@', name + '@'),
});

async function startTwo(
  t: TestContext,
  options: { readonly script?: ScriptedSmtpOptions['script'] } & Partial<RigOptions> = {},
) {
  const { script, ...more } = options;
  const lab = createLab(t);
  const clock = movableClock();
  const first = await lab.scriptedSmtp({ login, ...(script === undefined ? {} : { script }) });
  const proxy = await lab.proxy({ to: first });
  const second = await lab.scriptedSmtp({ login });
  const slow = { sessions: 1, retryFirstSeconds: 60, retryMaxSeconds: 600, unknownRetrySeconds: 900 };
  const rig = await startRig(t, {
    relay: proxy,
    clock,
    random: () => 1,
    relayConfig: { ...slow, id: 'first', fallback: ['second'], fallbackAfterSeconds: 300 },
    moreRelays: [{ relay: second, relayConfig: { ...slow, id: 'second', senders: ['info@office.test'] } }],
    ...more,
  });
  return { clock, first, proxy, second, rig };
}

test('each sender has its relay, and both are used at the same time', async (t) => {
  const { first, rig, second } = await startTwo(t);
  await rig.submit(from('sales'));
  await rig.submit(from('info'));
  await empty(rig);
  assert.deepEqual([first.mails[0]?.from, second.mails[0]?.from], ['sales@office.test', 'info@office.test']);
  const out = rig.journal().filter((point) => point.name === 'mail_out');
  assert.deepEqual(new Set(out.map((point) => point.tags['relay'])), new Set(['first', 'second']));
});

test('a relay that is down for long is stood in for, and takes over again when it works', async (t) => {
  const { clock, first, proxy, rig, second } = await startTwo(t);
  await proxy.refuse(true);
  await rig.submit();
  await problem(rig);
  clock.advance(240_000);
  await settle();
  assert.equal(second.mails.length, 0, 'not before its time');
  clock.advance(61_000);
  await empty(rig);
  assert.equal(second.mails.length, 1);
  assert.deepEqual(
    rig.send.relays().map(({ id, standIn, up }) => [id, up, standIn]),
    [
      ['first', false, 'second'],
      ['second', true, undefined],
    ],
  );
  await rig.submit();
  await empty(rig);
  assert.equal(second.mails.length, 2, 'while it is down the next mail waits for nothing');
  await proxy.refuse(false);
  clock.advance(301_000);
  await waitFor('a probe that goes well', () => first.opened() > 0);
  await waitFor('the stand-in ends', () => rig.send.relays()[0]?.standIn === undefined);
  await rig.submit();
  await empty(rig);
  assert.deepEqual([first.mails.length, second.mails.length], [1, 2]);
  assert.equal(problemOf(rig), '');
});

test('a mail that may have arrived is never sent by the stand-in, and goes by its own relay in the end', async (t) => {
  const { clock, first, proxy, rig, second } = await startTwo(t, {
    script: ({ before, verb }) => (verb === 'body' && before === 0 ? { end: 'reset' } : undefined),
  });
  await rig.submit({ to: ['unclear@world.test'] });
  await waitFor('unknown', () => only(rig)?.state === 'unknown');
  await proxy.refuse(true);
  for (let minute = 0; minute < 20; minute += 1) {
    clock.advance(61_000);
    await settle();
  }
  await rig.submit({ to: ['clear@world.test'] });
  await waitFor('the other mail', () => second.mails.length === 1);
  await settle();
  assert.deepEqual(second.mails[0]?.recipients, ['clear@world.test']);
  assert.deepEqual(
    rig.send.queue.list().map(({ relay, state }) => [relay, state]),
    [['first', 'unknown']],
  );
  await proxy.refuse(false);
  for (let minute = 0; minute < 6 && first.mails.length === 0; minute += 1) {
    clock.advance(61_000);
    await settle();
  }
  await empty(rig);
  assert.deepEqual(
    first.mails.map((mail) => mail.recipients),
    [['unclear@world.test']],
  );
});

test('what became unknown at the stand-in stays there, although its own relay works again', async (t) => {
  const lab = createLab(t);
  const clock = movableClock();
  const second = await lab.scriptedSmtp({
    login,
    script: ({ before, verb }) => (verb === 'body' && before === 0 ? { end: 'reset' } : undefined),
  });
  const first = await lab.scriptedSmtp({ login });
  const proxy = await lab.proxy({ to: first });
  await proxy.refuse(true);
  const slow = { sessions: 1, retryFirstSeconds: 60, retryMaxSeconds: 600, unknownRetrySeconds: 900 };
  const relayConfig = { ...slow, id: 'first', fallback: ['second'], fallbackAfterSeconds: 60 };
  const moreRelays = [{ relay: second, relayConfig: { ...slow, id: 'second', senders: ['info@office.test'] } }];
  const rig = await startRig(t, { relay: proxy, clock, random: () => 1, relayConfig, moreRelays });
  await rig.submit();
  await problem(rig);
  clock.advance(61_000);
  await waitFor('unknown', () => only(rig)?.state === 'unknown');
  assert.equal(only(rig)?.relay, 'second');
  await rig.send.stop();
  await proxy.refuse(false);
  const again = await startRig(t, { relay: proxy, clock, random: () => 1, relayConfig, moreRelays, state: rig.state });
  clock.advance(890_000);
  await settle();
  assert.deepEqual([only(again)?.relay, only(again)?.state], ['second', 'unknown']);
  clock.advance(20_000);
  await empty(again);
  assert.deepEqual([first.mails.length, second.mails.length], [0, 1]);
});

test('the relay of an unknown mail is taken out of the configuration: a person decides', async (t) => {
  const scene = await startScene(t, {
    relayConfig: { id: 'old' },
    script: ({ verb }) => (verb === 'body' ? { end: 'reset' } : undefined),
  });
  await scene.rig.submit();
  await waitFor('unknown', () => only(scene.rig)?.state === 'unknown');
  await scene.rig.send.stop();
  const { clock, relay, rig } = await startScene(t, { relayConfig: { id: 'new' }, state: scene.rig.state });
  clock.advance(1_000_000);
  await settle();
  assert.equal(only(rig)?.state, 'held');
  assert.match(only(rig)?.problem ?? '', /^It may have arrived by the relay old, which is not configured any more/);
  assert.equal(relay.mails.length, 0);
  const released = await rig.send.desk()?.release(only(rig)?.id ?? '');
  assert.deepEqual(released?.mayHaveArrived, ['someone@world.test']);
  await empty(rig);
  assert.equal(relay.mails.length, 1, 'a person has decided');
});

test('queued mail follows a changed configuration', async (t) => {
  const down = { host: '127.0.0.1', port: 1 };
  const before = await startRig(t, { relay: down, relayConfig: { id: 'old' } });
  await before.submit();
  await before.send.stop();
  const { relay, rig } = await startScene(t, { relayConfig: { id: 'new' }, state: before.state });
  await empty(rig);
  assert.equal(relay.mails.length, 1);
});

test('a mail for whose sender no relay is configured is held and says so', async (t) => {
  const { relay, rig } = await startScene(t, { relayConfig: { senders: ['other@office.test'] } });
  await rig.submit();
  assert.deepEqual([only(rig)?.state, only(rig)?.problem], ['held', noRoute]);
  await settle();
  assert.equal(relay.opened(), 0);
  const id = only(rig)?.id ?? '';
  await assert.rejects(
    async () => rig.send.desk()?.release(id),
    /No relay sends for this sender, expected a relay for its sender/,
  );
  assert.equal(only(rig)?.state, 'held');
  await rig.send.stop();
  const again = await startScene(t, { state: rig.state });
  await again.rig.send.desk()?.release(id);
  await empty(again.rig);
  assert.equal(again.relay.mails.length, 1);
});

test('an account that is over its limit at the provider is stood in for at once, and the pause outlasts a restart', async (t) => {
  const script: ScriptedSmtpOptions['script'] = ({ verb }) =>
    verb === 'RCPT'
      ? '450-Requested mail action not taken: mailbox unavailable\r\n450 Mail send limit exceeded\r\n'
      : undefined;
  // The provider's hour ends in a minute and a half at the earliest, whatever the time of day.
  const patience = { sessions: 1, retryFirstSeconds: 60, fallbackAfterSeconds: 60 };
  const relayConfig = { ...patience, id: 'first', fallback: ['second'] };
  const { clock, first, rig, second } = await startTwo(t, { script, relayConfig });
  await rig.submit();
  await empty(rig);
  assert.deepEqual([first.mails.length, second.mails.length], [0, 1]);
  assert.match(problemOf(rig), /450 Requested mail action not taken: mailbox unavailable \/ Mail send limit exceeded/);
  await rig.send.stop();
  const tries = said(first, 'RCPT').length;
  const alone = await startRig(t, {
    relay: first,
    clock,
    random: () => 1,
    state: rig.state,
    relayConfig: { id: 'first' },
  });
  await alone.submit();
  await settle();
  assert.match(problemOf(alone), /Mail send limit exceeded/);
  assert.equal(said(first, 'RCPT').length, tries, 'no mail is burnt');
  assert.equal(only(alone)?.problem, problemOf(alone));
});

test('what only the stand-in refuses is not bounced: the own relay decides; a recipient that does not exist is', async (t) => {
  const lab = createLab(t);
  const clock = movableClock();
  const local = fakeLocal();
  const first = await lab.scriptedSmtp({ login });
  const proxy = await lab.proxy({ to: first });
  await proxy.refuse(true);
  const second = await lab.scriptedSmtp({
    login,
    capabilities: ['SIZE 2000'],
    script: ({ argument, verb }) => {
      if (verb === 'MAIL' && argument.includes('boss@'))
        return '553 5.7.1 Sender address rejected: not owned by user\r\n';
      return verb === 'RCPT' && argument.includes('nobody@') ? '550 5.1.1 no such user\r\n' : undefined;
    },
  });
  const slow = { sessions: 1, retryFirstSeconds: 60, retryMaxSeconds: 600 };
  const rig = await startRig(t, {
    relay: proxy,
    clock,
    local,
    random: () => 1,
    relayConfig: { ...slow, id: 'first', fallback: ['second'], fallbackAfterSeconds: 60 },
    moreRelays: [{ relay: second, relayConfig: { ...slow, id: 'second', senders: ['info@office.test'] } }],
  });
  await rig.submit(from('boss'));
  await rig.submit({ raw: letter('x\r\n'.repeat(1_000)) });
  await rig.submit({ to: ['nobody@world.test'] });
  await problem(rig);
  clock.advance(61_000);
  await waitFor('the only report', () => local.delivered.length === 1);
  await settle();
  assert.match(local.delivered[0]?.text ?? '', /nobody@world\.test/);
  assert.deepEqual(
    rig.send.queue.list().map((mail) => [mail.from, mail.state, mail.recipients[0]?.attempts]),
    [
      ['boss@office.test', 'queued', 1],
      ['sales@office.test', 'queued', 1],
    ],
  );
  await proxy.refuse(false);
  for (let minute = 0; minute < 10 && first.mails.length < 2; minute += 1) {
    clock.advance(61_000);
    await settle();
  }
  await empty(rig);
  assert.equal(first.mails.length, 2);
  assert.equal(local.delivered.length, 1);
});
