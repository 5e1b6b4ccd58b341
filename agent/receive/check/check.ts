// The content check before a mail is handed over: asks the configured scanners at once and makes one verdict of what they say.
// Promises: each scanner has a deadline and says by `onFailure` what its failure means; a mail is never deleted here; a
// failure of the scanner is told apart from a failure with one mail.
import type { Clock } from '#shared/clock.ts';
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import type { Body } from '../../smtp/conversation.ts';
import { createSlots } from '../slots.ts';

export type CheckMail = {
  readonly body: Body;
  readonly from: string;
  readonly recipients: readonly string[];
  readonly signal: AbortSignal;
};
export type Finding =
  /** `word` for our own header line; `lines`: header lines of the scanner, without line ends. */
  | { readonly kind: 'pass'; readonly word: string; readonly lines: readonly string[] }
  | { readonly kind: 'quarantine'; readonly reason: string }
  /** `away`: it is the scanner, not the mail. */
  | { readonly kind: 'failure'; readonly away: boolean; readonly text: string };
export type Scanner = {
  readonly name: 'rspamd' | 'clamd';
  readonly onFailure: 'deliver' | 'wait';
  /** Larger mails are not scanned. */
  readonly maxBytes: number;
  /** Never throws. */
  readonly scan: (mail: CheckMail) => Promise<Finding>;
};
export type CheckVerdict =
  /** `head`: header lines for the top of the mail, each ended by CRLF. */
  | { readonly kind: 'pass'; readonly head: string }
  | { readonly kind: 'quarantine'; readonly reason: string }
  | { readonly kind: 'wait'; readonly text: string };
export type ScannerState = { readonly name: string; readonly problem: string };
export type Check = {
  readonly check: (mail: CheckMail) => Promise<CheckVerdict>;
  /** Why no mail can be handed over now: a scanner that must be asked is out of reach. Undefined when well. */
  readonly problem: () => string | undefined;
  /** All scanners; `problem` is empty when well. */
  readonly states: () => readonly ScannerState[];
};

/** Mails that one scanner looks at at once, over all accounts: a small machine must not drown in scans. */
const maxScans = 4;
/** So many failures one after the other and it is the scanner, not the mails. */
const maxFailures = 3;
/** A scanner that hangs, and must not hold up the mail, is asked again after so long. */
const restMs = 60_000;

export function createCheck(options: {
  readonly scanners: readonly Scanner[];
  readonly clock: Clock;
  readonly log: Log;
}): Check {
  const guards = options.scanners.map((scanner) => createGuard(scanner, options));
  return {
    async check(mail) {
      if (guards.length === 0) return { kind: 'pass', head: '' };
      const findings = await Promise.all(guards.map(async (guard) => ({ guard, finding: await guard.scan(mail) })));
      for (const { finding } of findings) if (finding.kind === 'quarantine') return finding;
      const words: string[] = [];
      const lines: string[] = [];
      for (const { guard, finding } of findings) {
        if (finding.kind === 'failure') {
          const text = guard.name + ': ' + finding.text;
          if (guard.onFailure === 'wait') return { kind: 'wait', text };
          words.push(guard.name + ' failed');
        } else if (finding.kind === 'pass') {
          words.push(guard.name + ' ' + finding.word);
          lines.push(...finding.lines);
        }
      }
      const head = ['X-Mailferry-Check: ' + words.join('; '), ...lines]
        .map((line) => headerSafe(line) + '\r\n')
        .join('');
      return { kind: 'pass', head };
    },
    problem: () => guards.find(({ onFailure, problem }) => onFailure === 'wait' && problem() !== '')?.problem(),
    states: () => guards.map(({ name, problem }) => ({ name, problem: problem() })),
  };
}

function createGuard(scanner: Scanner, options: { readonly clock: Clock; readonly log: Log }) {
  const { clock, log } = options;
  const { name, onFailure, maxBytes } = scanner;
  const slots = createSlots(maxScans);
  let failures = 0;
  let problem = '';
  let rests: { readonly until: number; readonly finding: Finding } | undefined;

  function note(finding: Finding): void {
    failures = finding.kind === 'failure' ? failures + 1 : 0;
    const away = finding.kind === 'failure' && (finding.away || failures >= maxFailures);
    const now = away ? name + ': ' + finding.text : finding.kind === 'failure' ? problem : '';
    if (now !== problem) {
      if (now === '') log.info({ scanner: name }, 'content check works again');
      else log.warn({ scanner: name, problem: now, onFailure }, 'content check fails');
    }
    problem = now;
    const hangs = finding.kind === 'failure' && failures >= maxFailures && onFailure === 'deliver';
    rests = hangs ? { until: clock.monotonic() + restMs, finding } : undefined;
  }

  return {
    name,
    onFailure,
    problem: () => problem,
    async scan(mail: CheckMail): Promise<Finding> {
      const { sizeBytes } = mail.body;
      if (sizeBytes === 0) return { kind: 'pass', word: 'not asked (empty)', lines: [] };
      if (sizeBytes > maxBytes)
        return { kind: 'pass', word: 'not asked (larger than ' + maxBytes + ' bytes)', lines: [] };
      await slots.take();
      try {
        if (rests !== undefined && clock.monotonic() < rests.until) return rests.finding;
        const finding = await scanner.scan(mail);
        // A stop of ours is nobody's failure.
        if (!mail.signal.aborted) note(finding);
        return finding;
      } finally {
        slots.free();
      }
    },
  };
}

/** What a scanner says is text from outside, in part from the mail itself: it must not end the line. */
function headerSafe(line: string): string {
  return line.replaceAll(/[^\u0020-\u007e]+/g, '?').slice(0, 900);
}

/** `place` as a person would write it. */
export function failureOf(place: string, error: unknown, connected: boolean): Finding {
  const expected = connected ? 'a verdict' : 'a scanner that answers there';
  return {
    kind: 'failure',
    away: !connected,
    text: 'Cannot ask ' + place + ': ' + describe(error) + ', expected ' + expected,
  };
}
