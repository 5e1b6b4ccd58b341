// One function type for everything that is looked at: it says what it found, and nothing else. Deadline, duration, success and
// schedule belong to the caller (schedule.ts).

/** From well to worst; `unknown`: nothing can be said, which is neither well nor bad. The order is what reports count by. */
export const levels = ['ok', 'info', 'warning', 'critical', 'unknown'] as const;
export type Level = (typeof levels)[number];

export type Finding = {
  /** Whom it is about: a domain, a server, a trip. */
  readonly target: string;
  /** What was looked at, one word: mx, spf, certificate. */
  readonly check: string;
  readonly level: Level;
  /** In plain words. */
  readonly text: string;
  /** What to do; absent when there is nothing to do. */
  readonly remedy?: string;
};

export const kinds = ['dnsbl', 'domain', 'tls', 'roundtrip'] as const;
export type Kind = (typeof kinds)[number];

export type Check = {
  readonly kind: Kind;
  /** Unique; in logs and reports. */
  readonly name: string;
  readonly everyMs: number;
  readonly timeoutMs: number;
  /** What a network does is a finding; whatever it throws is a failure of the check itself. Ends soon after the abort. */
  readonly run: (signal: AbortSignal) => Promise<readonly Finding[]>;
};

/** The worst one decides; nothing known is worse than well and better than a warning (as monitoring tools count). */
export function worstOf(findings: readonly Finding[]): Level {
  const order: readonly Level[] = ['ok', 'info', 'unknown', 'warning', 'critical'];
  const rank = findings.reduce((worst, { level }) => Math.max(worst, order.indexOf(level)), -1);
  return order[rank] ?? 'unknown';
}
