// The options that let an account be woken by IMAP, as far as the agent knows such.
import { agentSchema } from '../../agent/config.ts';
import type { Dovecot } from '../lab/dovecot.ts';

/** Undefined: the agent cannot be woken yet. */
export function wakeOptions(dovecot: Dovecot): object | undefined {
  const known: object = agentSchema.properties.accounts.items.properties;
  return 'idle' in known ? { idle: { host: dovecot.host, port: dovecot.imap, tls: 'none' } } : undefined;
}
