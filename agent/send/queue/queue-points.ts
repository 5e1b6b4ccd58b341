// What the queue says about a mail to the report: in the same transaction as what it says about.
import type { Clock } from '#shared/clock.ts';
import type { Journal } from '#shared/journal.ts';
import { createPoint } from '#shared/meter.ts';
import type { Outcome } from '../relay/outcome.ts';
import type { QueuedMail } from './queue.ts';

/** Of one try. What opening the session took is told once, by the mail that waited for it. */
export type Seconds = {
  /** From MAIL to the final reply, with all that is between. */
  readonly relay: number;
  readonly connect?: number;
  readonly tls?: number;
  readonly login?: number;
  readonly envelope?: number;
  readonly data?: number;
};
export type TryAbout = { readonly relay: string; readonly seconds?: Seconds };

export type QueuePoints = {
  readonly accepted: (mail: { readonly user: string; readonly sizeBytes: number }) => void;
  /** Nothing for nobody. */
  readonly out: (mail: QueuedMail, recipients: number, outcome: 'sent' | 'failed', about: TryAbout) => void;
  /** Tries that left recipients where they were: later, held, unknown. */
  readonly tried: (mail: QueuedMail, outcomes: readonly Outcome[], about: TryAbout) => void;
};

const names = { later: 'deferred', hold: 'held', unknown: 'unknown' } as const;

export function createQueuePoints(options: {
  readonly journal: Journal;
  readonly clock: Pick<Clock, 'now'>;
  readonly queueClock: { readonly now: () => number };
}): QueuePoints {
  const { clock, journal, queueClock } = options;
  return {
    accepted: ({ sizeBytes, user }) =>
      journal.add(createPoint('mail_accepted', clock.now(), { user }, { count: 1, size_bytes: sizeBytes })),
    out(mail, recipients, outcome, { relay, seconds }) {
      if (recipients === 0) return;
      const { connect, data, envelope, login, tls } = seconds ?? {};
      const fields = {
        count: 1,
        recipients,
        size_bytes: mail.sizeBytes,
        queue_seconds: Math.max(0, queueClock.now() - mail.acceptedMs) / 1_000,
        relay_seconds: seconds?.relay ?? 0,
        ...(connect === undefined ? {} : { connect_seconds: connect }),
        ...(tls === undefined ? {} : { tls_seconds: tls }),
        ...(login === undefined ? {} : { login_seconds: login }),
        ...(envelope === undefined ? {} : { envelope_seconds: envelope }),
        ...(data === undefined ? {} : { data_seconds: data }),
      };
      journal.add(createPoint('mail_out', clock.now(), { relay, outcome }, fields));
    },
    tried(mail, outcomes, { relay }) {
      for (const result of ['later', 'hold', 'unknown'] as const) {
        const recipients = outcomes.filter((outcome) => outcome.result === result).length;
        if (recipients === 0) continue;
        const fields = { count: 1, recipients, size_bytes: mail.sizeBytes };
        journal.add(createPoint('mail_try', clock.now(), { relay, outcome: names[result] }, fields));
      }
    },
  };
}
