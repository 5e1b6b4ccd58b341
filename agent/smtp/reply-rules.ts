// What providers mean by their replies, as data: each rule says by what it is recognised, what is to be done, and where that
// was told. The first that fits decides, so rules about whole accounts stand before those about single mails, and the
// particular before the general. What fits none is judged by its code (verdict.ts).
import type { Phase } from './conversation-error.ts';
import type { Reply } from './reply.ts';
import { accountRules } from './reply-rules-account.ts';
import { mailRules } from './reply-rules-mail.ts';
import { relayRules } from './reply-rules-relay.ts';

/** `next`: until the next full hour or day by the wall clock; `stated`: as the reply says, else so many seconds. */
export type RuleWait =
  | { readonly seconds: number }
  | { readonly next: 'hour' | 'day' }
  | { readonly stated: true; readonly seconds: number };

export type ReplyRule = {
  readonly id: string;
  /** Absent: any from 400 to 599. */
  readonly codes?: readonly number[];
  /** Enhanced codes (RFC 3463), whole. */
  readonly enhanced?: readonly string[];
  /** Over all lines in one, without enhanced codes, and without addresses: those are anybody's. */
  readonly text?: RegExp;
  /** In the same words: then it does not fit after all. */
  readonly unless?: RegExp;
  /** Absent: from MAIL to the final reply. */
  readonly phases?: readonly Phase[];
  /** Only where the relay is one of these providers. */
  readonly presets?: readonly string[];
  readonly verdict: 'later' | 'refused' | 'hold';
  readonly scope: 'recipient' | 'message' | 'account' | 'relay';
  readonly wait?: RuleWait;
  readonly session?: 'renew' | 'fewer';
  /** A sentence without a full stop. */
  readonly meaning: string;
  readonly remedy: string;
  /** Where such a reply was told of. */
  readonly source: string;
};

export const replyRules: readonly ReplyRule[] = [...relayRules, ...accountRules, ...mailRules];

const mailPhases: readonly Phase[] = ['mail', 'recipients', 'data', 'body', 'after-dot'];
/** A window may end a little later at the provider than by our clock. */
const marginSeconds = 90;
const longestSeconds = 86_400;

export function findRule(reply: Reply, phase: Phase, preset: string | undefined): ReplyRule | undefined {
  const text = wordsOf(reply);
  return replyRules.find(
    (rule) =>
      (rule.phases ?? mailPhases).includes(phase) &&
      (rule.codes === undefined || rule.codes.includes(reply.code)) &&
      (rule.enhanced === undefined || (reply.enhanced !== undefined && rule.enhanced.includes(reply.enhanced))) &&
      (rule.text === undefined || rule.text.test(text)) &&
      (rule.unless === undefined || !rule.unless.test(text)) &&
      (rule.presets === undefined || (preset !== undefined && rule.presets.includes(preset))),
  );
}

export function waitOf(rule: ReplyRule, reply: Reply, now: number): number | undefined {
  const { wait } = rule;
  if (wait === undefined) return undefined;
  if ('next' in wait) return untilNext(wait.next, now) + marginSeconds;
  return 'stated' in wait ? (statedSeconds(reply) ?? wait.seconds) : wait.seconds;
}

function untilNext(window: 'hour' | 'day', now: number): number {
  const at = new Date(now);
  const end = new Date(now);
  if (window === 'hour') end.setHours(at.getHours() + 1, 0, 0, 0);
  else end.setHours(24, 0, 0, 0);
  return Math.min(Math.max(Math.ceil((end.getTime() - now) / 1_000), 0), longestSeconds);
}

/** "try again in 5 minutes", "300 seconds", "within 60min." Bounded: a typing mistake over there is no outage here. */
function statedSeconds(reply: Reply): number | undefined {
  const [, number, unit] = /\b(\d{1,5}) ?(s|secs?|seconds?|m|mins?|minutes?|hours?)\b/i.exec(reply.text) ?? [];
  if (number === undefined || unit === undefined) return undefined;
  const factor = /^s/i.test(unit) ? 1 : /^m/i.test(unit) ? 60 : 3_600;
  return Math.min(Math.max(Number(number) * factor, 30), 7_200);
}

function wordsOf(reply: Reply): string {
  return reply.text
    .replaceAll(/^[245]\.\d{1,3}\.\d{1,3}(?= |$)/gm, ' ')
    .replaceAll(/<[^<>\s]*>|[^\s<>,;:()[\]"']{1,320}@[^\s<>,;:()[\]"']{1,320}/g, ' ')
    .replaceAll(/\s+/g, ' ');
}
