// fetchmail: to an MDA (its fast way), to an SMTP server, or by LMTP.
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Contestant, Source } from './contestant.ts';
import { password } from './mailbox.ts';
import { createOneShot } from './one-shot.ts';

export type FetchmailTarget =
  | { readonly kind: 'mda' }
  | {
      readonly kind: 'smtp' | 'lmtp';
      readonly host: string;
      readonly port: number;
      readonly recipient: string;
      readonly arrived: () => number | Promise<number>;
    };

export async function createFetchmail(options: {
  readonly folder: string;
  readonly source: Source;
  readonly target: FetchmailTarget;
}): Promise<Contestant> {
  const { folder, source, target } = options;
  await mkdir(folder, { recursive: true });
  const mbox = join(folder, 'mbox');
  const configuration = join(folder, 'fetchmailrc');
  const delivery =
    target.kind === 'mda'
      ? ["mda '/bin/cat >> " + mbox + "'"]
      : [
          (target.kind === 'lmtp' ? 'lmtp ' : '') + "smtphost '" + target.host + '/' + target.port + "'",
          "smtpname '" + target.recipient + "'",
        ];
  const lines = [
    'set no bouncemail',
    "poll '" + source.host + "' service " + source.port + ' protocol POP3 no dns',
    "user '" + source.user + "' password '" + password + "' is root here",
    "sslproto '' fetchall no keep no rewrite",
    ...delivery,
    '',
  ];
  await writeFile(configuration, lines.join('\n'), { mode: 0o600 });
  await chmod(configuration, 0o600);
  await writeFile(mbox, '');
  return createOneShot({
    name: 'fetchmail',
    user: source.user,
    command: 'fetchmail',
    args: ['--nodetach', '--fetchmailrc', configuration, '--pidfile', join(folder, 'pid'), '--daemon', '0'],
    env: { HOME: folder, FETCHMAILHOME: folder, LC_ALL: 'C' },
    logFile: join(folder, 'log'),
    arrived: target.kind === 'mda' ? () => countInMbox(mbox) : target.arrived,
  });
}

async function countInMbox(file: string): Promise<number> {
  const bytes = await readFile(file);
  let count = 0;
  for (let at = bytes.indexOf('\nX-Bench: '); at >= 0; at = bytes.indexOf('\nX-Bench: ', at + 1)) count += 1;
  return count;
}
