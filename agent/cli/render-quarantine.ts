// What a person reads about mails in quarantine.
import type { DroppedMail, HeldList, ReleasedMail, ShownMail } from '../control/answers.ts';
import { alignColumns, clean, showDuration, showSize } from './table.ts';

export function renderQuarantine(list: HeldList, now: number): readonly string[] {
  if (list.entries.length === 0) return ['The quarantine is empty.'];
  const rows = list.entries.map((mail) => [
    mail.id,
    showDuration((now - Date.parse(mail.at)) / 1_000),
    showSize(mail.sizeBytes),
    senderOf(mail.from),
    mail.subject.slice(0, 40),
    mail.reason,
  ]);
  const lines = alignColumns([['ID', 'SINCE', 'SIZE', 'SENDER', 'SUBJECT', 'WHY'], ...rows], [2]);
  const more = list.total - list.entries.length;
  return more > 0 ? [...lines, 'and ' + more + ' more'] : lines;
}

export function renderHeld(mail: ShownMail, now: number): readonly string[] {
  const facts = [
    ['id', mail.id],
    ['mailbox', mail.account],
    ['why', mail.reason],
    ['since', mail.at + ' (' + showDuration((now - Date.parse(mail.at)) / 1_000) + ')'],
    ['sender', senderOf(mail.from)],
    ['size', showSize(mail.sizeBytes)],
    ['file', mail.file],
  ];
  const rows = mail.recipients.map(({ address, verdict, text }) => [address, verdict, text]);
  const header = mail.header.split('\n').map((line) => '  ' + clean(line.replace(/\r$/, '')));
  return [
    ...alignColumns(facts),
    '',
    ...alignColumns([['RECIPIENT', 'STATE', 'REPLY'], ...rows]),
    '',
    'Header:',
    ...header,
  ];
}

export function renderReleased({ id, recipients }: ReleasedMail): readonly string[] {
  const whom = recipients.length === 0 ? 'everybody has it already' : 'handed over to ' + recipients.join(', ');
  return [clean(id + ': ' + whom)];
}

export function renderDropped({ id }: DroppedMail): readonly string[] {
  return [clean(id + ": dropped; the provider's copy may be deleted when its keeping time is over")];
}

function senderOf(from: string): string {
  return from === '' ? '<>' : from;
}
