// The whole agent with a clock that jumps over its pauses: how often it logs in, and what it says.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { pino } from 'pino';
import type { Clock } from '#shared/clock.ts';
import { createAgent } from '../../../agent/agent.ts';
import { loadAgentConfig } from '../../../agent/config.ts';
import { createLab } from '../../lab/lab.ts';
import { waitFor } from '../../lab/wait.ts';

type Site = {
  /** Seconds of the agent's clock at each login. */
  readonly logins: readonly number[];
  readonly log: readonly string[];
  readonly setPassword: (text: string) => void;
  readonly seconds: () => number;
  /** Ends the agent orderly, and begins its next life on the same state. */
  readonly restart: () => Promise<void>;
};

async function startSite(
  t: TestContext,
  options: { readonly password: string; readonly account?: string },
): Promise<Site> {
  const lab = createLab(t);
  const logins: number[] = [];
  const log: string[] = [];
  let offset = 0;
  const sleepers = new Set<{ readonly dueAt: number; wake: () => void }>();
  const monotonic = (): number => performance.now() + offset;
  const clock: Clock = {
    now: () => Date.now() + offset,
    monotonic,
    async sleep(ms, signal) {
      const sleeper = { dueAt: monotonic() + ms, wake: () => {} };
      const { promise, resolve } = Promise.withResolvers<void>();
      sleeper.wake = resolve;
      // Only the account's sleep drives the clock: a jump to the agent's hourly note in the middle of a round would look like a late login.
      if (ms < 3_600_000) sleepers.add(sleeper);
      const onAbort = (): void => resolve();
      signal?.addEventListener('abort', onAbort, { once: true });
      if (signal?.aborted === true) resolve();
      await promise;
      sleepers.delete(sleeper);
      signal?.removeEventListener('abort', onAbort);
    },
  };
  // Time jumps to who is due first, with a moment for whoever waits for the agent.
  const ticker = setInterval(() => {
    const first = [...sleepers].sort((a, b) => a.dueAt - b.dueAt)[0];
    if (first === undefined) return;
    offset += Math.max(0, first.dueAt - monotonic());
    sleepers.delete(first);
    first.wake();
  }, 2);
  t.after(() => clearInterval(ticker));
  const pop3 = await lab.scriptedPop3({
    password: 'right',
    script({ verb }) {
      if (verb === 'PASS') logins.push(monotonic() / 1_000);
      return undefined;
    },
  });
  const smtp = await lab.scriptedSmtp({});
  const passwordFile = join(lab.dir, 'password');
  const setPassword = (text: string): void => writeFileSync(passwordFile, text + '\n');
  setPassword(options.password);
  const configFile = join(lab.dir, 'agent.yaml');
  writeFileSync(
    configFile,
    'tenant: acme\nagent: nas-1\nstate: state\nlocal: {domains: [example.org], port: ' +
      smtp.port +
      '}\naccounts:\n' +
      '  - id: info\n    host: 127.0.0.1\n    port: ' +
      pop3.port +
      '\n    tls: none\n    user: info@example.org\n' +
      '    password: {file: password}\n    recipients: [info@example.org]\n' +
      (options.account ?? ''),
  );
  const create = () =>
    createAgent({
      loaded: loadAgentConfig(configFile),
      log: pino({ level: 'info' }, { write: (line: string) => void log.push(line) }),
      version: '0.0.0',
      clock,
      random: () => 0,
    });
  let agent = create();
  t.after(() => agent.stop());
  await agent.start();
  async function restart(): Promise<void> {
    await agent.stop();
    agent = create();
    await agent.start();
  }
  return { logins, log, setPassword, seconds: () => monotonic() / 1_000, restart };
}

test('a wrong password is tried three times within minutes, then hourly; a new one in the file is taken within seconds', async (t) => {
  const { logins, log, setPassword, seconds } = await startSite(t, { password: 'wrong' });
  await waitFor('the fourth login', () => logins.length >= 4);
  const pauses = logins.slice(1).map((at, index) => at - (logins[index] ?? 0));
  assert.ok((pauses[0] ?? 0) >= 45 && (pauses[1] ?? 0) >= 90, String(pauses));
  assert.ok((pauses[2] ?? 0) >= 3_600, String(pauses));
  assert.ok(log.some((line) => line.includes('the login was refused 3 times in a row, so it is tried once an hour')));
  assert.ok(log.every((line) => !/wrong(?! user or password)/.test(line)));
  const before = logins.length;
  setPassword('right');
  const changedAt = seconds();
  await waitFor('a login that is accepted', () => log.some((line) => line.includes('account is well')));
  assert.ok((logins[before] ?? 0) - changedAt < 10, logins[before] + ' after ' + changedAt);
});

test("the preset's minimum interval wins, and the log tells it once", async (t) => {
  const { logins, log } = await startSite(t, {
    password: 'right',
    account: '    preset: web-de\n    intervalSeconds: 15\n',
  });
  await waitFor('the fourth login', () => logins.length >= 4);
  for (const [index, at] of logins.entries())
    assert.ok(index === 0 || at - (logins[index - 1] ?? 0) >= 899, String(logins)); // a login comes a moment after its round begins
  const told = log.filter((line) =>
    line.includes('option accounts[0].intervalSeconds: the provider allows no shorter interval'),
  );
  assert.equal(told.length, 1);
  assert.match(told[0] ?? '', /"intervalSeconds":900/);
});

test('after a restart the minimum still counts from the last login, and a refused password still waits for its hour', async (t) => {
  const limited = await startSite(t, { password: 'right', account: '    preset: web-de\n' });
  await waitFor('the first login', () => limited.logins.length >= 1);
  await limited.restart();
  await waitFor('the next login', () => limited.logins.length >= 2);
  const pauses = limited.logins.slice(1).map((at, index) => at - (limited.logins[index] ?? 0));
  assert.ok(
    pauses.every((pause) => pause >= 899),
    String(limited.logins),
  );

  const { logins, log, setPassword, seconds, restart } = await startSite(t, { password: 'wrong' });
  await waitFor('the third login', () => logins.length >= 3);
  await waitFor('its line', () => log.some((line) => line.includes('refused 3 times in a row')));
  await restart();
  await waitFor('the fourth login', () => logins.length >= 4);
  const [, , third = 0, fourth = 0] = logins;
  assert.ok(fourth - third >= 3_590, String(logins));
  assert.ok(log.some((line) => line.includes('the login was refused before the restart')));
  await restart();
  const before = logins.length;
  setPassword('right');
  const changedAt = seconds();
  await waitFor('a login that is accepted', () => log.some((line) => line.includes('account is well')));
  assert.ok((logins[before] ?? 0) - changedAt < 10, logins[before] + ' after ' + changedAt);
});
