// The whole way of a measurement from the agent's journal to a store, made of the real rooms in this process, so that a test
// can end and begin each part by itself.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Default } from 'typebox/value';
import { systemClock } from '#shared/clock.ts';
import { createJournal, journalSchema } from '#shared/journal.ts';
import { createLog } from '#shared/log.ts';
import { createPoint } from '#shared/meter.ts';
import { openDatabase, transaction } from '#shared/sqlite.ts';
import { reportSchema } from '../../../agent/telemetry/report-options.ts';
import type { ReportConfig } from '../../../agent/telemetry/report-options.ts';
import { createTelemetry } from '../../../agent/telemetry/telemetry.ts';
import type { Telemetry } from '../../../agent/telemetry/telemetry.ts';
import { createExternalBroker } from '../../../collector/broker/external.ts';
import { createFleet, fleetSchema } from '../../../collector/fleet/fleet.ts';
import type { Fleet } from '../../../collector/fleet/fleet.ts';
import { createIngest, ingestSchema } from '../../../collector/ingest/ingest.ts';
import type { Ingest } from '../../../collector/ingest/ingest.ts';
import type { Store } from '../../../collector/store/store.ts';

export const tenant = 'acme';
export const agent = 'nas-1';
export const password = 'right';
/** Options of a report; what is not given is as the schema says. */
export function reportOptions(given: Partial<ReportConfig> & { readonly url: string }): ReportConfig {
  return Default(reportSchema, { password: { env: 'UNUSED' }, tell: { afterHours: 0 }, ...given }) as ReportConfig; // of this schema
}
const log = createLog({ name: 'test', level: 'silent' });
const common = { clock: systemClock, random: Math.random, log };

export type AgentSide = {
  readonly telemetry: Telemetry;
  /** Says `count` delivered mails, each in a transaction of its own, as receive would. */
  readonly mails: (count: number) => void;
  readonly said: () => number;
  /** Ends the old process and begins a new one on the same state. */
  readonly restart: () => Promise<void>;
  readonly stop: () => Promise<void>;
};

export async function startAgentSide(options: { readonly folder: string; readonly url: string }): Promise<AgentSide> {
  mkdirSync(options.folder, { recursive: true });
  const db = openDatabase({ path: join(options.folder, 'agent.db'), schema: [journalSchema] });
  const journal = createJournal(db);
  const open = (): Telemetry => {
    const telemetry: Telemetry = createTelemetry({
      config: reportOptions({ url: options.url, flushSeconds: 1 }),
      password,
      tenant,
      agent,
      version: '1.0.0',
      journal,
      folder: options.folder,
      ...common,
      gauges: () => telemetry.meter.say('queue', {}, { depth: said, oldest_seconds: 0, held: 0, unknown: 0 }),
    });
    return telemetry;
  };
  let said = 0;
  let telemetry = open();
  await telemetry.start();
  return {
    get telemetry() {
      return telemetry;
    },
    mails(count) {
      for (let n = 0; n < count; n += 1) {
        const tags = { account: 'info', outcome: 'delivered' };
        transaction(db, () => journal.add(createPoint('mail_in', Date.now(), tags, { count: 1, size_bytes: said })));
        said += 1;
      }
    },
    said: () => said,
    async restart() {
      await telemetry.stop();
      telemetry = open();
      await telemetry.start();
    },
    async stop() {
      await telemetry.stop();
      db.close();
    },
  };
}

export type Broker = { readonly start: () => Promise<void>; readonly stop: () => Promise<void> };
export type CollectorSide = {
  readonly fleet: () => Fleet;
  readonly ingest: () => Ingest;
  /** Ends everything but the store and begins anew on the same database. */
  readonly restart: () => Promise<void>;
  readonly stop: () => Promise<void>;
};

/** The collector's account at somebody else's broker. */
export const externalBroker =
  (url: string) =>
  (parts: { readonly ingest: Ingest } & typeof common): Broker =>
    createExternalBroker({
      config: { kind: 'external', url, user: 'collector', urls: [] },
      password: 'secret',
      ...parts,
    });

export async function startCollectorSide(options: {
  readonly folder: string;
  readonly store: Store;
  readonly broker: (parts: { readonly ingest: Ingest } & typeof common) => Broker;
}): Promise<CollectorSide> {
  mkdirSync(options.folder, { recursive: true });
  const open = async () => {
    const schema = [fleetSchema + ';\n' + ingestSchema];
    const db = openDatabase({ path: join(options.folder, 'collector.db'), schema });
    const fleet = createFleet({ db, clock: systemClock, staleSeconds: 60, offlineSeconds: 300, log });
    const ingest = createIngest({ store: options.store, fleet, db, ...common });
    const broker = options.broker({ ingest, ...common });
    await broker.start();
    const stop = async (): Promise<void> => {
      await broker.stop();
      await ingest.stop();
      db.close();
    };
    return { fleet, ingest, stop };
  };
  let parts = await open();
  return {
    fleet: () => parts.fleet,
    ingest: () => parts.ingest,
    async restart() {
      await parts.stop();
      parts = await open();
    },
    stop: () => parts.stop(),
  };
}
