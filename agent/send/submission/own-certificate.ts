// The certificate that the submission server makes for itself, so that no password need travel in clear on the first day.
// Promise: it is made on the first start and renewed in time with the same key; key and certificate in the state folder are
// readable by their owner alone, and whole after a power cut.
import { X509Certificate, createPrivateKey, generateKeyPair } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { codeOf } from '#shared/failure.ts';
import { makeX509 } from '#shared/x509.ts';
import { writeSecretFile } from '../../accounts/secret-file.ts';

/** PEM texts. */
export type Tls = { readonly key: string; readonly cert: string };

const dayMs = 86_400_000;
/** Apple's systems trust no certificate of a server that is valid for more than 825 days. */
const validDays = 820;
const renewDays = 60;

/** Reads key and certificate of the folder, and makes what is missing, broken, too old, or not for these names. */
export async function openOwnCertificate(options: {
  readonly folder: string;
  /** Of the names of its files; `submission` when absent. */
  readonly prefix?: string;
  /** DNS names and addresses; the first one is the subject. */
  readonly names: readonly string[];
  /** Wall clock. */
  readonly now: () => number;
}): Promise<Tls & { readonly made: boolean }> {
  const { folder, names, now, prefix = 'submission' } = options;
  const keyFile = join(folder, prefix + '-key.pem');
  const certFile = join(folder, prefix + '-cert.pem');
  const [oldKey, oldCert] = [await readIfThere(keyFile), await readIfThere(certFile)];
  const known = readKey(oldKey);
  if (known !== undefined && isGood(oldCert, known, names, now())) return { key: oldKey, cert: oldCert, made: false };
  const key = known ?? (await makeKey());
  const keyText = key.export({ type: 'pkcs8', format: 'pem' }).toString();
  const cert = makeCertificate({ key, names, now: now() });
  // The key first: a certificate without its key is made again, a key without a certificate is used.
  if (known === undefined) await writeSecretFile(keyFile, keyText.trimEnd());
  await writeSecretFile(certFile, cert.trimEnd());
  return { key: keyText, cert, made: true };
}

function isGood(text: string, key: KeyObject, names: readonly string[], now: number): boolean {
  let cert: X509Certificate;
  try {
    cert = new X509Certificate(text);
  } catch {
    return false;
  }
  if (!cert.checkPrivateKey(key)) return false;
  const fits = (name: string): boolean =>
    (isIP(name) === 0 ? cert.checkHost(name, { wildcards: false }) : cert.checkIP(name)) !== undefined;
  return names.every(fits) && Date.parse(cert.validFrom) <= now && Date.parse(cert.validTo) >= now + renewDays * dayMs;
}

function readKey(text: string): KeyObject | undefined {
  try {
    return createPrivateKey(text);
  } catch {
    return undefined;
  }
}

/** RSA: what prints and scans in an office is often too old for other keys. */
async function makeKey(): Promise<KeyObject> {
  const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2_048 });
  return privateKey;
}

/** Signed by itself, for a server, and good for nothing else: whoever trusts it trusts no other name with it. */
function makeCertificate(options: {
  readonly key: KeyObject;
  readonly names: readonly string[];
  readonly now: number;
}): string {
  const { key, names, now } = options;
  // A day ago: the clocks of a client and of this machine may differ.
  const [from, to] = [now - dayMs, now + (validDays - 1) * dayMs];
  return makeX509({ subject: names[0] ?? 'localhost', key, from, to, use: { names } });
}

async function readIfThere(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return '';
    throw error;
  }
}
