// What the tests of this room share: a conversation with a scripted server, and mails to send.
import { createLog } from '#shared/log.ts';
import { systemClock } from '#shared/clock.ts';
import { openConversation } from '../../../agent/smtp/conversation.ts';
import type { Conversation, ConversationOptions, Mail } from '../../../agent/smtp/conversation.ts';
import { startScriptedSmtp } from '../../lab/scripted-smtp.ts';
import type { ScriptedSmtp, ScriptedSmtpOptions, SmtpStep } from '../../lab/scripted-smtp.ts';
import type { Action } from '../../lab/line-server.ts';

export type Owner = { readonly after: (work: () => Promise<void>) => void };
export const silent = createLog({ level: 'silent', name: 'test' });

/** Short: a test that runs into one of them by mistake fails soon. */
export const shortTimeouts = {
  connectMs: 2_000,
  greetingMs: 2_000,
  commandMs: 2_000,
  writeMs: 2_000,
  finalMs: 2_000,
  quitMs: 500,
  graceMs: 300,
};

export function optionsFor(
  place: { readonly host: string; readonly port: number },
  more: Partial<ConversationOptions> = {},
): ConversationOptions {
  return {
    endpoint: { host: place.host, port: place.port, tls: 'none' },
    protocol: 'smtp',
    name: 'agent.example.org',
    signal: new AbortController().signal,
    clock: systemClock,
    log: silent,
    timeouts: shortTimeouts,
    ...more,
  };
}

/** A scripted server and a conversation with it. */
export async function talk(
  t: Owner,
  options: ScriptedSmtpOptions = {},
  more: Partial<ConversationOptions> = {},
): Promise<{ readonly server: ScriptedSmtp; readonly conversation: Conversation }> {
  const server = await startScriptedSmtp(options);
  t.after(server.close);
  const protocol = options.protocol ?? 'smtp';
  const conversation = await openConversation(optionsFor(server, { protocol, ...more }));
  t.after(() => Promise.resolve(conversation.close()));
  return { server, conversation };
}

export function mailOf(bytes: string | Uint8Array, more: Partial<Mail> = {}): Mail {
  const body = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes;
  return {
    from: 'info@example.org',
    recipients: ['sales@example.net'],
    head: new Uint8Array(),
    body: { open: () => [body], sizeBytes: body.length },
    keepBareLineEnds: false,
    signal: new AbortController().signal,
    ...more,
  };
}

/** Says `action` the first time the server is asked for `verb`. */
export function once(verb: string, action: Action): (step: SmtpStep) => Action | undefined {
  return (step) => (step.verb === verb && step.before === 0 ? action : undefined);
}

/** The same numbers for the same seed (mulberry32), so that a failure can be seen again. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
