// Alerts by e-mail, through SMTP settings of their own. Each recipient is a channel: one that is refused, or put off by
// greylisting, neither keeps a notice from the others nor is passed over because the others took it.
import { createTransport } from 'nodemailer';
import { describe } from '#shared/failure.ts';
import { maskAddress } from '#shared/log.ts';
import type { EmailConfig } from '../config.ts';
import type { Message } from './message.ts';
import type { Channel, Sent } from './notify.ts';

/** The package's own limits are of silence: a server that trickles would hold a notice for ever. */
const deadlineMs = 60_000;
/** A refusal or a wrong password is mended by a person; asking every few seconds helps nobody and locks accounts. */
const refusedMs = 600_000;

export function createEmailChannels(options: {
  readonly config: EmailConfig;
  readonly password?: string;
  readonly ca?: string;
}): readonly Channel[] {
  const { config } = options;
  const transport = createTransport({
    host: config.host,
    port: config.port,
    secure: config.tls === 'implicit',
    requireTLS: config.tls === 'starttls',
    ignoreTLS: config.tls === 'none',
    ...(config.user === undefined
      ? {}
      : { auth: { user: config.user, pass: options.password ?? '' }, forceAuth: true }),
    ...(options.ca === undefined ? {} : { tls: { ca: options.ca } }),
    connectionTimeout: 15_000,
    greetingTimeout: 15_000,
    socketTimeout: deadlineMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  return [...new Set(config.to)].map((to) => ({
    name: 'email:' + to,
    label: 'email:' + maskAddress(to),
    async send(message, signal) {
      const bounded = AbortSignal.any([signal, AbortSignal.timeout(deadlineMs)]);
      try {
        await transport.sendMail({ ...compose(message, config.from), to, signal: bounded });
        return { ok: true };
      } catch (error) {
        return judge(error, config, to);
      }
    },
  }));
}

function compose(message: Message, from: string) {
  const domain = from.slice(from.lastIndexOf('@') + 1);
  const idOf = (kind: Message['kind']): string => `<${message.reference}.${kind}.mailferry@${domain}>`;
  return {
    from: { name: 'mailferry', address: from },
    subject: (message.kind === 'raised' ? 'ALERT: ' : 'RESOLVED: ') + message.title,
    text: [message.title, '', ...message.lines, ''].join('\n'),
    html: toHtml(message),
    // The same id on a repeat: a mail program shows it once. The resolving belongs under the raising.
    messageId: idOf(message.kind),
    ...(message.kind === 'resolved' ? { inReplyTo: idOf('raised'), references: [idOf('raised')] } : {}),
    headers: {
      'Auto-Submitted': 'auto-generated',
      'List-Id': 'mailferry alerts <alerts.mailferry.' + domain + '>',
      'X-Auto-Response-Suppress': 'All',
    },
  };
}

/** Always tried again: when a person has mended it, the notice is still wanted. */
function judge(error: unknown, config: EmailConfig, to: string): Sent {
  const place = config.host + ':' + config.port;
  const problem = `Cannot send an alert to ${maskAddress(to)} through ${place}: ${describe(error)}; check option alerts.email`;
  return isRefusal(error) ? { ok: false, problem, afterMs: refusedMs } : { ok: false, problem };
}

function isRefusal(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false;
  if ('code' in error && error.code === 'EAUTH') return true;
  return 'responseCode' in error && typeof error.responseCode === 'number' && error.responseCode >= 500;
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
