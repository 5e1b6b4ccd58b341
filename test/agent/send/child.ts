// The send room as a process of its own, for tests that kill it or watch its system calls. The first argument is a Setup in
// JSON. With a parent that talks to it, it loads everything, says `loaded`, and starts when it is told what to do.
import { appendFileSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { join } from 'node:path';
import type { Checkpoint } from '#shared/checkpoint.ts';
import { systemClock } from '#shared/clock.ts';
import { createJournal } from '#shared/journal.ts';
import { createLog } from '#shared/log.ts';
import { createMeter } from '#shared/meter.ts';
import type { RelayConfig } from '../../../agent/config.ts';
import { createSend } from '../../../agent/send/send.ts';
import { baseSubmission, openStateDb, password, setupOf, user } from './rig.ts';

export type Setup = {
  readonly folder: string;
  readonly port: number;
  readonly relay: { readonly host: string; readonly port: number };
  readonly relayPassword: string;
  readonly relayConfig: Partial<RelayConfig>;
};
export type Order = {
  /** Ends the process at this visit of the checkpoint, after counting it in the file. */
  readonly crash?: { readonly at: Checkpoint; readonly visit: number; readonly file: string };
  /** Added to the wall clock. */
  readonly aheadMs?: number;
  /** Somebody sets the wall clock while it runs. */
  readonly jump?: { readonly afterMs: number; readonly byMs: number };
  /** Instead of the setup's. */
  readonly unknownRetrySeconds?: number;
};
export type Report =
  | { readonly loaded: true }
  | { readonly started: true }
  | { readonly depth: number; readonly held: number; readonly files: number };

// Written by the test that starts this very file.
const setup = JSON.parse(process.argv[2] ?? '{}') as Setup;

async function run(order: Order): Promise<void> {
  const { jump, unknownRetrySeconds } = order;
  let visits = 0;
  let aheadMs = order.aheadMs ?? 0;
  if (jump !== undefined) setTimeout(() => (aheadMs += jump.byMs), jump.afterMs).unref();
  const clock = { ...systemClock, now: () => systemClock.now() + aheadMs };
  const db = openStateDb(setup.folder);
  const send = createSend({
    submission: { ...baseSubmission, port: setup.port },
    passwords: new Map([[user, password]]),
    relays: [
      setupOf({
        ...setup,
        relayConfig: {
          ...setup.relayConfig,
          ...(unknownRetrySeconds === undefined ? {} : { unknownRetrySeconds }),
        },
      }),
    ],
    db,
    journal: createJournal(db),
    local: undefined,
    isLocal: () => false,
    meter: createMeter({ clock, sink: () => {} }),
    clock,
    random: Math.random,
    log: createLog({ name: 'child', level: 'error' }),
    reached(checkpoint) {
      const { crash } = order;
      if (crash?.at !== checkpoint) return;
      visits += 1;
      if (visits !== crash.visit) return;
      appendFileSync(crash.file, checkpoint + '\n');
      process.kill(process.pid, 'SIGKILL');
    },
    traceId: 'test-trace',
    hostname: 'nas.office.test',
    folder: join(setup.folder, 'spool'),
  });
  await send.start();
  process.send?.({ started: true } satisfies Report);
  if (order.crash !== undefined || process.send === undefined) return;
  setInterval(() => {
    const { depth, held } = send.queue.summary();
    process.send?.({
      depth,
      held,
      files: Number(db.prepare('SELECT COUNT(*) AS n FROM mail').get()?.['n']),
    } satisfies Report);
  }, 50);
}

if (process.send === undefined) await run({});
else {
  // The parent is gone: nothing of ours may stay.
  process.on('disconnect', () => process.exit());
  // The parent sends nothing else.
  process.once('message', (order) => void run(order as Order));
  // Written at the end otherwise, and this process ends by a kill.
  flushCompileCache();
  process.send({ loaded: true } satisfies Report);
}
