// A real dovecot: POP3 (with STLS), POP3S, IMAP (with STARTTLS), IMAPS and LMTP on loopback ports, with Maildirs in the test's folder.
import { readFileSync } from 'node:fs';
import { chmod, chown, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Certificate } from './certificate.ts';
import { startChild } from './child.ts';
import { dovecotConfig } from './dovecot-config.ts';
import type { DovecotSetup } from './dovecot-config.ts';
import { countMails, mailOwner, makeMaildir, putMail, readMails } from './maildir.ts';
import { isListening } from './port.ts';
import { createRealServer } from './real-server.ts';
import type { RealServer } from './real-server.ts';

export type Dovecot = RealServer & {
  readonly host: string;
  readonly pop3: number;
  readonly pop3s: number;
  readonly imap: number;
  readonly imaps: number;
  readonly lmtp: number;
  readonly ca: string;
  readonly caFile: string;
  readonly maildir: (user: string) => string;
  /** Puts `count` copies into new/, without any server; each copy is a mail of its own. */
  readonly put: (user: string, bytes: Uint8Array, count?: number) => Promise<void>;
  /** The raw files of new/ and cur/ with the trace that LMTP put on top; see maildir.ts for taking it off. */
  readonly mails: (user: string) => Promise<Buffer[]>;
  readonly count: (user: string) => Promise<number>;
};

export async function createDovecot(options: {
  readonly folder: string;
  readonly certificate: Certificate;
  readonly freePort: () => Promise<number>;
  /** Name and password; LMTP knows a recipient when the whole address is a name here. */
  readonly users: Readonly<Record<string, string>>;
  readonly extra?: string;
}): Promise<Dovecot> {
  const { folder, certificate, freePort } = options;
  const ports = {
    pop3: await freePort(),
    pop3s: await freePort(),
    imap: await freePort(),
    imaps: await freePort(),
    lmtp: await freePort(),
  };
  const service = await prepareDovecot({
    folder,
    certificate,
    ports,
    users: options.users,
    extra: options.extra ?? '',
  });
  const maildir = (user: string): string => join(folder, 'mail', user.toLowerCase());
  for (const user of Object.keys(options.users)) await makeMaildir(maildir(user));
  return {
    ...service,
    ...ports,
    host: '127.0.0.1',
    ca: certificate.ca,
    caFile: certificate.caFile,
    maildir,
    put: (user, bytes, count) => putMail(maildir(user), bytes, count),
    mails: (user) => readMails(maildir(user)),
    count: (user) => countMails(maildir(user)),
  };
}

/** Writes the files of an instance; also for the one that only checks passwords for postfix. */
export async function prepareDovecot(
  options: DovecotSetup & { readonly users: Readonly<Record<string, string>> },
): Promise<RealServer> {
  const { folder, ports } = options;
  const config = join(folder, 'dovecot.conf');
  const logFile = join(folder, 'log');
  for (const part of ['mail', 'home']) await own(join(folder, part));
  const users = Object.entries(options.users).map(([user, password]) => {
    if (/[:\s]/.test(user + password))
      throw new Error('Cannot use ' + user + ': found a colon or blank, expected none');
    return user.toLowerCase() + ':{PLAIN}' + password + '::::::\n';
  });
  await writeFile(join(folder, 'users'), users.join(''));
  await chmod(join(folder, 'users'), 0o644);
  await writeFile(config, dovecotConfig(options));
  await writeFile(logFile, '');
  return createRealServer({
    name: 'dovecot',
    readLog: () => readFileSync(logFile, 'utf8'),
    launch: () =>
      startChild({
        name: 'dovecot',
        command: 'dovecot',
        args: ['-F', '-c', config],
        logFile,
        ready: async () => (await Promise.all(Object.values(ports).map(isListening))).every(Boolean),
      }),
  });
}

async function own(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await chown(folder, mailOwner.uid, mailOwner.gid);
}
