// A mail from the agent itself: its header, and plain notes in words. Promise: it comes from the null sender, says that it is
// automatic, and carries our trace, so that a server that sends it back to us is refused. Pure; the same note gives the same bytes.

export const traceHeader = 'X-Mailferry-Trace';

export type NoteHeader = {
  readonly id: string;
  readonly to: string;
  readonly subject: string;
  readonly createdAt: number;
  /** This machine; part of an address, so of letters, digits, dots and hyphens. */
  readonly hostname: string;
  readonly traceId: string;
  /** Message-ID of the mail that it is about, with its brackets; left out when it is none. */
  readonly about?: string | undefined;
};

/** Lines without the MIME fields, each ended by CRLF. */
export function noteHeader(options: NoteHeader): string {
  const { about = '', hostname } = options;
  const reference = /^<[\u0021-\u003d\u003f-\u007e]{1,250}>$/.test(about)
    ? ['In-Reply-To: ' + about, 'References: ' + about]
    : [];
  const lines = [
    'From: Mail Delivery System <' + ownAddress(hostname) + '>',
    'To: <' + options.to + '>',
    'Subject: ' + options.subject,
    'Date: ' + formatDate(options.createdAt),
    'Message-ID: <' + options.id + '@' + hostname + '>',
    ...reference,
    'Auto-Submitted: auto-replied',
    // Programs that answer every mail leave these two alone, if they know no other sign.
    'Precedence: bulk',
    'X-Auto-Response-Suppress: All',
    // As of a mail that came in: it may be forwarded once, and never comes back to where it was born.
    traceHeader + ': in ' + options.traceId,
    'MIME-Version: 1.0',
  ];
  return lines.join('\r\n') + '\r\n';
}

/** Whom notices come from. Nobody reads there: mail to it is refused (loop.ts). */
export const ownAddress = (hostname: string): string => 'mailer-daemon@' + hostname;

/** `text` with LF between lines. */
export function composeNote(options: NoteHeader & { readonly text: string }): Buffer {
  const text = toBody(options.text);
  const encoding = isAscii(text) ? '7bit' : '8bit';
  const head =
    noteHeader(options) + 'Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: ' + encoding;
  return Buffer.from(head + '\r\n\r\n' + text, 'utf8');
}

/** Lines for a mail: CRLF ended, no control characters, none longer than a mail allows even in UTF-8. */
export function toBody(text: string): string {
  const lines = clean(text)
    .split('\n')
    .flatMap((line) => (line === '' ? [''] : (line.match(/.{1,240}/gu) ?? [])));
  return lines.join('\r\n') + '\r\n';
}

/** RFC 5322 section 3.3, in UTC. */
export function formatDate(wallMs: number): string {
  return new Date(wallMs).toUTCString().replace('GMT', '+0000');
}

export const isAscii = (text: string): boolean => /^[\u0000-\u007f]*$/.test(text);
const clean = (text: string): string => text.replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f]/g, ' ');
