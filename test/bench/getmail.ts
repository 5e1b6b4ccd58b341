// getmail6 writing a Maildir.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { countMails, makeMaildir } from '../lab/maildir.ts';
import type { Contestant, Source } from './contestant.ts';
import { password } from './mailbox.ts';
import { createOneShot } from './one-shot.ts';

export async function createGetmail(options: {
  readonly folder: string;
  readonly source: Source;
}): Promise<Contestant> {
  const { folder, source } = options;
  await mkdir(folder, { recursive: true });
  const maildir = join(folder, 'Maildir');
  await makeMaildir(maildir);
  const lines = [
    '[retriever]',
    'type = SimplePOP3Retriever',
    'server = ' + source.host,
    'port = ' + source.port,
    'username = ' + source.user,
    'password = ' + password,
    '[destination]',
    'type = Maildir',
    'path = ' + maildir + '/',
    'user = mail', // getmail6 does not deliver as root; the Maildirs of the lab are this user's
    '[options]',
    'delete = true',
    'verbose = 0',
    '',
  ];
  await writeFile(join(folder, 'getmailrc'), lines.join('\n'), { mode: 0o600 });
  return createOneShot({
    name: 'getmail6',
    user: source.user,
    command: 'getmail',
    args: ['--getmaildir', folder, '--rcfile', 'getmailrc'],
    env: { HOME: folder, LC_ALL: 'C' },
    logFile: join(folder, 'log'),
    arrived: () => countMails(maildir),
  });
}
