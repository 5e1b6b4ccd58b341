// What a person may do to a mail of the queue, on a real index and real files.
import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { UserError } from '#shared/failure.ts';
import type { QueueDesk } from '../../../../agent/send/send.ts';
import { createLab } from '../../../lab/lab.ts';
import type { SmtpStep } from '../../../lab/scripted-smtp.ts';
import { waitFor } from '../../../lab/wait.ts';
import { movableClock, startRig } from '../rig.ts';
import type { Rig } from '../rig.ts';

const login = { user: 'relay-user', password: 'relay-password' };
const down = { host: '127.0.0.1', port: 1 };
const only = (rig: Rig) => rig.send.queue.list()[0];
const to = ['someone@world.test'];

function deskOf(rig: Rig): QueueDesk {
  return rig.send.desk() ?? assert.fail('no desk');
}
async function idOf(rig: Rig): Promise<string> {
  await rig.submit();
  return only(rig)?.id ?? assert.fail('no mail');
}
const empty = (rig: Rig) =>
  waitFor('an empty queue', async () => rig.send.queue.list().length === 0 && (await rig.files()).length === 0);

test('a held mail is not sent, also after a restart, until it is released', async (t) => {
  const lab = createLab(t);
  const relay = await lab.scriptedSmtp({ login });
  const rig = await startRig(t, { relay: down });
  const id = await idOf(rig);
  await waitFor('the problem', () => !rig.send.relays()[0]?.up);
  assert.deepEqual(deskOf(rig).hold(id), { id, recipients: to, mayHaveArrived: [] });
  assert.deepEqual([only(rig)?.state, only(rig)?.problem, only(rig)?.nextTryAt], ['held', 'Held by hand', 0]);
  assert.equal(rig.send.queue.summary().held, 1);
  await rig.send.stop();
  const again = await startRig(t, { relay, state: rig.state });
  await again.submit({ to: ['other@world.test'] });
  await waitFor('the other mail', () => relay.mails.length === 1);
  assert.deepEqual(await deskOf(again).release(id), { id, recipients: to, mayHaveArrived: [] });
  await empty(again);
  assert.deepEqual(
    relay.mails.map((mail) => mail.recipients[0]),
    ['other@world.test', 'someone@world.test'],
  );
});

test('a mail without a known outcome stays told as such when it is released, and is held again by the next one', async (t) => {
  const clock = movableClock();
  let well = false;
  const relay = await createLab(t).scriptedSmtp({
    login,
    script: ({ verb }: SmtpStep) => (verb === 'body' && !well ? { end: 'reset' } : undefined),
  });
  const rig = await startRig(t, { relay, clock });
  const id = await idOf(rig);
  const dots = () => relay.commands.filter((line) => line === 'DATA').length;
  await waitFor('unknown', () => only(rig)?.state === 'unknown' && dots() === 1);
  await waitFor('held', () => {
    clock.advance(1_000);
    return only(rig)?.state === 'held';
  });
  const before = dots();
  assert.deepEqual(await deskOf(rig).release(id), { id, recipients: to, mayHaveArrived: to });
  await waitFor('one more try, and held', () => dots() === before + 1 && only(rig)?.state === 'held');
  assert.match(only(rig)?.problem ?? '', /^Two tries ended without a known outcome; it may have arrived/);
  well = true;
  await deskOf(rig).release(id);
  assert.ok(['unknown', 'sending', undefined].includes(only(rig)?.state));
  await empty(rig);
  assert.equal(relay.mails.length, 1);
});

test('an expired mail that is released has its whole time again, and a notice not yet delivered is withdrawn', async (t) => {
  const clock = movableClock();
  const told: string[] = [];
  const local = {
    deliver: async ({ recipients }: { readonly recipients: readonly string[] }) => {
      told.push(...recipients);
      return {
        recipients: recipients.map((address) => ({ address, verdict: 'later' as const, text: 'down' })),
        session: undefined,
        bareLineEnds: 0,
      };
    },
    problem: () => 'down',
    close: async () => {},
  };
  const rig = await startRig(t, { relay: down, clock, local, relayConfig: { expireHours: 5 } });
  const id = await idOf(rig);
  await waitFor('the problem', () => !rig.send.relays()[0]?.up);
  clock.advance(5 * 3_600_000 + 31_000);
  await waitFor('held', () => only(rig)?.state === 'held');
  await waitFor('a notice', () => told.length > 0);
  await deskOf(rig).release(id);
  assert.equal(rig.state.db.prepare('SELECT COUNT(*) AS n FROM notice').get()?.['n'], 0);
  for (let round = 0; round < 3; round += 1) {
    clock.advance(1_200_000);
    for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve)); // the housekeeping
  }
  await rig.submit({ to: ['other@world.test'] });
  assert.ok(rig.send.queue.list().every((mail) => mail.state === 'queued'));
  clock.advance(4 * 3_600_000 + 31_000);
  await waitFor('held again', () => rig.send.queue.show(id)?.state === 'held');
});

test('retry and flush try now, though relay and mail would wait; flush leaves alone what may have arrived', async (t) => {
  const clock = movableClock();
  let well = false;
  const relay = await createLab(t).scriptedSmtp({
    login,
    script: ({ verb, recipients }: SmtpStep) => {
      if (verb !== 'body' || well) return undefined;
      return recipients[0] === 'unclear@world.test' ? { end: 'reset' } : '451 4.3.0 later\r\n';
    },
  });
  const slow = { retryFirstSeconds: 3_000, retryMaxSeconds: 3_600, unknownRetrySeconds: 3_600 };
  const rig = await startRig(t, { relay, clock, relayConfig: slow });
  for (const name of ['one', 'two', 'unclear']) await rig.submit({ to: [name + '@world.test'] });
  const settled = () => rig.send.queue.list().every((mail) => mail.nextTryAt > clock.now() + 1_000_000);
  await waitFor('three tries', () => settled() && rig.send.queue.summary().unknown === 1);
  well = true;
  const [one] = rig.send.queue.list();
  assert.deepEqual(deskOf(rig).retry(one?.id ?? ''), {
    id: one?.id,
    recipients: ['one@world.test'],
    mayHaveArrived: [],
  });
  await waitFor('the first', () => relay.mails.length === 1);
  assert.deepEqual(deskOf(rig).flush(), { mails: 1 });
  await waitFor('the second', () => relay.mails.length === 2 && rig.send.queue.list().length === 1);
  const [unclear] = rig.send.queue.list();
  assert.equal(unclear?.state, 'unknown');
  const id = unclear?.id ?? '';
  assert.deepEqual(deskOf(rig).retry(id).mayHaveArrived, ['unclear@world.test']);
  await empty(rig);
  assert.deepEqual(deskOf(rig).flush(), { mails: 0 });
});

test('a dropped mail is gone at once, counted once as failed, and does not come back after a restart', async (t) => {
  const rig = await startRig(t, { relay: down });
  const id = await idOf(rig);
  const held = (await rig.submit().then(() => rig.send.queue.list()[1]?.id)) ?? '';
  await waitFor('the problem', () => !rig.send.relays()[0]?.up);
  deskOf(rig).hold(held);
  for (const one of [id, held])
    assert.deepEqual(deskOf(rig).drop(one), { id: one, recipients: to, mayHaveArrived: [] });
  assert.deepEqual(rig.send.queue.summary(), { depth: 0, oldestSeconds: 0, held: 0, unknown: 0 });
  await waitFor('no file', async () => (await rig.files()).length === 0);
  const failed = rig.journal().filter((point) => point.tags['outcome'] === 'failed');
  assert.equal(failed.length, 2);
  await rig.send.stop();
  const relay = await createLab(t).scriptedSmtp({ login });
  const again = await startRig(t, { relay, state: rig.state });
  await again.submit({ to: ['other@world.test'] });
  await empty(again);
  assert.equal(relay.mails.length, 1);
});

test('what cannot be done is said, and changes nothing', async (t) => {
  const relay = await createLab(t).scriptedSmtp({
    login,
    script: ({ verb }: SmtpStep) => (verb === 'body' ? { end: 'hang' } : undefined),
  });
  const rig = await startRig(t, { relay });
  const id = await idOf(rig);
  await waitFor('sending', () => only(rig)?.state === 'sending');
  const desk = deskOf(rig);
  const says = (message: RegExp) => (error: unknown) => error instanceof UserError && message.test(error.message);
  for (const act of ['hold', 'retry', 'drop'] as const)
    assert.throws(
      () => desk[act]('nope'),
      says(/^Cannot \w+ mail "nope": it is not in the queue, expected an id of queue list$/),
    );
  await assert.rejects(desk.release('nope'), says(/it is not in the queue/));
  assert.throws(() => desk.hold(id), says(/^Cannot hold mail "[^"]+": it is being sent now, expected one that waits/));
  assert.throws(() => desk.drop(id), says(/^Cannot drop mail "[^"]+": it is being sent now/));
  assert.throws(() => desk.retry(id), says(/nothing of it waits to be sent/));
  await assert.rejects(desk.release(id), says(/none of its recipients is held, expected a held mail$/));
  assert.equal(only(rig)?.state, 'sending');
  await rig.send.stop();
  const again = await startRig(t, { relay: down, state: rig.state });
  deskOf(again).hold(id);
  for (const name of await again.files()) await fs.rm(join(rig.state.folder, 'spool', 'queue', name));
  await assert.rejects(
    deskOf(again).release(id),
    says(/its spool file is missing, expected the file; all that can be done is queue drop$/),
  );
  assert.deepEqual(deskOf(again).drop(id).mayHaveArrived, to);
});
