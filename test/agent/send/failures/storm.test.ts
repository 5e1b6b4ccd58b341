// Everything at once: two relays that refuse, defer, drop lines before and after the dot, close sessions and vanish, in an order
// drawn by lot. Whatever they do, no mail is lost, none arrives by two relays, and none twice without an unknown try.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { createLab } from '../../../lab/lab.ts';
import type { Action } from '../../../lab/line-server.ts';
import type { SmtpStep } from '../../../lab/scripted-smtp.ts';
import { seeded } from '../../smtp/talk.ts';
import { fakeLocal } from '../fake-local.ts';
import { movableClock, startRig } from '../rig.ts';
import { login, settle } from './relay-scene.ts';

const mailCount = 40;

type Weather = {
  /** 0: the relay is well; 1: as bad as it gets. */
  bad: number;
  /** Who has got the mail, in the order of arrival. */
  readonly arrived: Map<string, string[]>;
  /** Refused after the dot, for good. */
  readonly refused: Set<string>;
  readonly random: () => number;
};

function scriptOf(name: string, weather: Weather): (step: SmtpStep) => Action | undefined {
  const arrive = (recipients: readonly string[]): void => {
    for (const address of recipients) weather.arrived.set(address, [...(weather.arrived.get(address) ?? []), name]);
  };
  return ({ recipients, verb }) => {
    const lot = weather.random() / Math.max(weather.bad, 0.001);
    if (verb === 'body') {
      if (lot < 0.1) return '451 4.3.0 later\r\n';
      if (lot < 0.2) return { end: 'reset' };
      if (lot < 0.25) {
        for (const address of recipients) weather.refused.add(address);
        return '550 5.7.1 not this one\r\n';
      }
      arrive(recipients);
      if (lot < 0.35) return { end: 'reset' };
      if (lot < 0.4) return ['250 2.0.0 taken\r\n', { end: 'close' }];
      return undefined;
    }
    if (verb === 'connect' && lot < 0.05) return ['421 4.3.2 not now\r\n', { end: 'close' }];
    if (verb === 'AUTH' && lot < 0.03) return '454 4.7.0 too many logins\r\n';
    if (verb === 'MAIL' && lot < 0.05) return { end: 'reset' };
    if (verb === 'MAIL' && lot < 0.1) return '421 4.7.0 enough\r\n';
    if (verb === 'RCPT' && lot < 0.1) return '450 4.2.0 busy\r\n';
    return undefined;
  };
}

async function storm(t: TestContext, seed: number): Promise<void> {
  const lab = createLab(t);
  const clock = movableClock();
  const random = seeded(seed);
  const weather: Weather = { bad: 1, arrived: new Map(), refused: new Set(), random };
  const first = await lab.scriptedSmtp({ login, script: scriptOf('first', weather) });
  const proxy = await lab.proxy({ to: first });
  const second = await lab.scriptedSmtp({ login, script: scriptOf('second', weather) });
  const pace = { retryFirstSeconds: 60, retryMaxSeconds: 600, unknownRetrySeconds: 900, expireHours: 720 };
  const local = fakeLocal();
  const rig = await startRig(t, {
    relay: proxy,
    clock,
    local,
    random,
    relayConfig: { ...pace, id: 'first', fallback: ['second'], fallbackAfterSeconds: 120 },
    moreRelays: [{ relay: second, relayConfig: { ...pace, id: 'second', senders: ['info@office.test'] } }],
  });
  const addresses = Array.from({ length: mailCount }, (_, index) => 'm' + index + '@world.test');
  const waiting = (): readonly string[] =>
    rig.send.queue.list().flatMap((mail) => (mail.state === 'held' ? [] : mail.recipients.map((one) => one.address)));
  for (const [index, address] of addresses.entries()) {
    await rig.submit({ to: [address] });
    if (index % 8 === 7) await proxy.refuse(random() < 0.4);
    if (index % 4 === 3) clock.advance(random() * 120_000);
  }
  for (let round = 0; round < 300 && waiting().length > 0; round += 1) {
    weather.bad = round > 60 ? 0 : random();
    await proxy.refuse(round <= 60 && random() < 0.3);
    clock.advance(30_000 + random() * 400_000);
    await settle();
  }
  assert.deepEqual(waiting(), []);

  const held = new Map(rig.send.queue.list().map((mail) => [mail.recipients[0]?.address ?? '', mail.problem]));
  let doubled = 0;
  for (const address of addresses) {
    const arrived = weather.arrived.get(address) ?? [];
    assert.ok(new Set(arrived).size <= 1, address + ' came by two relays');
    assert.ok(arrived.length <= 2, address + ' came ' + arrived.length + ' times');
    if (arrived.length === 2) doubled += 1;
    const known = arrived.length > 0 || weather.refused.has(address) || held.has(address);
    assert.ok(known, address + ' is lost');
    const why = held.get(address);
    if (why !== undefined) assert.match(why, /^Two tries ended without a known outcome/);
  }
  t.diagnostic(
    'arrived ' +
      weather.arrived.size +
      ', refused ' +
      weather.refused.size +
      ', held ' +
      held.size +
      ', doubled ' +
      doubled,
  );
}

for (const seed of [1, 2, 3]) {
  test('nothing is lost, and nothing comes by two relays, in storm ' + seed, (t) => storm(t, seed));
}
