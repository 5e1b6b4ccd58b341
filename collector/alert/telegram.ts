// Alerts by Telegram: plain text, so that no server's words can break the markup; one chat a channel.
import { Api, GrammyError } from 'grammy';
import { describe } from '#shared/failure.ts';
import type { TelegramConfig } from '../config.ts';
import type { Message } from './message.ts';
import type { Channel, Sent } from './notify.ts';

/** Limit of the Bot API, in UTF-16 units. */
const maxText = 4_096;

export function createTelegramChannels(options: {
  readonly config: TelegramConfig;
  readonly token: string;
}): readonly Channel[] {
  const { config, token } = options;
  const api = new Api(token, { apiRoot: config.apiRoot, timeoutSeconds: 30 });
  return config.chats.map((chat) => ({
    name: 'telegram:' + chat,
    async send(message) {
      try {
        await api.sendMessage(chat, textOf(message), { link_preview_options: { is_disabled: true } });
        return { ok: true };
      } catch (error) {
        return judge(error, chat, token);
      }
    },
    close: () => {},
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
  // The library puts the address, and so the token, into errors of the network.
  const words = describe(error).replaceAll(token, '[token]');
  const problem = 'Cannot send an alert to Telegram chat ' + chat + ': ' + words + '; check option alerts.telegram';
  if (!(error instanceof GrammyError)) return { ok: false, again: true, problem };
  const { error_code: code, parameters } = error;
  if (code === 429) return { ok: false, again: true, problem, afterMs: (parameters.retry_after ?? 30) * 1_000 };
  // A wrong token, a blocked bot, an unknown chat: a person has to mend it; asking every few seconds helps nobody.
  if (code === 400 || code === 401 || code === 403 || code === 404)
    return { ok: false, again: true, problem, afterMs: 600_000 };
  return { ok: false, again: true, problem };
}
