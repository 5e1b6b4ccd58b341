// What a person reads about the queue: one line a mail, and all about one of them in plain words.
import type { QueueEntry, QueueList } from '../control/answers.ts';
import { alignColumns, clean, count, showDuration, showSize, showTime } from './table.ts';

export function renderQueue(list: QueueList, now: number): readonly string[] {
  if (list.entries.length === 0) return ['The queue is empty.'];
  const rows = list.entries.map((mail) => [
    mail.id,
    showDuration((now - mail.acceptedAt) / 1_000),
    showSize(mail.sizeBytes),
    senderOf(mail),
    count(mail.recipients.length, 'recipient'),
    mail.relay ?? '',
    mail.nextTryAt === 0 ? '-' : showTime(mail.nextTryAt, now),
    mail.state + whyOf(mail),
  ]);
  const lines = alignColumns([['ID', 'AGE', 'SIZE', 'SENDER', 'TO', 'RELAY', 'NEXT TRY', 'STATE'], ...rows], [2]);
  const more = list.total - list.entries.length;
  return more > 0 ? [...lines, 'and ' + more + ' more'] : lines;
}

/** Plain words where there are some: the server's own are in `queue show`. */
function whyOf(mail: QueueEntry): string {
  const open = mail.recipients.find((one) => one.state === mail.state);
  const meaning = open?.meaning ?? '';
  const words = meaning !== '' && mail.problem.includes(open?.lastReply ?? '') ? meaning : mail.problem;
  return words === '' ? '' : ': ' + words;
}

/** More recipients get a line each; all about them is in the JSON. */
const maxSpelledOut = 8;

export function renderMail(mail: QueueEntry, now: number): readonly string[] {
  const facts = [
    ['id', mail.id],
    ['sender', senderOf(mail)],
    ...(mail.user === undefined ? [] : [['handed in by', mail.user]]),
    ['accepted', showMoment(mail.acceptedAt, now)],
    ['size', showSize(mail.sizeBytes)],
    ...(mail.relay === undefined ? [] : [['relay', mail.relay === '' ? 'none' : mail.relay]]),
    ['next try', mail.nextTryAt === 0 ? 'none planned' : showTime(mail.nextTryAt, now)],
    ['state', mail.state + (mail.problem === '' ? '' : ': ' + mail.problem)],
    ...(mail.notices ?? []).map((notice) => ['to be told', showNotice(notice, now)]),
  ];
  const { recipients } = mail;
  if (recipients.length <= maxSpelledOut)
    return [...alignColumns(facts), ...recipients.flatMap((recipient) => renderRecipient(recipient, now))];
  const rows = recipients.map((one) => [one.address, one.state, String(one.attempts), one.meaning || one.lastReply]);
  return [...alignColumns(facts), '', ...alignColumns([['RECIPIENT', 'STATE', 'TRIES', 'WHY'], ...rows], [2])];
}

function renderRecipient(recipient: QueueEntry['recipients'][number], now: number): readonly string[] {
  const {
    address,
    attempts,
    lastReply,
    meaning = '',
    notify = [],
    remedy = '',
    scope = '',
    state,
    triedAt = 0,
  } = recipient;
  const facts = [
    ['state', stateWords[state] ?? state],
    ['tries', attempts + (triedAt === 0 ? '' : ', the last one ' + showTime(triedAt, now))],
    ...(lastReply === '' ? [] : [['reply', lastReply]]),
    ...(meaning === '' ? [] : [['means', meaning]]),
    ...(scope === '' ? [] : [['concerns', scopeWords[scope] ?? scope]]),
    ...(remedy === '' ? [] : [['helps', remedy]]),
    ...(notify.length === 0 ? [] : [['reports', showNotify(notify)]]),
  ];
  return ['', clean(address), ...alignColumns(facts.map(([name = '', ...rest]) => ['  ' + name, ...rest]))];
}

const stateWords: Readonly<Record<string, string>> = {
  queued: 'queued: waits for a try',
  sending: 'sending: on its way now',
  sent: 'sent: the relay took it',
  failed: 'failed: refused, the sender is told',
  held: 'held: waits for a person (queue release, queue drop)',
  unknown: 'unknown: it may have arrived; one late retry',
};
const scopeWords: Readonly<Record<string, string>> = {
  recipient: 'this recipient alone',
  message: 'this mail alone',
  account: 'all mail of this login at the relay',
  relay: 'all mail to this relay',
};
const noticeWords: Readonly<Record<string, string>> = {
  failed: 'the sender, that it failed',
  delayed: 'the sender, that it is late',
  relayed: 'the sender, that it was handed on',
  warned: 'the sender, that it may be refused',
};

function showNotice(notice: NonNullable<QueueEntry['notices']>[number], now: number): string {
  const words = noticeWords[notice.kind] ?? notice.kind;
  const tries = notice.tries === 0 ? '' : ', after ' + count(notice.tries, 'try', 'tries') + ' in vain';
  return words + ', ' + showTime(notice.nextTryAt, now) + tries + (notice.summed ? ', in one with others' : '');
}

function showNotify(words: readonly string[]): string {
  if (words.includes('NEVER')) return 'none, as its sender wished';
  return 'on ' + words.map((word) => word.toLowerCase()).join(', ') + ', as its sender wished';
}

const senderOf = (mail: QueueEntry): string => (mail.from === '' ? '<>' : mail.from);
const showMoment = (at: number, now: number): string => new Date(at).toISOString() + ' (' + showTime(at, now) + ')';
