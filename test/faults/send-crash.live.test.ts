// The send path is killed at each of its checkpoints, over and over, while clients send through it; a client sends again
// whatever got no 250. What arrived is counted in the Maildirs behind a real postfix relay.
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { checkpoints } from '#shared/checkpoint.ts';
import type { Checkpoint } from '#shared/checkpoint.ts';
import type { Order, Report, Setup } from '../agent/send/child.ts';
import { openState, plain, talk } from '../agent/send/rig.ts';
import { createLab } from '../lab/lab.ts';
import { waitFor } from '../lab/wait.ts';

const sendCheckpoints = checkpoints.filter((name) => name.startsWith('send.'));
const hitsEach = 20;
const clients = 4;
const relaySessions = 2;
const box = 'box@world.test';

/** A process that has everything loaded and waits for its order: one is always ready, so that a restart takes no time. */
type Standby = { readonly child: ChildProcess; readonly reports: Report[]; readonly loaded: Promise<unknown> };

function prepare(t: TestContext, setup: Setup): Standby {
  const env: NodeJS.ProcessEnv = { ...process.env, NODE_COMPILE_CACHE: join(setup.folder, 'compiled') };
  delete env['NODE_TEST_CONTEXT'];
  const file = join(import.meta.dirname, '..', 'agent', 'send', 'child.ts');
  const child = fork(file, [JSON.stringify(setup)], { env, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  t.after(() => void child.kill('SIGKILL'));
  const reports: Report[] = [];
  child.on('message', (report) => void reports.push(report as Report)); // child.ts sends nothing else
  return { child, reports, loaded: once(child, 'message') };
}

async function order(standby: Standby, what: Order): Promise<void> {
  await standby.loaded;
  standby.child.send(what);
}

/** Clients that send numbered mails until `over`; each number is sent again until it got its 250. */
function startClients(t: TestContext, port: number) {
  const accepted = new Set<number>();
  let allowance = 0;
  let serial = 0;
  let over = false;

  async function send(client: Awaited<ReturnType<typeof talk>>, n: number): Promise<boolean> {
    for (const line of ['MAIL FROM:<sales@office.test>', 'RCPT TO:<' + box + '>', 'DATA'])
      if (!/^[23]/.test((await client.say(line)) ?? '')) return false;
    const answer = await client.say('Subject: mail ' + n + '\r\n\r\nThe mail number ' + n + '.\r\n.');
    return answer?.startsWith('250 2.0.0 Queued as ') === true;
  }

  async function pump(): Promise<void> {
    let pending: number | undefined;
    const more = (): boolean => !over || pending !== undefined;
    while (more()) {
      const client = await talk(t, port);
      const ready =
        (await client.say('EHLO desk')) !== undefined && (await client.say(plain()))?.startsWith('235') === true;
      for (let alive = ready; alive && more();) {
        if (pending === undefined && allowance <= 0) {
          await new Promise((resolve) => setTimeout(resolve, 5));
          alive = !client.socket.destroyed;
          continue;
        }
        if (pending === undefined) {
          allowance -= 1;
          pending = serial += 1;
        }
        alive = await send(client, pending);
        if (alive) {
          accepted.add(pending);
          pending = undefined;
        }
      }
      client.socket.destroy();
      if (!ready) await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  const pumps = Promise.all(Array.from({ length: clients }, pump));
  return {
    accepted,
    allow: (mails: number) => void (allowance = Math.min(allowance + mails, 20)),
    finish: async () => {
      over = true;
      await pumps;
    },
  };
}

test('killed at every checkpoint twenty times: no mail that got its 250 is lost', { timeout: 180_000 }, async (t) => {
  const lab = createLab(t);
  const relay = await lab.postfix({
    role: 'relay',
    domains: ['world.test'],
    users: { 'relay-user': 'relay-password' },
    main: { smtpd_tls_auth_only: 'no' },
  });
  const { folder, db } = await openState(t);
  db.close();
  const visits = join(lab.dir, 'visits');
  // The late retry comes only in the last run, whose clock is ahead: a mail must not stand at the dot in two crashes.
  const relayConfig = { sessions: relaySessions, unknownRetrySeconds: 600 };
  const setup: Setup = {
    folder,
    port: await lab.freePort(),
    relay: { host: relay.host, port: relay.submission },
    relayPassword: 'relay-password',
    relayConfig,
  };
  const traffic = startClients(t, setup.port);
  const ticking = setInterval(() => traffic.allow(1), 20);
  t.after(() => clearInterval(ticking));

  const plan: { readonly at: Checkpoint; readonly visit: number }[] = [];
  for (let round = 0; round < hitsEach; round += 1)
    for (const at of sendCheckpoints) plan.push({ at, visit: 1 + (round % 3) });
  let next = prepare(t, setup);
  for (const { at, visit } of plan) {
    const now = next;
    const ended = once(now.child, 'exit');
    await order(now, { crash: { at, visit, file: visits } });
    traffic.allow(4);
    next = prepare(t, setup);
    const [code, signal] = await Promise.race([ended, late(20_000, 'a visit of ' + at)]);
    assert.deepEqual([code, signal], [null, 'SIGKILL'], 'ended at ' + at);
  }
  clearInterval(ticking);

  await order(next, { aheadMs: 900_000, unknownRetrySeconds: 1 });
  await traffic.finish();
  const last = (): Report | undefined => next.reports.at(-1);
  await waitFor(
    'an empty queue',
    () => {
      const report = last();
      return report !== undefined && 'depth' in report && report.depth === 0 && report.files === 0;
    },
    { timeoutMs: 60_000 },
  ).catch((error: unknown) => assert.fail(String(error) + ' ' + JSON.stringify(last())));
  for (const part of ['queue', 'temp'])
    assert.deepEqual(await readdir(join(folder, 'spool', part)), [], part + '/ is empty');
  next.child.kill('SIGKILL');

  const counts = new Map<string, number>();
  for (const name of (await readFile(visits, 'utf8')).trim().split('\n')) counts.set(name, (counts.get(name) ?? 0) + 1);
  for (const name of sendCheckpoints)
    assert.ok((counts.get(name) ?? 0) >= hitsEach, name + ' was hit ' + counts.get(name));
  await waitFor('postfix to deliver', async () => (await relay.queue()).length === 0, {
    timeoutMs: 60_000,
    everyMs: 200,
  });
  await judge(t, await relay.mails(box), traffic.accepted, counts);
});

async function judge(
  t: TestContext,
  mails: readonly Buffer[],
  accepted: ReadonlySet<number>,
  counts: ReadonlyMap<string, number>,
): Promise<void> {
  const copies = new Map<number, string[]>();
  for (const bytes of mails) {
    const text = bytes.toString();
    const n = Number(/^Subject: mail (\d+)$/m.exec(text)?.[1]);
    assert.ok(text.endsWith('\nThe mail number ' + n + '.\n'), 'whole');
    copies.set(n, [...(copies.get(n) ?? []), /^Message-ID: (.*)$/im.exec(text)?.[1] ?? '']);
  }
  const lost = [...accepted].filter((n) => !copies.has(n));
  const crashes = [...counts.values()].reduce((sum, count) => sum + count, 0);
  // Two copies with one Message-ID: the relay had taken it and we did not know. With two: the client sent it twice.
  let atRelay = 0;
  let atClient = 0;
  for (const ids of copies.values()) {
    const different = new Set(ids).size;
    atClient += different - 1;
    atRelay += ids.length - different;
  }
  t.diagnostic([...counts].map(([name, count]) => name + ' ' + count).join(', '));
  t.diagnostic(
    accepted.size +
      ' mails answered 250, ' +
      mails.length +
      ' arrived, lost ' +
      lost.length +
      ', doubled at the relay ' +
      atRelay +
      ', sent twice by a client ' +
      atClient,
  );
  assert.deepEqual(lost, []);
  assert.ok(accepted.size >= crashes / 2, 'there was traffic');
  assert.ok(atRelay <= crashes * relaySessions, 'at most one a crash for each open session to the relay');
  assert.ok(atClient <= crashes * clients, 'at most one a crash for each client');
}

async function late(ms: number, what: string): Promise<never> {
  await new Promise((resolve) => setTimeout(resolve, ms).unref());
  throw new Error('Cannot go on: ' + what + ' not reached within ' + ms + ' ms');
}
