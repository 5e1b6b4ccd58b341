// Remembers whose mail was handed to the local server, so that the way out can tell when that server sends it back.
import type { Local } from './local.ts';

export type RememberingLocal = Local & {
  /** Was mail of this envelope sender handed over lately? The null sender is one of them. */
  readonly handedOver: (sender: string) => boolean;
};

/** Strangers of some days at a busy office; the oldest is forgotten first. */
const maxRemembered = 5_000;

export function rememberSenders(local: Local): RememberingLocal {
  const senders = new Set<string>();
  return {
    ...local,
    deliver(mail) {
      const key = mail.from.toLowerCase();
      senders.delete(key);
      senders.add(key);
      const [oldest] = senders;
      if (senders.size > maxRemembered && oldest !== undefined) senders.delete(oldest);
      return local.deliver(mail);
    },
    handedOver: (sender) => senders.has(sender.toLowerCase()),
  };
}
