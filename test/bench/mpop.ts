// mpop writing a Maildir; it pipelines when the server says that it may.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { countMails, makeMaildir } from '../lab/maildir.ts';
import type { Contestant, Source } from './contestant.ts';
import { password } from './mailbox.ts';
import { createOneShot } from './one-shot.ts';

export async function createMpop(options: { readonly folder: string; readonly source: Source }): Promise<Contestant> {
  const { folder, source } = options;
  await mkdir(folder, { recursive: true });
  const maildir = join(folder, 'Maildir');
  await makeMaildir(maildir);
  const configuration = join(folder, 'mpoprc');
  const lines = [
    'account default',
    'host ' + source.host,
    'port ' + source.port,
    'user ' + source.user,
    'password ' + password,
    'auth user',
    'tls off',
    'keep off',
    'delivery maildir ' + maildir,
    'uidls_file ' + join(folder, 'uidls'),
    '',
  ];
  await writeFile(configuration, lines.join('\n'), { mode: 0o600 });
  return createOneShot({
    name: 'mpop',
    user: source.user,
    command: 'mpop',
    args: ['--quiet', '--file=' + configuration],
    env: { HOME: folder, LC_ALL: 'C' },
    logFile: join(folder, 'log'),
    arrived: () => countMails(maildir),
  });
}
