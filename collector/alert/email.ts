// Alerts by e-mail, through SMTP settings of their own.
import { createTransport } from 'nodemailer';
import { describe } from '#shared/failure.ts';
import type { EmailConfig } from '../config.ts';
import type { Message } from './message.ts';
import type { Channel } from './notify.ts';

const deadlineMs = 60_000;

export function createEmailChannel(options: {
  readonly config: EmailConfig;
  readonly password?: string;
  readonly ca?: string;
}): Channel {
  const { config } = options;
  const transport = createTransport({
    host: config.host,
    port: config.port,
    secure: config.tls === 'implicit',
    requireTLS: config.tls === 'starttls',
    ignoreTLS: config.tls === 'none',
    ...(config.user === undefined ? {} : { auth: { user: config.user, pass: options.password ?? '' } }),
    ...(options.ca === undefined ? {} : { tls: { ca: options.ca } }),
    connectionTimeout: 15_000,
    greetingTimeout: 15_000,
    socketTimeout: deadlineMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  const domain = config.from.slice(config.from.lastIndexOf('@') + 1);
  const idOf = (message: Message, kind: Message['kind']): string =>
    '<' + message.reference + '.' + kind + '.mailferry@' + domain + '>';

  return {
    name: 'email',
    async send(message) {
      try {
        await transport.sendMail({
          from: { name: 'mailferry', address: config.from },
          to: [...config.to],
          subject: (message.kind === 'raised' ? 'ALERT: ' : 'RESOLVED: ') + message.title,
          text: [message.title, '', ...message.lines, ''].join('\n'),
          html: toHtml(message),
          // The same id on a repeat: a mail program shows it once. The resolving belongs under the raising.
          messageId: idOf(message, message.kind),
          ...(message.kind === 'resolved'
            ? { inReplyTo: idOf(message, 'raised'), references: [idOf(message, 'raised')] }
            : {}),
          headers: {
            'Auto-Submitted': 'auto-generated',
            'List-Id': 'mailferry alerts <alerts.mailferry.' + domain + '>',
            'X-Auto-Response-Suppress': 'All',
          },
        });
        return { ok: true };
      } catch (error) {
        // 5xx and wrong passwords can be mended by a person, and then the alert is still wanted: always tried again.
        return {
          ok: false,
          again: true,
          problem:
            'Cannot send an alert through ' +
            config.host +
            ':' +
            config.port +
            ': ' +
            describe(error) +
            '; check option alerts.email',
        };
      }
    },
    close: () => transport.close(),
  };
}

function toHtml(message: Message): string {
  const escape = (text: string): string =>
    text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
  const colour = message.kind === 'resolved' ? '#2e7d32' : message.severity === 'critical' ? '#b3261e' : '#8a5a00';
  const lines = message.lines.map((line) =>
    /^https?:\/\//.test(line) ? `<a href="${escape(line)}">${escape(line)}</a>` : escape(line),
  );
  return `<p style="font:600 16px sans-serif;color:${colour}">${escape(message.title)}</p><p style="font:14px sans-serif">${lines.join('<br>')}</p>`;
}
