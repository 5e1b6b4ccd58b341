// Ordinary mails, as many as asked for, no two alike, the same in every run.
import { createRandom } from './random.ts';

export type OrdinaryMail = { readonly messageId: string; readonly subject: string; readonly bytes: Buffer };

const words = ['order', 'offer', 'invoice', 'meeting', 'delivery', 'question', 'answer', 'holiday', 'report'] as const;

/** Mails number `from` to `from + count - 1`; a number always gives the same mail. */
export function ordinary(
  count: number,
  options: { readonly from?: number; readonly sender?: string; readonly recipient?: string } = {},
): OrdinaryMail[] {
  const { from = 0, sender = 'customer@example.net', recipient = 'info@example.org' } = options;
  return Array.from({ length: count }, (_, index) => ordinaryMail(from + index, sender, recipient));
}

function ordinaryMail(serial: number, sender: string, recipient: string): OrdinaryMail {
  const random = createRandom(serial + 1);
  const messageId = '<ordinary-' + serial + '@' + sender.slice(sender.lastIndexOf('@') + 1) + '>';
  const subject = random.pick(words) + ' ' + serial;
  const date = new Date(Date.UTC(2026, 10, 25, 8, 0, serial)).toUTCString().replace('GMT', '+0000');
  const line = (): string => Array.from({ length: 4 + random.below(8) }, () => random.pick(words)).join(' ') + '.';
  const lines = [
    'Received: from mail.example.net (mail.example.net [192.0.2.25])',
    '\tby mx.provider.test; ' + date,
    'From: <' + sender + '>',
    'To: <' + recipient + '>',
    'Subject: ' + subject,
    'Date: ' + date,
    'Message-ID: ' + messageId,
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: 8bit',
    '',
    ...Array.from({ length: 3 + random.below(60) }, line),
    'Mit freundlichen Grüßen',
    '',
  ];
  return { messageId, subject, bytes: Buffer.from(lines.join('\r\n')) };
}
