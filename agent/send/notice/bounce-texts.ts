// Notices that are no delivery reports: a warning before a mail is refused, and many notices in one. Pure.
import { groupFields, splitLines, valueOf } from '../submission/header.ts';
import { composeNote, formatDate } from './note.ts';
import type { NoteHeader } from './note.ts';
import type { Notice } from './notice-table.ts';
import type { QueuedMail } from '../queue/queue.ts';
import { decodeReports, decodeWarnings } from './report.ts';
import type { NoticeKind } from './report.ts';

type Basis = Omit<NoteHeader, 'subject' | 'about'>;

export function composeWarning(options: Basis & { readonly header: Buffer; readonly notice: Notice }): Buffer {
  const { header, notice } = options;
  const lines = [
    'Your mail' + titleOf(header) + ' is on its way, but the provider is known to refuse mails like it:',
    '',
    ...decodeWarnings(notice.report).flatMap(({ meaning, remedy }) => [
      '  ' + meaning + '.',
      ...(remedy === '' ? [] : ['      What helps: ' + remedy + '.']),
      '',
    ]),
    'It is sent all the same. Should it be refused, you get a report. You are told this once a day at most.',
  ];
  const subject = 'Your mail may be refused';
  return composeNote({ ...options, subject, about: fieldOf(header, 'message-id'), text: lines.join('\n') });
}

const words: Readonly<Record<NoticeKind, string>> = {
  failed: 'could not be delivered to',
  delayed: 'has not been delivered yet to',
  relayed: 'was handed on for',
  warned: 'is likely to be refused',
};
/** Of one mail. */
const maxShown = 20;

/** `entries`: at least one. */
export function composeSum(
  options: Omit<Basis, 'id'> & {
    readonly entries: readonly { readonly notice: Notice; readonly mail: QueuedMail; readonly header: Buffer }[];
  },
): Buffer {
  const { entries } = options;
  const [first] = entries;
  const lines = entries.flatMap(({ header, mail, notice }) => {
    const from = mail.sender === options.to ? '' : ' from ' + mail.sender;
    const title = 'The mail' + titleOf(header) + from + ' of ' + formatDate(mail.acceptedAt);
    if (notice.kind === 'warned') return [title + ' ' + words.warned + '.', ''];
    const reports = decodeReports(notice.report);
    const more = reports.length - maxShown;
    return [
      title + ' ' + words[notice.kind] + ':',
      ...reports.slice(0, maxShown).map((one) => '  ' + one.address + ': ' + (one.reply.slice(0, 300) || 'no answer')),
      ...(more > 0 ? ['  and ' + more + ' more'] : []),
      '',
    ];
  });
  const head =
    'There was more to tell about your mails than fits into single reports. These are ' + entries.length + ':';
  const id = 'notices-' + (first?.notice.id ?? 0) + '.' + (first?.notice.mail ?? '');
  const subject = entries.length + ' reports about your mails';
  return composeNote({ ...options, id, subject, text: [head, '', ...lines].join('\n') });
}

/** ` "offer"`, when the subject can be shown as it stands. */
function titleOf(header: Buffer): string {
  const subject = (fieldOf(header, 'subject') ?? '').slice(0, 120);
  return subject === '' || /=\?[^?]+\?[bq]\?|[^\u0020-\u007e]/i.test(subject) ? '' : ' "' + subject + '"';
}

function fieldOf(header: Buffer, name: string): string | undefined {
  const lines = splitLines(header);
  const end = lines.findIndex((line) => line[0] === 0x0a || line[0] === 0x0d);
  const field = groupFields(end < 0 ? lines : lines.slice(0, end)).find((one) => one.name === name);
  return field === undefined ? undefined : valueOf(field);
}
