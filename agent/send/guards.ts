// What stands at the door beside the rights of a client: mail that goes in circles, and mail that its relay is known to refuse.
import type { Clock } from '#shared/clock.ts';
import type { Log } from '#shared/log.ts';
import type { Meter } from '#shared/meter.ts';
import type { Database } from '#shared/sqlite.ts';
import type { Local } from '../local/local.ts';
import { refuse } from './submission/access.ts';
import type { Refusal } from './submission/access.ts';
import { groupFields, splitLines } from './submission/header.ts';
import type { Field } from './submission/header.ts';
import { createLoopGuard } from './submission/loop.ts';
import type { LoopGuard } from './submission/loop.ts';
import { createOperator } from './notice/operator.ts';
import type { Operator, OperatorNote } from './notice/operator.ts';
import { examine, refusalText } from './submission/preflight.ts';
import type { Queue } from './queue/queue.ts';
import type { QueueClock } from './queue/queue-clock.ts';
import type { Relays } from './relay/relays.ts';
import type { Warning } from './notice/report.ts';
import type { RetryPace } from './relay/schedule.ts';

export type Guards = {
  readonly operator: Operator;
  readonly loops: LoopGuard;
  /** A refusal, or what the sender is to be warned of. `header`: as it goes out. */
  readonly preflight: (mail: {
    readonly from: string;
    readonly header: Buffer;
    readonly sizeBytes: number;
  }) => Refusal | readonly Warning[];
  /** Inside the transaction that queues the mail. */
  readonly warn: Queue['warn'];
  /** Loops of the last hour, for the collector; relays that are out of service, for the operator. Now and then. */
  readonly report: () => void;
};

export function createGuards(options: {
  readonly db: Database;
  readonly queue: Pick<Queue, 'warn'>;
  readonly queueClock: QueueClock;
  readonly relays: Pick<Relays, 'all' | 'find' | 'routeOf'>;
  readonly local: Local | undefined;
  readonly handedOver?: ((sender: string) => boolean) | undefined;
  readonly isLocal: (address: string) => boolean;
  readonly operator?: string | undefined;
  readonly meter: Meter;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly hostname: string;
  readonly traceId: string;
}): Guards {
  const { clock, db, hostname, isLocal, local, log, meter, queueClock, random, relays, traceId } = options;
  const pace: RetryPace = { firstMs: 60_000, maxMs: 600_000 };
  const address = options.operator;
  const operator = createOperator({ db, queueClock, local, address, pace, clock, random, log, hostname, traceId });
  const sayLoops = (): void => meter.say('mail_loop', {}, { recent: loops.recent() });
  function report(): void {
    sayLoops();
    for (const { health, id } of relays.all) if (health.isOut()) operator.tell(noteOf(id, health.status().problem));
  }
  const loops = createLoopGuard({
    traceId,
    hostname,
    isLocal,
    handedOver: options.handedOver ?? (() => false),
    clock,
    tell: operator.tell,
    onLoop: sayLoops,
  });
  return {
    operator,
    loops,
    report,
    warn: options.queue.warn,
    preflight({ from, header, sizeBytes }) {
      const config = relays.find(relays.routeOf(from) ?? '')?.setup.config;
      const { preflight: mode = 'warn', preset, user } = config ?? { preflight: 'off' as const, user: '' };
      if (mode === 'off' || preset === undefined) return [];
      const findings = examine({ fields: fieldsOf(header), sizeBytes }, { preset, user });
      const text = mode === 'refuse' ? refusalText(findings) : undefined;
      if (text !== undefined) return refuse(554, text, 'preflight');
      return findings.map(({ meaning, remedy }) => ({ meaning, remedy }));
    },
  };
}

function fieldsOf(header: Buffer): readonly Field[] {
  const lines = splitLines(header);
  const end = lines.findIndex((line) => line[0] === 0x0a || line[0] === 0x0d);
  return groupFields(end < 0 ? lines : lines.slice(0, end));
}

/** The problem says what helps. */
function noteOf(relay: string, problem: string): OperatorNote {
  const lines = [
    'The relay ' + relay + ' has been out of service for a while. Outgoing mail waits, none is lost:',
    '',
    problem,
  ];
  const text = [...lines, '', 'To see what waits: mailferry queue list'].join('\n');
  return { topic: 'relay ' + relay, subject: 'The relay ' + relay + ' takes no mail', text };
}
