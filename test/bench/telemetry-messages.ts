// The recorded messages of the telemetry benchmark: agents of many tenants, ten points a message. The same points as batches
// (what our agents say) and as lines (what the peers can pass on without reading), each with its own time.
import { createLines } from '../../collector/store/influx-lines.ts';
import type { Address } from '#shared/topics.ts';
import { createPoint } from '#shared/meter.ts';
import type { Point } from '#shared/meter.ts';
import { encodeBatch } from '#shared/wire.ts';

export const pointsAMessage = 10;
export const tenants = 50;

export function addressOf(agent: number): Address {
  return { tenant: 'tenant-' + (agent % tenants), agent: 'nas-' + agent };
}

/** The points of message `seq` of an agent: what an office's agent says within a minute. */
export function pointsOf(agent: number, seq: number, at: number): readonly Point[] {
  const n = agent * 31 + seq;
  const account = (id: string, backlog: number): Point =>
    createPoint(
      'account',
      at,
      { account: id },
      { up: 1, backlog, kept: 200 + (agent % 50), round_seconds: (n % 90) / 100, problem: '' },
    );
  return [
    createPoint(
      'agent',
      at,
      {},
      { uptime_seconds: seq * 60, rss_bytes: 60_000_000 + n * 512, outbox_batches: n % 3, outbox_bytes: n % 5_000 },
    ),
    createPoint('queue', at, {}, { depth: n % 4, oldest_seconds: n % 60, held: 0, unknown: 0 }),
    account('info', n % 3),
    account('sales', 0),
    account('office', 0),
    createPoint('relay', at, { relay: 'provider' }, { up: 1, problem: '' }),
    createPoint(
      'queue_state',
      at,
      { relay: 'provider', state: 'queued' },
      { mails: n % 4, bytes: (n % 4) * 20_000, oldest_seconds: n % 60 },
    ),
    createPoint('dnsbl_target', at, { target: '192.0.2.' + (agent % 250) }, { listed: 0 }),
    createPoint(
      'mail_in',
      at,
      { account: 'info', outcome: 'delivered' },
      { count: 1, size_bytes: 20_000 + n, delay_seconds: n % 30, transfer_seconds: 0.4 },
    ),
    createPoint(
      'mail_out',
      at,
      { relay: 'provider', outcome: 'sent' },
      { count: 1, recipients: 1, size_bytes: 30_000 + n, queue_seconds: 1.5, relay_seconds: 0.3 },
    ),
  ];
}

export type Format = 'batch' | 'lines';

export function messageOf(format: Format, agent: number, seq: number, at: number, life = 1): string {
  const points = pointsOf(agent, seq, at);
  if (format === 'batch') return encodeBatch({ outbox: 'outbox-' + life + '-' + agent, seq, oldest: 1, at, points });
  return lines.of([{ origin: addressOf(agent), points }]).join('\n') + '\n';
}
const lines = createLines();
