// The room as a whole, on a real postfix (STARTTLS and login) and a scripted Bot API: each change is told exactly once at each
// place, over restarts, through a limit of rate, and while another place is out of order.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { pino } from 'pino';
import { systemClock } from '#shared/clock.ts';
import { createPoint } from '#shared/meter.ts';
import { openDatabase } from '#shared/sqlite.ts';
import { createAlert } from '../../../collector/alert/alert.ts';
import { alertSchema } from '../../../collector/alert/state.ts';
import type { AlertsConfig } from '../../../collector/config.ts';
import type { AgentState, AgentView } from '../../../collector/fleet/agent-view.ts';
import { createLab } from '../../lab/lab.ts';
import type { Postfix } from '../../lab/postfix.ts';
import { waitFor } from '../../lab/wait.ts';

const token = '42:right-token';
const soon = { forSeconds: 1, clearSeconds: 1 };
const team = 'team@ops.example';
/** Watched after each change; many times what a change takes. */
const evaluations = 40;

/** A fleet of one agent, fed by hand: it reports at every look. */
function createFleet() {
  const scene = { state: 'online' as AgentState, up: 1, looks: 0 };
  const views = (): readonly AgentView[] => {
    scene.looks += 1;
    const at = Date.now() + scene.looks;
    const tags = { account: 'info' };
    const readings = [
      createPoint('agent', at, {}, { uptime_seconds: 1, outbox_oldest_seconds: 0 }),
      createPoint('account', at, tags, { up: scene.up, problem: scene.up === 1 ? '' : '535 ümlaut <refused>' }),
    ];
    const counts = { mailIn: { count: 0 }, mailOut: { count: 0 }, queue: { count: 0, oldestSeconds: 0 } };
    const base = { tenant: 'acme', id: 'nas-1', version: '', lastSeenAt: at, silentMs: 0, ...counts };
    return [{ ...base, state: scene.state, readings }];
  };
  /** Waits for that many further evaluations. */
  const watched = async (looks: number): Promise<void> => {
    const end = scene.looks + looks;
    await waitFor(looks + ' evaluations', () => scene.looks >= end, { timeoutMs: 30_000 });
  };
  return { scene, views, watched };
}

async function subjects(postfix: Postfix): Promise<readonly string[]> {
  const mails = await postfix.mails(team);
  return mails.map((bytes) => /^Subject: (.*)$/m.exec(bytes.toString('utf8'))?.[1] ?? 'none').sort();
}

test('each change is told once at each place, over a restart and a limit of rate', async (t) => {
  const lab = createLab(t);
  const user = 'alerts@ops.example';
  const postfix = await lab.postfix({ role: 'relay', domains: ['ops.example'], users: { [user]: 'right' } });
  const bot = await lab.scriptedBotApi({
    token,
    script: ({ before }) =>
      before === 0 ? { error: 429, description: 'Too Many Requests', retryAfterSeconds: 1 } : undefined,
  });
  const fleet = createFleet();
  const logged: string[] = [];
  const log = pino(new Writable({ write: (chunk, _, done) => done(void logged.push(String(chunk))) }));
  // The pause after the 429 is the server's second, not our own five.
  const clock = {
    ...systemClock,
    sleep: (ms: number, signal?: AbortSignal) => systemClock.sleep(Math.min(ms, 1_000), signal),
  };

  function start(more: { readonly rules?: AlertsConfig['rules']; readonly token?: string } = {}) {
    const db = openDatabase({ path: join(lab.dir, 'collector.db'), schema: [alertSchema] });
    const email = {
      host: '127.0.0.1',
      port: postfix.submission,
      tls: 'starttls' as const,
      user,
      from: user,
      to: [team],
    };
    const rules = more.rules ?? { 'account-failing': soon, 'agent-silent': soon };
    const alert = createAlert({
      config: {
        email,
        telegram: { token: { env: 'X' }, chats: ['-1001'], apiRoot: bot.url },
        rules,
        evaluateSeconds: 0.05,
      },
      secrets: { emailPassword: 'right', telegramToken: more.token ?? token },
      ca: postfix.ca,
      db,
      fleet,
      clock,
      random: () => 0.5,
      log,
      link: 'http://127.0.0.1:8420',
    });
    alert.start();
    const stop = async (): Promise<void> => {
      await alert.stop();
      if (db.isOpen) db.close();
    };
    lab.onStop(stop);
    return { alert, stop };
  }
  const arrive = async (emails: number, chats: number): Promise<void> => {
    await waitFor(
      emails + ' mails and ' + chats + ' messages',
      async () => (await subjects(postfix)).length >= emails && bot.messages.length >= chats,
      { timeoutMs: 30_000 },
    );
    await fleet.watched(evaluations);
    assert.deepEqual([(await subjects(postfix)).length, bot.messages.length], [emails, chats]);
  };
  const failing = 'acme/nas-1: mailbox info cannot be fetched';

  let running = start();
  await fleet.watched(10);
  assert.deepEqual(running.alert.active(), []);
  fleet.scene.up = 0;
  await arrive(1, 1);
  assert.deepEqual(await subjects(postfix), ['ALERT: ' + failing]);
  assert.match(
    bot.messages[0]?.text ?? '',
    /535 ümlaut <refused>[^]*http:\/\/127\.0\.0\.1:8420\/#\/agent\/acme\/nas-1/,
  );
  const shown = running.alert.active()[0];
  assert.deepEqual([shown?.rule, shown?.severity, shown?.title], ['account-failing', 'critical', failing]);

  // A restart, with the agent not heard yet: nothing is told again, nothing is silent, nothing is over.
  await running.stop();
  fleet.scene.state = 'stale';
  fleet.scene.up = 1;
  running = start();
  await fleet.watched(evaluations);
  assert.deepEqual([(await subjects(postfix)).length, bot.messages.length], [1, 1]);
  assert.deepEqual(
    running.alert.active().map(({ rule }) => rule),
    ['account-failing'],
  );
  fleet.scene.state = 'online';
  await arrive(2, 2);
  assert.deepEqual(await subjects(postfix), ['ALERT: ' + failing, 'RESOLVED: ' + failing]);
  const [older, newer] = (await postfix.mails(team)).map((bytes) => bytes.toString('utf8'));
  const [raised, resolved] = older?.includes('RESOLVED') === true ? [newer, older] : [older, newer];
  const id = /^Message-ID: (.*)$/im.exec(raised ?? '')?.[1] ?? 'none';
  assert.equal(/^References: (.*)$/im.exec(resolved ?? '')?.[1], id);

  // Raised again, then its rule is switched off: the end is told, with the reason.
  fleet.scene.up = 0;
  await arrive(3, 3);
  await running.stop();
  running = start({ rules: { 'account-failing': { enabled: false } } });
  await arrive(4, 4);
  assert.match(bot.messages[3]?.text ?? '', /RESOLVED: [^]*switched off/);
  await running.stop();

  // A wrong token: told in the log once, without the token, not hammered, and the mail comes all the same.
  const callsBefore = bot.calls.length;
  running = start({ token: '43:wrong-token' });
  await arrive(5, 4);
  const refusals = logged.filter((line) => line.includes('401'));
  assert.equal(refusals.length, 1, logged.join(''));
  assert.match(refusals[0] ?? '', /Telegram chat -1001: .*Unauthorized.*option alerts\.telegram/);
  assert.ok(bot.calls.length - callsBefore <= 10, 'calls: ' + (bot.calls.length - callsBefore));
  assert.ok(!logged.join('').includes('-token') && !logged.join('').includes(team), 'no secret, no whole address');
});
