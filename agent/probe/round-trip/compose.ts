// The probe mail itself: small, plain, and it says what it is to whoever finds it.

export type ProbeMail = {
  readonly from: string;
  readonly to: string;
  readonly trip: string;
  readonly id: string;
  /** See token.ts. */
  readonly tokenLine: string;
  /** Wall clock, milliseconds since 1970. */
  readonly at: number;
};

export function composeProbe(mail: ProbeMail): Buffer {
  const domain = mail.from.slice(mail.from.lastIndexOf('@') + 1);
  const lines = [
    'From: mailferry <' + mail.from + '>',
    'To: <' + mail.to + '>',
    'Subject: mailferry round trip ' + mail.trip,
    'Date: ' + formatDate(mail.at),
    'Message-ID: <probe-' + mail.id + '@' + domain + '>',
    mail.tokenLine,
    'Auto-Submitted: auto-generated',
    'Precedence: bulk',
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=us-ascii',
    '',
    'This mail was written by mailferry, which watches the mail of this office. It goes out by',
    'the relay and comes back by the mailbox that it is addressed to, to show that both work.',
    'mailferry takes it out again by itself. If you can read it, it was not recognised; delete it.',
    '',
    'Diese Mail wurde von mailferry geschrieben, um den Weg der Post zu pruefen. Sie wird von selbst',
    'wieder entfernt. Wenn Sie sie lesen, wurde sie nicht erkannt und kann geloescht werden.',
    '',
  ];
  return Buffer.from(lines.join('\r\n'), 'latin1');
}

/** RFC 5322 section 3.3, in UTC. */
function formatDate(at: number): string {
  return new Date(at).toUTCString().replace('GMT', '+0000');
}
