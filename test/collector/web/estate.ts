// An estate to look at: agents well and in trouble, hostile words, a day of mail in a real embedded store.
import type { Point } from '#shared/meter.ts';
import type { Store } from '../../../collector/store/store.ts';
import { reading } from './hand-fed.ts';
import type { HandFed } from './hand-fed.ts';

/** What a hostile sender, list or server might say. */
export const hostile = '<img src=x onerror="window.hacked=1"> "quoted" \\ {{x}} ${y}';

const minute = 60_000;

export async function fillEstate(options: {
  readonly fed: HandFed;
  readonly store: Store;
  readonly now: number;
  readonly days: number;
}): Promise<void> {
  const { fed, store, now } = options;
  const zones = ['zen.example', 'bl.example', 'spam.example', 'domains.example'];
  const clean = zones.map((zone) =>
    reading('dnsbl', now - 9 * minute, { target: '192.0.2.10', zone }, { state: 0, reason: '' }),
  );
  const well = (seen: number, accounts: readonly string[]): readonly Point[] => [
    ...accounts.map((account, index) =>
      reading(
        'account',
        seen,
        { account },
        { up: 1, backlog: index * 2, kept: 140 + index * 31, round_seconds: 0.8, problem: '' },
      ),
    ),
    reading('relay', seen, { relay: 'smtp.provider.example' }, { up: 1, problem: '' }),
    reading('queue', seen, {}, { depth: 0, oldest_seconds: 0, held: 0, unknown: 0 }),
    ...clean,
    reading('agent', seen, {}, agentFields),
  ];
  fed.put({
    tenant: 'acme',
    id: 'nas-1',
    lastSeenAt: now - 4_000,
    mailIn: { count: 18_240 },
    mailOut: { count: 6_011 },
    readings: well(now - 4_000, ['info', 'sales', 'office']),
  });
  fed.put({
    tenant: 'birch-dental',
    id: 'front-desk',
    lastSeenAt: now - 12_000,
    mailIn: { count: 2_208 },
    mailOut: { count: 903 },
    readings: well(now - 12_000, ['info']),
  });
  fed.put({
    tenant: 'corner-bakery',
    id: 'nas',
    lastSeenAt: now - 7_000,
    mailIn: { count: 5_120 },
    mailOut: { count: 1_260 },
    queue: { count: 14, oldestSeconds: 2_700 },
    readings: [
      reading(
        'account',
        now - 7_000,
        { account: 'info' },
        {
          up: 0,
          backlog: 23,
          kept: 88,
          round_seconds: 10,
          problem:
            'POP3 login refused: "-ERR [AUTH] invalid password"; check the password and that POP3 is switched on',
        },
      ),
      reading(
        'account',
        now - 7_000,
        { account: 'orders' },
        {
          up: 1,
          backlog: 0,
          kept: 61,
          round_seconds: 0.6,
          problem: '',
          error: 'none',
          connect_seconds: 0.021,
          tls_seconds: 0.044,
          login_seconds: 0.18,
          list_seconds: 0.09,
          mailbox_mails: 64,
          mailbox_bytes: 18_400_000,
          wake: 0,
        },
      ),
      reading(
        'relay',
        now - 7_000,
        { relay: 'smtp.provider.example' },
        { up: 0, problem: 'the relay refuses the login: 535 5.7.8 authentication failed' },
      ),
      reading('queue', now - 7_000, {}, { depth: 14, oldest_seconds: 2_700, held: 2, unknown: 0 }),
      ...clean.slice(1),
      reading('dnsbl', now - 9 * minute, { target: '192.0.2.77', zone: 'zen.example' }, { state: 1, reason: hostile }),
      reading(
        'dnsbl',
        now - 9 * minute,
        { target: 'bakery.example', zone: 'domains.example' },
        { state: 2, reason: '127.255.255.254: query from an open resolver' },
      ),
      reading(
        'dnsbl',
        now - 9 * minute,
        { target: '192.0.2.77', zone: 'old.example' },
        { state: 4, reason: 'answers "listed" for 127.0.0.1, which no list may' },
      ),
      reading(
        'dnsbl',
        now - 9 * minute,
        { target: '192.0.2.77', zone: 'slow.example' },
        { state: 3, reason: 'no answer within 5 s' },
      ),
      reading(
        'agent',
        now - 7_000,
        {},
        { ...agentFields, outbox_batches: 3, outbox_bytes: 18_400, outbox_oldest_seconds: 40, outbox_dropped: 12 },
      ),
      reading('hold', now - 7_000, {}, { held: 1, reason: 'a second agent runs with the identity corner-bakery/nas' }),
      reading('quarantine', now - 7_000, {}, { count: 3, bytes: 1_240_000, oldest_seconds: 90_000 }),
    ],
  });
  fed.put({
    tenant: 'delta-law',
    id: 'archive',
    state: 'stale',
    lastSeenAt: now - 130_000,
    mailIn: { count: 911 },
    mailOut: { count: 40 },
    readings: well(now - 130_000, ['kanzlei']),
  });
  fed.put({
    tenant: 'elm-street-architects-and-partners'.slice(0, 32),
    id: 'nas-with-a-really-long-name-32ch'.slice(0, 32),
    state: 'offline',
    lastSeenAt: now - 5 * 3_600_000,
    mailIn: { count: 70 },
    mailOut: { count: 9 },
    readings: well(now - 5 * 3_600_000, ['info']).slice(0, 3),
  });
  fed.alerts.push(
    {
      id: 'a1',
      tenant: 'corner-bakery',
      agent: 'nas',
      severity: 'critical',
      since: now - 35 * minute,
      title: 'corner-bakery/nas: mailbox info cannot be fetched',
      text: 'New mail for this mailbox waits at the provider and does not arrive.\nRead the reason below. For a login failure, check the password.',
    },
    {
      id: 'a2',
      tenant: 'corner-bakery',
      agent: 'nas',
      severity: 'warning',
      since: now - 8 * minute,
      title: 'corner-bakery/nas: 192.0.2.77 is listed at zen.example',
      text: hostile,
    },
  );
  await fillStore(store, now, options.days, 'acme', 'nas-1', ['info', 'sales', 'office'], 1);
  await fillStore(store, now, options.days, 'birch-dental', 'front-desk', ['info'], 0.25);
  await fillStore(store, now, options.days, 'corner-bakery', 'nas', ['info', 'orders'], 0.4);
  await fillStore(store, now, options.days, 'delta-law', 'archive', ['kanzlei'], 0.1);
}

const agentFields = {
  uptime_seconds: 1_213_000,
  rss_bytes: 91_400_000,
  outbox_batches: 0,
  outbox_bytes: 0,
  outbox_oldest_seconds: 0,
  outbox_dropped: 0,
};

/** More by day than by night; the same in every run. */
async function fillStore(
  store: Store,
  now: number,
  days: number,
  tenant: string,
  agent: string,
  accounts: readonly string[],
  weight: number,
): Promise<void> {
  const signal = new AbortController().signal;
  let points: Point[] = [];
  let state = 7;
  const chance = (): number => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
  for (let at = now - days * 86_400_000; at < now; at += minute) {
    const hour = new Date(at).getUTCHours();
    const busy = weight * (hour >= 7 && hour < 18 ? 0.5 : 0.06);
    if (chance() < busy) {
      const account = accounts[Math.floor(chance() * accounts.length)] ?? 'info';
      const delay = 4 + chance() * 20 + (chance() < 0.03 ? 300 : 0);
      points.push(
        reading(
          'mail_in',
          at + 1,
          { account, outcome: chance() < 0.01 ? 'quarantined' : 'delivered' },
          { count: 1, delay_seconds: delay, size_bytes: 20_000 },
        ),
      );
    }
    if (chance() < busy * 0.5) {
      const outcome = chance() < 0.02 ? 'failed' : 'sent';
      points.push(
        reading('mail_out', at + 2, { relay: 'smtp.provider.example', outcome }, { count: 1, queue_seconds: 2 }),
      );
    }
    const stuck = agent === 'nas' && now - at < 45 * minute;
    const depth = stuck ? Math.min(14, Math.ceil((45 * minute - (now - at)) / (3 * minute))) : chance() < busy ? 1 : 0;
    points.push(reading('queue', at + 3, {}, { depth, oldest_seconds: stuck ? 2_700 - (now - at) / 1_000 : depth }));
    if (points.length > 4_000) {
      await store.write([{ origin: { tenant, agent }, points }], signal);
      points = [];
    }
  }
  await store.write([{ origin: { tenant, agent }, points }], signal);
}
