// What one try of one mail means for its recipients and for the relay. Knows no queue and no clock.
import { codeOf, describe } from '#shared/failure.ts';
import { ConversationError, showReply } from '../../smtp/conversation.ts';
import type { RecipientReply, Reply, SendResult } from '../../smtp/conversation.ts';
import { judge } from '../../smtp/verdict.ts';
import type { Answer, Judgement } from '../../smtp/verdict.ts';
import type { Outcome, Recipient } from './outcome.ts';
import type { Trouble } from './relay-health.ts';

/** What replies are judged by. `now`: wall clock. */
export type About = { readonly preset: string | undefined; readonly now: number; readonly host: string };
export type Attempt = {
  readonly outcomes: readonly Outcome[];
  /** What the relay as a whole suffers from; undefined when it works. */
  readonly trouble: Trouble | undefined;
  /** The relay said what it makes of the mail. */
  readonly answered: boolean;
  readonly session: Judgement['session'];
  /** The relay took so many recipients and no more. */
  readonly mostRecipients?: number;
  /** The mail itself cannot be sent by anyone: its file is gone. */
  readonly lost?: true;
};

/** The relay answered for every recipient. `reused`: it took other mails in this session before. */
export function attemptOfResult(
  recipients: readonly Recipient[],
  result: SendResult,
  about: About,
  reused: boolean,
): Attempt {
  const judged = recipients.map((recipient, index) => judgeOne(recipient, result.recipients[index], about));
  const taken = judged.filter((one) => one.outcome.result === 'sent').length;
  const tooMany = taken > 0 && judged.some(isTooMany);
  const outcomes = judged.map((one) =>
    // RFC 5321 section 4.5.3.1.10: those go at once in a transaction of their own, and it is no failure of theirs.
    tooMany && isTooMany(one) ? { ...one.outcome, result: 'untouched' as const } : one.outcome,
  );
  const stopped = judged.find((one) => concernsAll(one.judgement));
  const session = judged.find((one) => one.judgement?.session !== 'keep')?.judgement?.session ?? 'keep';
  const trouble = stopped === undefined ? undefined : troubleOf(stopped.judgement, stopped.outcome.reply);
  return {
    outcomes,
    // A session that is used up is no trouble, as long as a fresh one does better.
    trouble: session === 'renew' && reused ? undefined : trouble,
    answered: stopped === undefined,
    session,
    ...(tooMany ? { mostRecipients: taken } : {}),
  };
}

/** The conversation broke, or our own side did. `stopping`: we broke it ourselves. */
export function attemptOfError(
  recipients: readonly Recipient[],
  error: unknown,
  about: About,
  stopping: boolean,
): Attempt {
  const text = describe(error);
  const { host } = about;
  const all = (result: Outcome['result'], trouble?: Trouble, judgement?: Judgement): Attempt => ({
    outcomes: recipients.map((recipient) => ({ recipient, result, reply: text, host, reason: judgement })),
    trouble: stopping ? undefined : trouble,
    answered: false,
    session: judgement?.session ?? 'keep',
  });
  if (!(error instanceof ConversationError)) {
    if (codeOf(error) === 'ENOENT') return { ...all('untouched'), lost: true };
    return all(stopping ? 'untouched' : 'later');
  }
  const { phase, reply } = error;
  // Each of these makes the relay pause: should it break the line after every dot, few mails become unknown, not all.
  if (phase === 'after-dot' && reply === undefined) return all('unknown', { text, kind: 'line' });
  if (stopping) return all('untouched');
  const judgement = judge(error, about);
  if (concernsAll(judgement)) return all('untouched', troubleOf(judgement, text), judgement);
  // Broken in the middle of the body: the mail may be the cause, so it goes to the back; the line may be, so all pause.
  if (reply === undefined) return all('later', { text, kind: 'line' }, judgement);
  const outcomes = recipients.map((recipient) => judgeOne(recipient, { address: '', reply, phase }, about).outcome);
  return { outcomes, trouble: undefined, answered: true, session: judgement.session };
}

/** No session came about. */
export function troubleOfOpening(error: unknown, about: About): Trouble {
  const text = describe(error);
  if (!(error instanceof ConversationError))
    return { text, kind: hasRefused(error) ? 'login' : 'line', atOpening: true };
  const judgement = judge(error, about);
  const kind = error.phase === 'auth' && !isPassing(error.reply) ? 'login' : kindOf(judgement);
  // 5xx to a login: the secret, or the right to send. What comes with 4xx passes.
  const refused = error.phase === 'auth' && (error.reply?.code ?? 0) >= 500;
  return { ...troubleOf(judgement, text), kind, refused, atOpening: true };
}

const isPassing = (reply: Reply | undefined): boolean => reply !== undefined && reply.code < 500;

/** A LoginError of the token endpoint that says no. */
function hasRefused(error: unknown): boolean {
  return error instanceof Error && 'refused' in error && error.refused === true;
}

type Judged = { readonly outcome: Outcome; readonly judgement: Judgement | undefined };

function judgeOne(recipient: Recipient, answer: RecipientReply | undefined, about: About): Judged {
  const { host } = about;
  if (answer === undefined) {
    const reply = 'The relay gave no answer for this recipient';
    return { outcome: { recipient, result: 'later', reply, host }, judgement: undefined };
  }
  const judgement = judge(answer satisfies Answer, about);
  const { meaning, remedy, rule, scope, verdict, waitSeconds } = judgement;
  const outcome = {
    recipient,
    reply: showReply(answer.reply),
    enhanced: answer.reply.enhanced,
    host,
    ...(verdict === 'delivered' ? {} : { reason: { meaning, remedy, rule, scope } }),
    ...(waitSeconds === undefined ? {} : { waitMs: waitSeconds * 1_000 }),
  };
  if (concernsAll(judgement)) return { outcome: { ...outcome, result: 'untouched' }, judgement };
  return { outcome: { ...outcome, result: verdict === 'delivered' ? 'sent' : verdict }, judgement };
}

const isTooMany = ({ judgement, outcome }: Judged): boolean =>
  judgement?.rule === 'too-many-recipients' && outcome.result === 'later';

function concernsAll(judgement: Judgement | undefined): boolean {
  return judgement?.verdict !== 'delivered' && (judgement?.scope === 'relay' || judgement?.scope === 'account');
}

function kindOf({ scope, verdict }: Judgement): Trouble['kind'] {
  if (scope === 'account') return 'account';
  return verdict === 'hold' ? 'login' : 'line';
}

function troubleOf(judgement: Judgement | undefined, reply: string): Trouble {
  if (judgement === undefined) return { text: reply, kind: 'line' };
  const { meaning, remedy, waitSeconds } = judgement;
  // The server's own words first: they are what a search finds.
  const text = reply + ' (' + meaning + ')' + (remedy === '' ? '' : '; ' + remedy);
  return { text, kind: kindOf(judgement), waitMs: waitSeconds === undefined ? undefined : waitSeconds * 1_000 };
}
