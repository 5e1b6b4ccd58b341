// A life of the receive room that ends itself with SIGKILL at a checkpoint. Started by receive-crash.live.test.ts.
import { appendFileSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { join } from 'node:path';
import type { Reached } from '#shared/checkpoint.ts';
import { systemClock } from '#shared/clock.ts';
import { createJournal, journalSchema } from '#shared/journal.ts';
import { createLog } from '#shared/log.ts';
import { createMeter } from '#shared/meter.ts';
import { openDatabase } from '#shared/sqlite.ts';
import { createLocal } from '../../agent/local/local.ts';
import { ledgerSchema } from '../../agent/receive/ledger/ledger.ts';
import { createReceive } from '../../agent/receive/receive.ts';

export type Life = {
  readonly folder: string;
  readonly pop3Port: number;
  readonly lmtpPort: number;
  readonly user: string;
  readonly password: string;
  readonly recipient: string;
  readonly sessions: number;
  /** Where to die, at which visit (from 1); absent: live on. */
  readonly crash?: { readonly at: string; readonly visit: number };
  /** Gets a line with the checkpoint's name for each death. */
  readonly counterFile: string;
};

// A killed process would not leave what it compiled for the next life.
flushCompileCache();

const life = JSON.parse(process.argv[2] ?? '{}') as Life; // written by the test
let visits = 0;
const reached: Reached = (checkpoint) => {
  if (checkpoint !== life.crash?.at) return;
  visits += 1;
  if (visits < life.crash.visit) return;
  appendFileSync(life.counterFile, checkpoint + '\n');
  process.kill(process.pid, 'SIGKILL');
};

const log = createLog({ level: 'warn', name: 'receive-main' });
const clock = systemClock;
const db = openDatabase({
  path: join(life.folder, 'agent.db'),
  schema: [[journalSchema, ledgerSchema].join(';\n')],
});
const lmtp = { host: '127.0.0.1', port: life.lmtpPort, tls: 'none' } as const;
const pop3 = { host: '127.0.0.1', port: life.pop3Port, tls: 'none' } as const;
const local = createLocal({
  config: { ...lmtp, protocol: 'lmtp', domains: ['example.org'], sessions: life.sessions },
  endpoint: lmtp,
  name: 'agent.test',
  clock,
  log,
});
const receive = createReceive({
  accounts: [
    {
      config: {
        ...pop3,
        id: 'info',
        user: life.user,
        password: { env: 'UNUSED' },
        recipients: [life.recipient],
        keep: 'none',
        firstRun: 'all',
        intervalSeconds: 1,
      },
      endpoint: pop3,
      password: life.password,
    },
  ],
  db,
  journal: createJournal(db),
  local,
  sessions: life.sessions,
  meter: createMeter({ clock, sink: () => {} }),
  clock,
  random: Math.random,
  log,
  reached,
  traceId: 'crash',
  folder: life.folder,
});
const controller = new AbortController();
process.once('SIGTERM', () => controller.abort());
await receive.run(controller.signal);
await local.close();
db.close();
