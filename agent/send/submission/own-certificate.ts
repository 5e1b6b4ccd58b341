// The certificate that the submission server makes for itself, so that no password need travel in clear on the first day.
// Promise: it is made on the first start and renewed in time with the same key; key and certificate in the state folder are
// readable by their owner alone, and whole after a power cut.
import { X509Certificate, createHash, createPrivateKey, createPublicKey, generateKeyPair } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { randomBytes, sign } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { isIP, isIPv6 } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { codeOf } from '#shared/failure.ts';
import { writeSecretFile } from '../../accounts/secret-file.ts';
import { bits, boolean, integer, nothing, octets, oid, sequence, set, tagged, time, utf8 } from './der.ts';
import type { Der } from './der.ts';

/** PEM texts. */
export type Tls = { readonly key: string; readonly cert: string };

const dayMs = 86_400_000;
/** Apple's systems trust no certificate of a server that is valid for more than 825 days. */
const validDays = 820;
const renewDays = 60;

/** Reads key and certificate of the folder, and makes what is missing, broken, too old, or not for these names. */
export async function openOwnCertificate(options: {
  readonly folder: string;
  /** DNS names and addresses; the first one is the subject. */
  readonly names: readonly string[];
  /** Wall clock. */
  readonly now: () => number;
}): Promise<Tls & { readonly made: boolean }> {
  const { folder, names, now } = options;
  const keyFile = join(folder, 'submission-key.pem');
  const certFile = join(folder, 'submission-cert.pem');
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
export function makeCertificate(options: {
  readonly key: KeyObject;
  readonly names: readonly string[];
  readonly now: number;
}): string {
  const { key, names, now } = options;
  const publicKey = createPublicKey(key).export({ type: 'spki', format: 'der' });
  const algorithm = sequence(oid('1.2.840.113549.1.1.11'), nothing()); // sha256WithRSAEncryption
  const subject = sequence(set(sequence(oid('2.5.4.3'), utf8((names[0] ?? 'localhost').slice(0, 64)))));
  // A day ago: the clocks of a client and of this machine may differ.
  const validity = sequence(time(now - dayMs), time(now + (validDays - 1) * dayMs));
  const signed = sequence(
    tagged(0, integer(Buffer.of(2)), true),
    integer(serialNumber()),
    algorithm,
    subject,
    validity,
    subject,
    publicKey,
    tagged(3, sequence(...extensionsOf(names, publicKey)), true),
  );
  const whole = sequence(signed, algorithm, bits(sign('sha256', signed, key)));
  const lines = whole.toString('base64').replaceAll(/(.{64})(?=.)/g, '$1\n');
  return '-----BEGIN CERTIFICATE-----\n' + lines + '\n-----END CERTIFICATE-----\n';
}

/** RFC 5280 section 4.1.2.2: positive, at most 20 bytes. */
function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes;
}

function extensionsOf(names: readonly string[], publicKey: Buffer): readonly Der[] {
  const extension = (id: string, critical: boolean, content: Der): Der =>
    sequence(oid(id), ...(critical ? [boolean(true)] : []), octets(content));
  const alternatives = names.map((name) =>
    isIP(name) === 0 ? tagged(2, Buffer.from(name, 'latin1'), false) : tagged(7, addressBytes(name), false),
  );
  const keyId = createHash('sha1').update(publicKey).digest();
  return [
    extension('2.5.29.19', true, sequence()), // basicConstraints: no authority
    extension('2.5.29.15', true, bits(Buffer.of(0xa0), 5)), // keyUsage: digitalSignature, keyEncipherment
    extension('2.5.29.37', false, sequence(oid('1.3.6.1.5.5.7.3.1'))), // extKeyUsage: serverAuth
    extension('2.5.29.17', false, sequence(...alternatives)), // subjectAltName
    extension('2.5.29.14', false, octets(keyId)), // subjectKeyIdentifier
  ];
}

function addressBytes(address: string): Buffer {
  if (!isIPv6(address)) return Buffer.from(address.split('.').map(Number));
  // The URL parser writes an IPv6 address in its shortest form without dots.
  const [head = '', tail] = new URL('http://[' + address + ']').hostname.slice(1, -1).split('::');
  const groups = (text: string | undefined): readonly string[] =>
    text === undefined || text === '' ? [] : text.split(':');
  const zeros = 8 - groups(head).length - groups(tail).length;
  const all = [...groups(head), ...Array.from({ length: tail === undefined ? 0 : zeros }, () => '0'), ...groups(tail)];
  return Buffer.from(all.map((group) => group.padStart(4, '0')).join(''), 'hex');
}

async function readIfThere(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return '';
    throw error;
  }
}
