// After a state was adopted, or turned out to be old: another life may have handed over what this ledger does not know. Or
// mails that were not wanted cannot be told from new ones any more. All mails that the ledger does not know wait until a
// person has said what they are (rule of safety 4).
// Promise: nothing that is not known is handed over or deleted before; what is known is known still.
import type { Asks } from '../ledger/ledger-accounts.ts';
import { Question, sinceOf } from './question.ts';
import type { Item, Run } from '../round-run.ts';

/** Throws Question when a person must decide and has not. */
export function decideUnknown(run: Run, asks: Asks): void {
  const { account, ledger, log } = run.deps;
  const { answer } = run.options.memory;
  const unknown = (run.items ?? []).filter(({ entry }) => entry.state === 'seen' && !entry.recheck);
  // With keep: none another life has deleted what it handed over: what is there is new.
  const isEmptied = asks === 'old-state' && account.keep === 'none' && ledger.accounts.keepOf(account.id) === 'none';
  if (unknown.length === 0 || isEmptied || answer === 'new') {
    ledger.accounts.decided(account.id);
    return;
  }
  const at = answer === undefined ? undefined : sinceOf(answer);
  if (answer === 'known') {
    passOver(run, unknown);
    ledger.accounts.decided(account.id);
  } else if (at !== undefined) {
    const firstId = unknown.reduce((highest, { entry }) => Math.max(highest, entry.id), 0);
    ledger.accounts.decided(account.id, { at, firstId });
    run.since = { at, firstId };
  } else throw new Question(questionOf(account.id, asks, unknown.length));
  log.warn({ account: account.id, mails: unknown.length, answer }, 'mails that the ledger does not know were decided');
}

function passOver(run: Run, items: readonly Item[]): void {
  run.deps.ledger.passOver(items.map(({ entry, listed }) => ({ id: entry.id, listedBytes: listed.sizeBytes })));
  for (const item of items) item.entry = { ...item.entry, state: 'passed-over' };
}

const reasons: Readonly<Record<Asks, readonly [string, string]>> = {
  'old-state': [
    'the state of this agent was copied or is an old one, and does not know ',
    'have been delivered before',
  ],
  renumbered: ['the provider gives known UIDLs to other mails, and nobody can tell which are the ', 'be unwanted ones'],
};

function questionOf(id: string, asks: Asks, count: number): string {
  const [reason, may] = reasons[asks];
  const command = '`mailferry confirm ' + id + ' ';
  return (
    id +
    ': paused, ' +
    reason +
    count +
    ' mails at the provider: they may ' +
    may +
    '; answer with ' +
    command +
    'new` (deliver them), ' +
    command +
    'known` (leave them there) or ' +
    command +
    'since:YYYY-MM-DD` (deliver those that came on that day or later)'
  );
}
