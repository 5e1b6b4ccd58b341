// The UIDLs of a mailbox, asked without any code of ours.
import Pop3 from 'node-pop3';
import { password } from './mailbox.ts';

export async function listUidls(port: number, user: string): Promise<readonly string[]> {
  const client = new Pop3({ host: '127.0.0.1', port, user, password, tls: false });
  const lines = await client.UIDL();
  await client.QUIT();
  return lines.map(([, uidl = '']) => uidl);
}
