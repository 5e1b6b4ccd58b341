// What a person must decide before an account goes on: it pauses and its status asks.

export class Question extends Error {
  override readonly name = 'Question';
}

/**
 * What a person said about mails that the ledger does not know: `known` (they stay at the provider), `new` (they are
 * delivered), or new from a day on (UTC), as `since:YYYY-MM-DD`.
 */
export type Answer = 'known' | 'new' | `since:${string}`;

/** Undefined for what is none. */
export function readAnswer(text: string): Answer | undefined {
  if (text === 'known' || text === 'new') return text;
  const answer = `since:${text.slice('since:'.length)}` as const;
  return text === answer && sinceOf(answer) !== undefined ? answer : undefined;
}

/** Milliseconds since 1970; undefined when the answer names no day. */
export function sinceOf(answer: Answer): number | undefined {
  const at = answer.startsWith('since:') ? Date.parse(answer.slice('since:'.length) + 'T00:00:00Z') : NaN;
  return Number.isNaN(at) ? undefined : at;
}
