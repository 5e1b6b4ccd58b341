// The agent's side of the loss table, as a process of its own: the real telemetry on a real state folder. It says mails as
// receive would, each in a transaction with a row of a table that the outbox knows nothing of: what was committed is known
// from there, whenever the process is killed.
import { join } from 'node:path';
import { systemClock } from '#shared/clock.ts';
import type { Clock } from '#shared/clock.ts';
import { createJournal, journalSchema } from '#shared/journal.ts';
import { createLog } from '#shared/log.ts';
import { createPoint } from '#shared/meter.ts';
import type { Point } from '#shared/meter.ts';
import { openDatabase, transaction } from '#shared/sqlite.ts';
import { createTelemetry } from '../../agent/telemetry/telemetry.ts';
import { reportOptions } from '../agent/telemetry/chain.ts';

export type AgentSetup = { readonly folder: string; readonly url: string; readonly password: string };
/** `together`: mails of the same millisecond; `ahead`: the clock from now on, ms; `unknown`: what a newer agent would say. */
export type AgentOrder = {
  readonly say?: number;
  readonly together?: boolean;
  readonly ahead?: number;
  readonly unknown?: boolean;
};
export type AgentWord = { readonly said: number; readonly batches: number };

if (process.argv[1] === import.meta.filename) await main(JSON.parse(process.argv[2] ?? '{}') as AgentSetup); // of telemetry-site.ts

async function main(setup: AgentSetup): Promise<void> {
  const db = openDatabase({
    path: join(setup.folder, 'agent.db'),
    schema: [journalSchema + '; CREATE TABLE ledger (serial INTEGER PRIMARY KEY, at INTEGER NOT NULL) STRICT'],
  });
  const journal = createJournal(db);
  let ahead = 0;
  let last = 0;
  const clock: Clock = {
    ...systemClock,
    now: () => Date.now() + ahead,
    // Connections that never last make the pauses between them long; how long they are is not what is looked at.
    sleep: (ms, signal) => systemClock.sleep(Math.min(ms, 250), signal),
  };
  const telemetry = createTelemetry({
    config: reportOptions({ url: setup.url, flushSeconds: 1 }),
    password: setup.password,
    tenant: 'acme',
    agent: 'nas-1',
    version: '1.0.0',
    journal,
    folder: setup.folder,
    clock,
    random: Math.random,
    log: createLog({ name: 'agent', level: 'warn' }),
    gauges: () => {},
  });
  const insert = db.prepare('INSERT INTO ledger (at) VALUES (?)');

  function say(order: AgentOrder): void {
    const tags = { account: 'info', outcome: 'delivered' };
    for (let n = 0; n < (order.say ?? 0); n += 1) {
      const isFirst = n === 0;
      last = order.together === true && !isFirst ? last : Math.max(last + 1, clock.now());
      transaction(db, () => {
        const serial = Number(insert.run(last).lastInsertRowid);
        journal.add(createPoint('mail_in', last, tags, { count: 1, size_bytes: serial }));
        if (order.unknown === true && isFirst) journal.add(fromTheFuture(last));
      });
    }
  }

  process.on('message', (order: AgentOrder) => {
    if (order.ahead !== undefined) {
      ahead = order.ahead;
      last = 0;
    }
    say(order);
    const said = Number(db.prepare('SELECT count(*) AS n FROM ledger').get()?.['n']);
    process.send?.({ said, batches: telemetry.health().batches } satisfies AgentWord);
  });
  process.on('SIGTERM', () => void telemetry.stop().then(() => process.exit(0)));
  await telemetry.start();
  process.send?.({ said: -1, batches: 0 } satisfies AgentWord);
}

/** A measurement that this version has no name for, and values that no database takes. */
function fromTheFuture(at: number): Point {
  const point: unknown = {
    name: 'mail_in_orbit',
    at,
    tags: { 'line\nbreak': 'x\\' },
    fields: { count: 1, nothing: '' },
  };
  return point as Point; // it is none: that is the point
}
