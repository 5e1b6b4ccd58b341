// What is on the way over one connection: how many batches, when they are sent again, when the line is given up. Promise:
// nothing leaves the outbox before the collector's own acknowledgement; a broker's PUBACK only says that the broker has it,
// and brokers lose what they have.
import type { Log } from '#shared/log.ts';
import { encodeBatch } from '#shared/wire.ts';
import type { Ack } from '#shared/wire.ts';
import type { Outbox } from './outbox.ts';
import type { Suspects } from './suspects.ts';

/** Batches on the way at once. */
const windowSize = 8;
/** Time-outs in a row: without a PUBACK the line is given up, without an acknowledgement it is told. */
const maxSilent = 6;
const tellSilent = 3;
/** A question that got no answer is asked again, within the time of one acknowledgement. */
const maxAsked = 5;

export type Flow = {
  /** Acknowledgements can arrive from now on. */
  readonly begin: () => void;
  /** Sends what the window allows: there may be a new batch. */
  readonly pump: () => void;
  readonly acknowledged: (ack: Ack) => void;
  /** The connection has ended; `closed`: by the broker. */
  readonly end: (closed: boolean) => void;
  /** The collector behind the broker says nothing. */
  readonly silent: () => boolean;
};

export function createFlow(options: {
  readonly outbox: Pick<Outbox, 'id' | 'read' | 'acknowledge'>;
  readonly suspects: Suspects;
  /** `done` is called at the PUBACK, with an error when the line broke before. */
  readonly publish: (payload: string, done: (error?: unknown) => void) => void;
  /** The broker confirms nothing: another line is needed. */
  readonly giveUp: () => void;
  readonly onSilence: () => void;
  readonly onHeard: () => void;
  /** The outbox is an old copy of itself. */
  readonly onRenewed: () => void;
  readonly safely: (work: () => void) => void;
  readonly now: () => number;
  readonly ackTimeoutMs: number;
  readonly log: Log;
}): Flow {
  const { outbox, suspects, ackTimeoutMs, log } = options;
  let ready = false;
  let sentUpTo = 0;
  /** Undefined until it is known where the outbox begins. */
  let ackedUpTo: number | undefined;
  /** Messages without a PUBACK. */
  const unconfirmed = new Set<number>();
  /** Time-outs since the last acknowledgement. */
  let silent = 0;
  let timer: NodeJS.Timeout | undefined;
  /** Ask what the collector has, then send one batch at a time: until one gets through. */
  let careful = suspects.careful();
  let asked = 0;
  let question: 'to ask' | 'asked' | 'answered' | 'in vain' = 'to ask';

  const waits = (): boolean => question === 'asked' || sentUpTo > (ackedUpTo ?? 0);

  function pump(): void {
    if (!ready) return;
    if (careful && question === 'to ask') ask();
    if (!careful || question === 'answered' || question === 'in vain') send();
    arm();
  }

  /**
   * A batch that is no batch: it lies below `oldest`, so the collector takes it for one that it knows, or that came too early,
   * and answers with the last number that it has.
   */
  function ask(): void {
    question = 'asked';
    asked += 1;
    const at = Math.round(options.now());
    options.publish(encodeBatch({ outbox: outbox.id(), seq: 1, oldest: 2, at, points: [] }), () => {});
  }

  function send(): void {
    ackedUpTo ??= sentUpTo = (outbox.read(0, 1)[0]?.seq ?? 1) - 1;
    // One batch is enough to find out that the collector is back.
    const window = careful || silent > 0 ? 1 : windowSize;
    const room = window - Math.max(0, sentUpTo - ackedUpTo);
    const batches = room > 0 ? outbox.read(sentUpTo, room) : [];
    for (const { seq, payload } of batches) {
      sentUpTo = seq;
      unconfirmed.add(seq);
      options.publish(payload, (error) => {
        // An error means the line broke: the batch is still in the outbox, and the next session sends it.
        if (error !== undefined && error !== null) return;
        unconfirmed.delete(seq);
        silent = Math.min(silent, tellSilent);
      });
    }
  }

  function arm(): void {
    const afterMs = question === 'asked' ? ackTimeoutMs / maxAsked : ackTimeoutMs;
    if (ready && waits()) timer ??= setTimeout(() => options.safely(sendAgain), afterMs);
  }

  function sendAgain(): void {
    timer = undefined;
    if (!ready || !waits()) return;
    if (question === 'asked') {
      question = asked < maxAsked ? 'to ask' : 'in vain';
      return pump();
    }
    if (question === 'answered' && unconfirmed.size === 0) {
      // The broker has confirmed it, the collector answers, and does not have it: some brokers drop what is too large for them.
      suspects.broke(sentUpTo, { proven: true, closed: false });
      return doubt();
    }
    silent += 1;
    if (silent === tellSilent) options.onSilence();
    if (silent === tellSilent && unconfirmed.size === 0) return doubt();
    if (unconfirmed.size > 0) {
      // A slow line is still busy with them: sending again would only add to it.
      if (silent < maxSilent) return arm();
      options.giveUp();
      return;
    }
    log.debug({ after: ackedUpTo, to: sentUpTo }, 'no acknowledgement, sending again');
    sentUpTo = ackedUpTo ?? 0;
    pump();
  }

  function doubt(): void {
    careful = true;
    question = 'to ask';
    asked = 0;
    sentUpTo = ackedUpTo ?? 0;
    pump();
  }

  function acknowledged(ack: Ack): void {
    if (!ready || ack.outbox !== outbox.id()) return;
    silent = 0;
    options.onHeard();
    const isAnswer = question === 'asked';
    if (isAnswer) question = 'answered';
    if (isAnswer || ack.seq > (ackedUpTo ?? 0)) stopTimer();
    if (outbox.acknowledge(ack.seq) === 'renewed') {
      log.warn({ acknowledged: ack.seq }, 'the outbox is an old copy of itself: it goes on as a new one');
      ackedUpTo = undefined;
      options.onRenewed();
    } else note(ack.seq, isAnswer);
    pump();
  }

  function note(seq: number, isAnswer: boolean): void {
    suspects.cleared(seq);
    if (isAnswer) suspects.answered();
    if (seq <= (ackedUpTo ?? 0)) return;
    ackedUpTo = seq;
    sentUpTo = Math.max(sentUpTo, seq);
    careful = suspects.careful();
  }

  function stopTimer(): void {
    clearTimeout(timer);
    timer = undefined;
  }

  return {
    begin() {
      ready = true;
      pump();
    },
    pump,
    acknowledged,
    end(closed) {
      if (!ready) return;
      ready = false;
      stopTimer();
      const [lowest] = [...unconfirmed].filter((seq) => seq > (ackedUpTo ?? 0)).sort((a, b) => a - b);
      if (lowest === undefined) return;
      const proven = question === 'answered' && unconfirmed.size === 1;
      if (closed || silent >= maxSilent) options.safely(() => suspects.broke(lowest, { proven, closed }));
    },
    silent: () => silent >= tellSilent,
  };
}
