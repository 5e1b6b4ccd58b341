// One session with a relay, from the connection to the login. Promise: a token that was refused is asked for anew once, and
// a password is never shown twice.
import type { Clock } from '#shared/clock.ts';
import type { Log } from '#shared/log.ts';
import type { LoginSecret } from '../../accounts/secret.ts';
import { ConversationError, openConversation } from '../../smtp/conversation.ts';
import type { Conversation } from '../../smtp/conversation.ts';
import type { RelaySetup } from './relays.ts';

export async function openRelaySession(options: {
  readonly setup: RelaySetup;
  /** This machine, when the configuration names no other. */
  readonly hostname: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
}): Promise<Conversation> {
  const { clock, hostname, log, setup, signal } = options;
  const { config, endpoint, secret } = setup;
  const { auth, name = hostname, user } = config;
  if (auth === 'none') return openConversation({ endpoint, protocol: 'smtp', name, signal, clock, log });
  const open = (shown: LoginSecret): Promise<Conversation> =>
    openConversation({ endpoint, protocol: 'smtp', name, signal, clock, log, login: { user, auth, ...shown } });
  const shown = await secret.read(signal);
  try {
    return await open(shown);
  } catch (error) {
    if (!isRefusedLogin(error)) throw error;
    secret.refused();
    if (shown.kind !== 'token') throw error;
    // It may have been withdrawn before its time; a fresh one is another secret.
    const fresh = await secret.read(signal);
    if (fresh.kind !== 'token' || fresh.token === shown.token) throw error;
    return open(fresh);
  }
}

function isRefusedLogin(error: unknown): boolean {
  return error instanceof ConversationError && error.phase === 'auth' && (error.reply?.code ?? 0) >= 500;
}
