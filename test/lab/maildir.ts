// Maildirs as files: mail is put in and looked at without any server, so that counts are independent of what is tested.
import { randomBytes } from 'node:crypto';
import { chown, mkdir, readFile, readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '#shared/failure.ts';

/** Debian's fixed user `mail`, which owns every Maildir of the lab: mail servers refuse to deliver as root. */
export const mailOwner = { uid: 8, gid: 8 } as const;

/** Creates `folder`/{tmp,new,cur} when they are missing. */
export async function makeMaildir(folder: string): Promise<void> {
  for (const part of ['', 'tmp', 'new', 'cur']) await makeOwned(join(folder, part));
}

async function makeOwned(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chown(folder, mailOwner.uid, mailOwner.gid);
}

/** The mail appears in new/ at once and whole, `count` times, each a mail of its own. */
export async function putMail(folder: string, bytes: Uint8Array, count = 1): Promise<void> {
  for (let n = 0; n < count; n += 1) {
    // Seconds and microseconds, as servers write them: they number the mails in this order.
    const microseconds = Math.floor((performance.timeOrigin + performance.now()) * 1_000);
    const [seconds, rest] = [Math.floor(microseconds / 1_000_000), microseconds % 1_000_000];
    const name = seconds + '.M' + rest + 'R' + randomBytes(6).toString('hex') + '.lab';
    const temporary = join(folder, 'tmp', name);
    await writeFile(temporary, bytes, { mode: 0o600 });
    await chown(temporary, mailOwner.uid, mailOwner.gid);
    await rename(temporary, join(folder, 'new', name));
  }
}

/** Raw files of new/ and cur/, oldest name first. A Maildir that nobody has made yet is empty. */
export async function readMails(folder: string): Promise<Buffer[]> {
  for (let tries = 0; ; tries += 1) {
    try {
      const files = await listFiles(folder);
      return await Promise.all(files.map((file) => readFile(file)));
    } catch (error) {
      // A server renamed a file between listing and reading.
      if (codeOf(error) !== 'ENOENT' || tries >= 20) throw error;
    }
  }
}

export async function countMails(folder: string): Promise<number> {
  return (await listFiles(folder)).length;
}

async function listFiles(folder: string): Promise<string[]> {
  // new/ before cur/: a mail that moves meanwhile is seen twice, never missed. Its name before the flags stays the same.
  const files = new Map<string, string>();
  for (const part of ['new', 'cur']) {
    const names = await readdir(join(folder, part)).catch((error: unknown) => {
      if (codeOf(error) === 'ENOENT') return [];
      throw error;
    });
    for (const name of names) files.set(name.split(':')[0] ?? name, join(folder, part, name));
  }
  return [...files]
    .map(([name, file]) => ({ key: arrival(name), file }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .map(({ file }) => file);
}

/** Names begin with seconds and, after M, microseconds without leading zeros. */
function arrival(name: string): string {
  const [, seconds = '', fraction = ''] = /^(\d+)\.(?:\D?\w*?M)?(\d*)/.exec(name) ?? [];
  return seconds.padStart(12, '0') + fraction.padStart(24, '0') + name;
}

/**
 * Takes off what the final server put on top: Return-Path, Delivered-To, X-Original-To, and one Received with its
 * continuation lines. Earlier Received lines belong to the mail.
 */
export function withoutTrace(bytes: Buffer): Buffer {
  const pattern = /^(?:(?:Return-Path|Delivered-To|X-Original-To):[^\n]*\n)*(?:Received:[^\n]*\n(?:[ \t][^\n]*\n)*)?/i;
  // latin1 keeps one character a byte; the trace is short, so only the beginning is looked at.
  const trace = pattern.exec(bytes.subarray(0, 16_384).toString('latin1'))?.[0] ?? '';
  return bytes.subarray(trace.length);
}

/** Every LF that has no CR before it gets one: the form a mail has on the wire. */
export function withCrlf(bytes: Buffer): Buffer {
  return Buffer.from(bytes.toString('latin1').replaceAll(/\r?\n/g, '\r\n'), 'latin1');
}
