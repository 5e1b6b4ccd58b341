// Which batch breaks the connection? A message that a broker cannot take (too large for it, or one that its bug trips over)
// would else be sent for ever, and nothing after it. Promise: what the collector has, and what only a bad line has stopped, is
// not taken for such a one: each strike needs a line on which the collector answered a question right before.
import type { Log } from '#shared/log.ts';
import type { Outbox } from './outbox.ts';

const maxStrikes = 3;
/** One end at a batch is what any line does. */
const suspicious = 2;

export type Suspects = {
  /** While there is one: ask first, then send one batch at a time. */
  readonly careful: () => boolean;
  /** The collector has everything up to it. */
  readonly cleared: (seq: number) => void;
  /** The collector has answered the question: it does not have the batch, whoever may have passed it on meanwhile. */
  readonly answered: () => void;
  /**
   * A connection ended while this was the first batch without a confirmation. `proven`: the collector had answered on it, and
   * this batch was the only one on the way; `closed`: the broker ended it, and not our patience.
   */
  readonly broke: (seq: number, how: { readonly proven: boolean; readonly closed: boolean }) => void;
};

export function createSuspects(options: { readonly outbox: Pick<Outbox, 'breakUp'>; readonly log: Log }): Suspects {
  const { outbox, log } = options;
  let suspect: { readonly seq: number; breaks: number; strikes: number; closed: boolean } | undefined;

  function judge(seq: number, closed: boolean): void {
    suspect = undefined;
    const what = outbox.breakUp(seq, closed);
    if (what === 'aside')
      log.error({ seq }, 'a measurement that the broker breaks the connection at is set aside in outbox.db');
    else if (what === 'halved') log.warn({ seq }, 'the connection breaks at a batch: it is sent in halves');
  }

  return {
    careful: () => suspect !== undefined && suspect.breaks >= suspicious,
    cleared(seq) {
      if (suspect !== undefined && seq >= suspect.seq) suspect = undefined;
    },
    answered() {
      if (suspect !== undefined && suspect.strikes >= maxStrikes) judge(suspect.seq, suspect.closed);
    },
    broke(seq, { proven, closed }) {
      if (suspect?.seq !== seq) suspect = { seq, breaks: 0, strikes: 0, closed: true };
      suspect.breaks += 1;
      if (!proven) return;
      suspect.strikes += 1;
      suspect.closed &&= closed;
    },
  };
}
