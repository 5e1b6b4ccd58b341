// A provider's mailbox: filled past the server, then looked at once, so that the server's index is warm for everybody.
import { connect } from 'node:net';
import { once } from 'node:events';
import type { Dovecot } from '../lab/dovecot.ts';
import type { Mails } from './mails.ts';

export const password = 'right-password';
/** Dovecot as a provider would run it: processes wait for logins. */
export const dovecotExtra = `
service pop3 {
  service_count = 0
  process_min_avail = 2
}
maildir_very_dirty_syncs = no
`;

export async function fillMailbox(dovecot: Dovecot, user: string, mails: Mails, count: number): Promise<void> {
  await mails.put(dovecot.maildir(user), count);
  const found = await lookAt(dovecot.pop3, user);
  if (found !== count)
    throw new Error('Cannot begin: the mailbox of ' + user + ' has ' + found + ' mails, expected ' + count);
}

/** STAT, UIDL and LIST; the count of STAT. */
export async function lookAt(port: number, user: string): Promise<number> {
  const socket = connect({ host: '127.0.0.1', port });
  let text = '';
  socket.setEncoding('latin1').on('data', (data: string) => void (text += data));
  socket.write(['USER ' + user, 'PASS ' + password, 'STAT', 'UIDL', 'LIST', 'QUIT', ''].join('\r\n'));
  await once(socket, 'close');
  const count = /^\+OK (\d+) \d+\r$/m.exec(text)?.[1];
  if (count === undefined) throw new Error('Cannot look at the mailbox of ' + user + ': ' + text.slice(0, 200));
  return Number(count);
}
