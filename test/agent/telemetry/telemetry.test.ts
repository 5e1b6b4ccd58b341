import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { systemClock } from '#shared/clock.ts';
import { createJournal, journalSchema } from '#shared/journal.ts';
import { createLog } from '#shared/log.ts';
import { createPoint } from '#shared/meter.ts';
import { openDatabase } from '#shared/sqlite.ts';
import { unpack } from '../../../agent/telemetry/outbox-file.ts';
import { createTelemetry } from '../../../agent/telemetry/telemetry.ts';
import { waitFor } from '../../lab/wait.ts';
import { reportOptions } from './chain.ts';

function setup(t: TestContext, gauges: () => void = () => {}) {
  const folder = mkdtempSync(join(tmpdir(), 'mailferry-telemetry-'));
  const db = openDatabase({ path: ':memory:', schema: [journalSchema] });
  const journal = createJournal(db);
  const telemetry = createTelemetry({
    config: reportOptions({ url: 'mqtt://127.0.0.1:1', flushSeconds: 3_600 }),
    password: 'right',
    tenant: 'acme',
    agent: 'nas-1',
    version: '1.0.0',
    journal,
    folder,
    clock: systemClock,
    random: Math.random,
    log: createLog({ name: 'test', level: 'silent' }),
    gauges,
  });
  t.after(async () => {
    await telemetry.stop();
    db.close();
    rmSync(folder, { recursive: true });
  });
  /** Names of what the file holds, by a connection of its own. */
  const stored = (): readonly string[] => {
    const file = new DatabaseSync(join(folder, 'outbox.db'), { readOnly: true });
    const rows = file.prepare('SELECT points FROM batch').all();
    file.close();
    return rows.flatMap((row) => unpack(row['points'])).map((point) => point.name);
  };
  return { telemetry, journal, stored };
}

test('what was said before the start, and the own gauge, are in the first batch', async (t) => {
  const { telemetry, stored } = setup(t);
  telemetry.meter.say('relay', { relay: 'provider' }, { up: 1 });
  await telemetry.start();
  await waitFor('the first batch', () => stored().length > 0);
  assert.deepEqual(stored(), ['relay', 'agent']);
});

test('what is said about a mail does not wait for the flush', async (t) => {
  const { telemetry, journal, stored } = setup(t);
  await telemetry.start();
  await waitFor('the first batch', () => stored().length > 0);
  journal.add(createPoint('mail_in', Date.now(), { account: 'a', outcome: 'delivered' }, { count: 1 }));
  await waitFor('the mail', () => stored().includes('mail_in'), { timeoutMs: 10_000 });
});

test('stop() keeps what was said since the last flush, is quick, and may be called again', async (t) => {
  const { telemetry, journal, stored } = setup(t);
  await telemetry.start();
  await waitFor('the first batch', () => stored().length > 0);
  telemetry.meter.say('relay', { relay: 'provider' }, { up: 0 });
  journal.add(createPoint('mail_in', Date.now(), { account: 'a', outcome: 'delivered' }, { count: 1 }));
  const since = performance.now();
  await telemetry.stop();
  await telemetry.stop();
  assert.ok(performance.now() - since < 5_000);
  assert.ok(stored().includes('relay') && stored().includes('mail_in'), stored().join());
});

test('gauges that throw do not keep mails from being reported', async (t) => {
  const { telemetry, journal, stored } = setup(t, () => {
    throw new Error('the queue cannot be read');
  });
  await telemetry.start();
  journal.add(createPoint('mail_in', Date.now(), { account: 'a', outcome: 'delivered' }, { count: 1 }));
  await waitFor('the mail', () => stored().includes('mail_in'));
  assert.equal(telemetry.health().connected, false);
});

test('stop() without a start does nothing', async (t) => {
  const { telemetry } = setup(t);
  await telemetry.stop();
  assert.equal(telemetry.health().problem, 'not started');
});
