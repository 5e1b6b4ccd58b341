// What is known of the logins after a restart: the breaker of a second life on the database of the first.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '#shared/clock.ts';
import { createLog } from '#shared/log.ts';
import { openDatabase } from '#shared/sqlite.ts';
import { createLoginBreaker } from '../../../agent/accounts/breaker.ts';
import { createLoginMemory, loginSchema } from '../../../agent/accounts/login-memory.ts';
import { passwordSource } from '../../../agent/accounts/secret.ts';

const refusal = { trouble: { kind: 'login', problem: 'login refused' }, counts: undefined };
const well = { trouble: undefined, counts: { backlog: 0 } };
const hour = 3_600_000;
const signal = new AbortController().signal;

function bench(minIntervalMs: number) {
  const db = openDatabase({ path: ':memory:', schema: [loginSchema] });
  const log = createLog({ level: 'silent', name: 'test' });
  let wall = 1_000_000_000_000;
  let password = 'secret';
  return {
    db,
    setPassword: (text: string) => void (password = text),
    pass: (ms: number) => void (wall += ms),
    changes: () => Number(db.prepare('SELECT total_changes() AS n').get()?.['n']),
    /** A process with monotonic time of its own. */
    life: () => {
      const bootedAt = wall;
      const clock: Clock = {
        now: () => wall,
        monotonic: () => wall - bootedAt + 77,
        sleep: async (ms) => void (wall += ms),
      };
      const source = passwordSource(() => password);
      const memory = createLoginMemory({ db, account: 'info', now: clock.now, log });
      const breaker = createLoginBreaker({ source, memory, minIntervalMs, clock, random: () => 0 });
      const resumeMs = breaker.begin();
      const login = async <R extends typeof refusal | typeof well>(round: R): Promise<R> => {
        breaker.trying();
        await source.read(signal);
        return breaker.judge(round);
      };
      return { breaker, resumeMs, login };
    },
  };
}

test("the provider's minimum counts from the last login of the life before", async () => {
  const { life, pass } = bench(900_000);
  const first = life();
  assert.equal(first.breaker.restMs(), 0);
  await first.login(well);
  pass(100_000);
  first.breaker.end();
  pass(200_000);
  const second = life();
  assert.deepEqual([second.resumeMs, second.breaker.restMs()], [0, 600_000]);
  second.breaker.end();
  assert.equal(life().breaker.restMs(), 600_000, 'a life without a login changes nothing');
});

test('after a kill nobody knows when the last login was: the whole minimum is waited', async () => {
  const { life, pass } = bench(900_000);
  await life().login(well);
  pass(10 * hour);
  assert.equal(life().breaker.restMs(), 900_000);
});

test('a clock that was set back makes the wait no longer than the minimum', async () => {
  const { life, pass } = bench(900_000);
  const first = life();
  await first.login(well);
  first.breaker.end();
  pass(-1_000 * hour);
  assert.equal(life().breaker.restMs(), 900_000);
});

test('refusals are counted on after a restart, and the next try waits for its hour', async () => {
  const { life, pass } = bench(0);
  const first = life();
  for (let n = 0; n < 3; n += 1) await first.login(refusal);
  first.breaker.end();
  pass(1_000_000);
  const second = life();
  assert.equal(second.resumeMs, hour - 1_000_000);
  const fourth = await second.login(refusal);
  assert.match(fourth.trouble.problem, /refused 4 times in a row/);
  assert.equal(second.breaker.pauseMs(), hour);
});

test('another secret after the restart is tried at once; one that comes while it waits, too', async () => {
  const { life, setPassword } = bench(0);
  const first = life();
  for (let n = 0; n < 3; n += 1) await first.login(refusal);
  const waiting = life();
  assert.equal(waiting.resumeMs, hour);
  setPassword('another');
  await waiting.breaker.sleep(hour, signal);
  const judged = await waiting.login(refusal);
  assert.equal(judged, refusal, 'counted anew');
  setPassword('a third');
  assert.equal(life().resumeMs, 0);
});

test('a login that went well forgets the refusals; with nothing to forget, nothing is written', async () => {
  const { life, changes } = bench(0);
  const first = life();
  await first.login(refusal);
  await first.login(well);
  const before = changes();
  for (let n = 0; n < 5; n += 1) await first.login(well);
  first.breaker.end();
  assert.equal(changes(), before);
  assert.equal(life().resumeMs, 0);
});

test('under a minimum a life writes at its begin and at its end, not in between', async () => {
  const { life, changes } = bench(60_000);
  const { breaker, login } = life();
  const before = changes();
  for (let n = 0; n < 5; n += 1) await login(well);
  assert.equal(changes(), before);
  breaker.end();
  assert.equal(changes(), before + 1);
});

test('neither the password nor what it could be guessed from quickly is in the database', async () => {
  const { life, db } = bench(0);
  await life().login(refusal);
  const row = JSON.stringify(db.prepare('SELECT * FROM login').get());
  assert.match(row, /"mark":"[0-9a-f]{32}"/);
  assert.doesNotMatch(row, /secret/);
});

test('a database that cannot be written costs the memory, not the login', async () => {
  const { life, db } = bench(60_000);
  const { breaker, login } = life();
  db.exec("CREATE TRIGGER full BEFORE UPDATE ON login BEGIN SELECT RAISE(ABORT, 'disk full'); END");
  await login(refusal);
  assert.equal(breaker.pauseMs(), 45_000);
  breaker.end();
});
