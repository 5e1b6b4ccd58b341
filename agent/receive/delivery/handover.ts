// One fetched mail on its way to the local server and into the ledger.
// Promise: what the local server took is recorded before the session that took it ends another mail (commits.ts), so a crash
// doubles at most one mail an open local session.
import type { Reached } from '#shared/checkpoint.ts';
import type { Clock } from '#shared/clock.ts';
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import { createPoint } from '#shared/meter.ts';
import type { Point } from '#shared/meter.ts';
import type { AccountConfig } from '../../config.ts';
import type { Local, LocalRecipient } from '../../local/local.ts';
import type { FetchedMail } from './body.ts';
import type { Check } from '../check/check.ts';
import { fingerprintOf } from '../ledger/fingerprint.ts';
import { readHeader, readable, receivedAt } from './header.ts';
import type { HeaderLine } from './header.ts';
import type { Entry, Fetched, Ledger } from '../ledger/ledger.ts';
import { loopOf } from './loop.ts';
import type { Quarantine } from '../quarantine/quarantine.ts';
import { envelopeOf } from './recipients.ts';

export type HandOverDeps = {
  readonly account: AccountConfig;
  readonly ledger: Ledger;
  readonly local: Local;
  readonly quarantine: Quarantine;
  readonly check: Check;
  readonly clock: Clock;
  readonly log: Log;
  readonly reached: Reached;
  readonly traceId: string;
};
export type HandOver = {
  readonly entry: Entry;
  readonly mail: FetchedMail;
  readonly listedBytes: number | undefined;
  /** Monotonic, when RETR was asked for. */
  readonly startedAt: number;
  /** Monotonic, when the mail had been read. */
  readonly readAt: number;
  readonly today: number;
  readonly signal: AbortSignal;
  /** Takes a record that could not be written (disk full): it must be written before anything else is fetched. */
  readonly owe: (id: number, record: () => void) => void;
  /** Such records wait. */
  readonly owing: () => boolean;
  /** The local server took the mail: it may have the next one while the record is written. Not called for anything else. */
  readonly taken: () => void;
};
export type Outcome = {
  /**
   * quarantined: the local server refused it. known: nothing was said to the local server, since the mail was dealt with
   * before, or was put aside by the content check or the loop guard.
   */
  readonly kind: 'handed-over' | 'quarantined' | 'later' | 'known';
  /** The local server's words, when it did not take the mail. */
  readonly text: string;
  readonly entry: Entry;
};

/** A seen day before all others: what is handed over then has been kept for long enough, however long that is. */
const longAgo = -1_000_000;

export async function handOver(deps: HandOverDeps, job: HandOver): Promise<Outcome> {
  const { account, ledger } = deps;
  const { mail, today, listedBytes } = job;
  const begunAt = deps.clock.monotonic();
  const header = readHeader(mail.head);
  const fingerprint = fingerprintOf(header);
  const entry = ledger.identify(account.id, job.entry, { sha256: mail.sha256, fingerprint, listedBytes }, today);
  if (entry.state !== 'seen') return { kind: 'known', text: '', entry };
  const { from, recipients } = envelopeOf(header, account);
  const before = ledger.recipients(entry.id).filter(({ verdict }) => verdict !== 'later');
  const missing = recipients.filter((address) => !before.some((known) => known.address === address));
  const { now, aside, ours, session } = await hand(deps, job, { header, from, missing });
  // From here to the record nothing is awaited: its session, free again, cannot have got to the end of another mail yet.
  const fetched = { sha256: mail.sha256, sizeBytes: mail.body.sizeBytes, listedBytes, fingerprint };
  const all = [...before, ...now];
  const open = all.filter(({ verdict }) => verdict === 'later');
  if (open.length > 0) {
    const note = (): void => ledger.noteVerdicts(entry.id, fetched, now);
    if (open.length < now.length) await record(deps, job, { id: entry.id, session }, note);
    return { kind: 'later', text: open[0]?.text ?? '', entry };
  }
  const refused = all.filter(({ verdict }) => verdict === 'refused');
  if (refused.length > 0) {
    const reason = aside ?? refused[0]?.text ?? '';
    await keepRefused(deps, { ...job, begunAt }, { entry, fetched, now, all, from, header, reason, session });
    const kind = aside === undefined ? 'quarantined' : 'known';
    return { kind, text: reason, entry: settled(entry, 'quarantined', job) };
  }
  const point = pointOf(deps, { ...job, begunAt }, header, ours ? 'probe' : 'delivered');
  const day = ours ? longAgo : today;
  job.taken();
  await record(deps, job, { id: entry.id, session }, () =>
    ledger.settle(entry.id, 'handed-over', { fetched, recipients: now, today: day, point }),
  );
  deps.reached('receive.recorded');
  return { kind: 'handed-over', text: '', entry: settled(entry, 'handed-over', { ...job, today: day }) };
}

/** The local server has the mail: a record that fails now must not lead to a second delivery. */
async function record(
  deps: HandOverDeps,
  job: HandOver,
  about: { readonly id: number; readonly session: object | undefined },
  write: () => void,
): Promise<void> {
  try {
    await deps.ledger.together(write, about.session);
  } catch (error) {
    job.owe(about.id, write);
    throw error;
  }
}

/** What each recipient's server said, or what we say instead; `aside`: why the local server was not asked. */
type Handed = {
  readonly now: readonly LocalRecipient[];
  readonly aside?: string;
  /** A probe of our own, taken out. */
  readonly ours?: true;
  /** Of the local server; it ends no other mail before this one is on record. */
  readonly session?: object | undefined;
};

async function hand(
  deps: HandOverDeps,
  job: HandOver,
  mail: { readonly header: readonly HeaderLine[]; readonly from: string; readonly missing: readonly string[] },
): Promise<Handed> {
  const { from, missing } = mail;
  if (missing.length === 0) return { now: [] };
  const forAll = (verdict: 'later' | 'refused', text: string): readonly LocalRecipient[] =>
    missing.map((address) => ({ address, verdict, text }));
  const loop = loopOf(mail.header, deps.traceId);
  if (loop !== undefined) return { now: forAll('refused', loop), aside: loop };
  const found = await deps.check.check({ body: job.mail.body, from, recipients: missing, signal: job.signal });
  if (found.kind === 'wait') return { now: forAll('later', found.text) };
  if (found.kind === 'quarantine') return { now: forAll('refused', found.reason), aside: found.reason };
  return deliver(deps, job, { from, recipients: missing, lines: found.head });
}

async function deliver(
  deps: HandOverDeps,
  job: HandOver,
  envelope: { readonly from: string; readonly recipients: readonly string[]; readonly lines: string },
): Promise<Handed> {
  const { ledger, local, log, reached, account } = deps;
  const { from, recipients } = envelope;
  // Safety rule 5: a mail that comes back to our own listener is known by this line.
  const head = Buffer.from('X-Mailferry-Trace: in ' + deps.traceId + '\r\n' + envelope.lines);
  reached('receive.before-handover');
  try {
    const { body } = job.mail;
    const beforeEnd = (session: object): Promise<void> | undefined => {
      if (job.owing()) throw new Error('Cannot hand over a mail: the record of another one could not be written');
      return ledger.settled(session);
    };
    const result = await local.deliver({ from, recipients, head, body, signal: job.signal, beforeEnd });
    if (result.recipients.some(({ verdict }) => verdict === 'delivered')) reached('receive.after-handover');
    if (result.bareLineEnds > 0)
      log.info({ account: account.id, count: result.bareLineEnds }, 'bare line ends became CRLF');
    return { now: result.recipients, session: result.session, ...(result.ours && { ours: true }) };
  } catch (error) {
    // Whatever this is, the provider still has the mail.
    log.error({ account: account.id, error: describe(error) }, 'handing over failed');
    return { now: recipients.map((address) => ({ address, verdict: 'later', text: describe(error) })) };
  }
}

type Begun = HandOver & {
  /** Monotonic, when the hand-over began. */
  readonly begunAt: number;
};

async function keepRefused(
  deps: HandOverDeps,
  job: Begun,
  facts: {
    readonly entry: Entry;
    readonly fetched: Fetched;
    readonly now: readonly LocalRecipient[];
    readonly all: readonly LocalRecipient[];
    readonly from: string;
    readonly header: readonly HeaderLine[];
    readonly reason: string;
    readonly session: object | undefined;
  },
): Promise<void> {
  const { account, ledger, quarantine, clock, log } = deps;
  const { entry, fetched, now, all, from, header, reason, session } = facts;
  // First what some recipients may have got already; the file takes longer.
  await record(deps, job, { id: entry.id, session }, () => ledger.noteVerdicts(entry.id, fetched, now));
  const id = await quarantine.keep(job.mail, {
    account: account.id,
    mail: entry.id,
    uidl: entry.uidl,
    from,
    subject: readable(header.find(({ name }) => name === 'subject')?.value ?? ''),
    reason,
    recipients: all,
    at: new Date(clock.now()).toISOString(),
  });
  ledger.settle(entry.id, 'quarantined', {
    fetched,
    recipients: [],
    today: job.today,
    point: pointOf(deps, job, header, 'quarantined'),
  });
  log.warn({ account: account.id, id, reason }, 'mail kept in quarantine');
}

function settled(entry: Entry, state: 'handed-over' | 'quarantined', job: HandOver): Entry {
  return {
    ...entry,
    state,
    settledDay: entry.settledDay ?? job.today,
    listedBytes: job.listedBytes,
    sha256: job.mail.sha256,
  };
}

const maxDelaySeconds = 366 * 86_400;

function pointOf(deps: HandOverDeps, job: Begun, header: readonly HeaderLine[], outcome: string): Point {
  const { clock, account } = deps;
  const now = clock.now();
  const at = receivedAt(header);
  const delay = at === undefined ? NaN : Math.max(0, (now - at) / 1_000);
  return createPoint(
    'mail_in',
    now,
    { account: account.id, outcome },
    {
      count: 1,
      size_bytes: job.mail.body.sizeBytes,
      delay_seconds: delay <= maxDelaySeconds ? delay : NaN, // what is no number is left out
      transfer_seconds: (clock.monotonic() - job.startedAt) / 1_000,
      retrieve_seconds: (job.readAt - job.startedAt) / 1_000,
      handover_seconds: (clock.monotonic() - job.begunAt) / 1_000,
    },
  );
}
