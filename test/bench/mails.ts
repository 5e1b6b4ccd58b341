// Mails that cost nothing to put into a mailbox: files that are made once and linked.
import { randomBytes } from 'node:crypto';
import { chown, link, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mailOwner } from '../lab/maildir.ts';

export type Mails = {
  /** Puts `count` mails into a Maildir, each a mail of its own for a server; more than there are files begin anew. */
  readonly put: (maildir: string, count: number) => Promise<void>;
};

/**
 * `count` files of `sizeBytes` each, in `folder`, which must be on the file system of the Maildirs; with `bytes` all of them
 * are this mail.
 */
export async function createMails(options: {
  readonly folder: string;
  readonly count: number;
  readonly sizeBytes: number;
  readonly bytes?: Buffer;
}): Promise<Mails> {
  const { bytes, folder, count, sizeBytes } = options;
  await mkdir(folder, { recursive: true });
  const files: string[] = [];
  for (let serial = 1; serial <= count; serial += 1) {
    const file = join(folder, String(serial));
    await writeFile(file, bytes ?? mailOf(serial, sizeBytes), { mode: 0o600 });
    await chown(file, mailOwner.uid, mailOwner.gid);
    files.push(file);
  }
  let put = 0;
  return {
    async put(maildir, wanted) {
      const seconds = Math.floor(Date.now() / 1_000);
      const run = randomBytes(4).toString('hex');
      for (let n = 0; n < wanted; n += 1) {
        put += 1;
        await link(files[n % files.length] ?? '', join(maildir, 'new', seconds + '.M' + put + 'R' + run + '.lab'));
      }
    },
  };
}

/** Text with lines of 76, as a mail with an attachment has; line ends as Maildirs on Unix store them. */
export function mailOf(serial: number, sizeBytes: number): Buffer {
  const head = [
    'Return-Path: <sales@example.net>',
    'Received: from mx.example.net by provider.test; ' + new Date().toUTCString().replace('GMT', '+0000'),
    'From: sales@example.net',
    'To: info@example.org',
    'Subject: Bench ' + serial,
    'Message-ID: <bench-' + serial + '@example.net>',
    'Date: ' + new Date().toUTCString().replace('GMT', '+0000'),
    'X-Bench: ' + serial,
    '',
    '',
  ].join('\n');
  const line = randomBytes(57).toString('base64') + '\n';
  // A line end is two bytes on the wire.
  const lines = Math.max(1, Math.ceil((sizeBytes - head.length) / (line.length + 1)));
  return Buffer.concat([Buffer.from(head), Buffer.alloc(lines * line.length, line)]);
}
