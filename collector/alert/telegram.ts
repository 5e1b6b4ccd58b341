// Alerts by Telegram: plain text, so that no server's words can break the markup; one chat a channel.
import { Api, GrammyError, HttpError } from 'grammy';
import { describe } from '#shared/failure.ts';
import type { TelegramConfig } from '../config.ts';
import type { Message } from './message.ts';
import type { Channel, Sent } from './notify.ts';

/** The library names the type of a package for older Nodes; it only listens for `abort`. */
type Signal = NonNullable<Parameters<Api['sendMessage']>[3]>;

/** Limit of the Bot API, in UTF-16 units. */
const maxText = 4_096;
/** A wrong token, a blocked bot, an unknown chat: a person has to mend it; asking every few seconds helps nobody. */
const refusedMs = 600_000;

export function createTelegramChannels(options: {
  readonly config: TelegramConfig;
  readonly token: string;
}): readonly Channel[] {
  const { config, token } = options;
  // The library refuses an address that ends in a slash.
  const api = new Api(token, { apiRoot: config.apiRoot.replace(/\/+$/, ''), timeoutSeconds: 30 });
  return [...new Set(config.chats)].map((chat) => ({
    name: 'telegram:' + chat,
    label: 'telegram:' + chat,
    async send(message, signal) {
      try {
        const other = { link_preview_options: { is_disabled: true } };
        await api.sendMessage(chat, textOf(message), other, signal as Signal);
        return { ok: true };
      } catch (error) {
        return judge(error, chat, token);
      }
    },
  }));
}

export function textOf(message: Message): string {
  const mark =
    message.kind === 'resolved'
      ? '\u2705 RESOLVED'
      : message.severity === 'critical'
        ? '\u{1F534} ALERT'
        : '\u{1F7E0} ALERT';
  const text = [mark + ': ' + message.title, '', ...message.lines].join('\n');
  if (text.length <= maxText) return text;
  const cut = text.slice(0, maxText - 1);
  // Not through the middle of a surrogate pair.
  return (/[\ud800-\udbff]$/.test(cut) ? cut.slice(0, -1) : cut) + '\u2026';
}

function judge(error: unknown, chat: string, token: string): Sent {
  // Why the network failed stands in a field of its own, and with it the address and so the token.
  const reason = error instanceof HttpError ? error.message + ' ' + describe(error.error) : describe(error);
  const words = [token, encodeURI(token), encodeURIComponent(token)].reduce(
    (text, secret) => text.replaceAll(secret, '[token]'),
    reason,
  );
  const moved = error instanceof GrammyError ? error.parameters.migrate_to_chat_id : undefined;
  const hint = moved === undefined ? '' : '; the group has the new id ' + moved;
  const problem = `Cannot send an alert to Telegram chat ${chat}: ${words}${hint}; check option alerts.telegram`;
  if (!(error instanceof GrammyError)) return { ok: false, problem };
  const { error_code: code, parameters } = error;
  if (code === 429) return { ok: false, problem, afterMs: (parameters.retry_after ?? 30) * 1_000 };
  if (code === 400 || code === 401 || code === 403 || code === 404) return { ok: false, problem, afterMs: refusedMs };
  return { ok: false, problem };
}
