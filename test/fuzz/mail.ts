// Small mails with everything in them that POP3 clients stumble over.
import { below, pick } from './mutations.ts';
import type { Random } from './mutations.ts';
import type { Mail } from './server.ts';

const lines = [
  '',
  '.',
  '..',
  '.x',
  'text',
  '\u00e4\u00ff',
  'a\nb',
  'c\rd',
  '\0',
  'From me',
  '+OK 1',
  '-ERR no',
  '. ',
  'x'.repeat(90),
] as const;

/** Some mails share a UIDL with another one; some have one that was used before. */
export function createMail(id: number, random: Random, mailbox: readonly Mail[]): Mail {
  // No other mail can be turned into this one.
  const token = below(random, 2 ** 32).toString(36) + below(random, 2 ** 32).toString(36);
  const count = below(random, 6);
  const body = Array.from({ length: count }, () => pick(random, lines) + '\r\n').join('');
  const shared = random() < 0.05 ? mailbox[below(random, mailbox.length)]?.uid : undefined;
  const reused = random() < 0.05 ? 'used-' + below(random, 3) : undefined;
  const uid = shared ?? reused ?? 'uid-' + id + '-' + below(random, 1e9).toString(36);
  return {
    id,
    uid,
    bytes:
      'Subject: mail ' +
      id +
      '\r\nMessage-ID: <' +
      token +
      '@x.test>\r\n\r\n' +
      body +
      (random() < 0.9 ? 'end\r\n' : 'no line end'),
  };
}
