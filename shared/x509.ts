// Makes certificates (RFC 5280): of a server, signed by itself or by an authority, and of that authority.
// Promise: one for a server is good for its names and for nothing else; an authority signs servers, and no other authority.
import { createHash, createPublicKey, randomBytes, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { isIP, isIPv6 } from 'node:net';
import { bits, boolean, integer, nothing, octets, oid, sequence, set, tagged, time, utf8 } from './der.ts';
import type { Der } from './der.ts';

export type CertificateRequest = {
  /** Common name of the subject; cut to 64 characters. */
  readonly subject: string;
  /** Private key of the subject. */
  readonly key: KeyObject;
  /** Milliseconds since 1970. */
  readonly from: number;
  readonly to: number;
  /** DNS names and addresses of a server; `authority`: it signs those of servers. */
  readonly use: { readonly names: readonly string[] } | 'authority';
  /** Who signs; the subject itself when absent. */
  readonly issuer?: { readonly subject: string; readonly key: KeyObject };
};

/** PEM text, one line end behind it. RSA and P-256 keys. */
export function makeX509(request: CertificateRequest): string {
  const { use, key } = request;
  const issuer = request.issuer ?? { subject: request.subject, key };
  const publicKey = publicKeyOf(key);
  const algorithm = algorithmOf(issuer.key);
  const extensions = [
    ...(use === 'authority' ? authorityExtensions() : serverExtensions(use.names)),
    extension('2.5.29.14', false, octets(keyIdOf(publicKey))), // subjectKeyIdentifier
    ...(request.issuer === undefined
      ? []
      : [extension('2.5.29.35', false, sequence(tagged(0, keyIdOf(publicKeyOf(issuer.key)), false)))]), // authorityKeyIdentifier
  ];
  const signed = sequence(
    tagged(0, integer(Buffer.of(2)), true),
    integer(serialNumber()),
    algorithm,
    nameOf(issuer.subject),
    sequence(time(request.from), time(request.to)),
    nameOf(request.subject),
    publicKey,
    tagged(3, sequence(...extensions), true),
  );
  const whole = sequence(signed, algorithm, bits(sign('sha256', signed, issuer.key)));
  const lines = whole.toString('base64').replaceAll(/(.{64})(?=.)/g, '$1\n');
  return '-----BEGIN CERTIFICATE-----\n' + lines + '\n-----END CERTIFICATE-----\n';
}

const publicKeyOf = (key: KeyObject): Buffer => createPublicKey(key).export({ type: 'spki', format: 'der' });
const keyIdOf = (publicKey: Buffer): Buffer => createHash('sha1').update(publicKey).digest();
const nameOf = (text: string): Der => sequence(set(sequence(oid('2.5.4.3'), utf8(text.slice(0, 64)))));

function algorithmOf(key: KeyObject): Der {
  return key.asymmetricKeyType === 'ec'
    ? sequence(oid('1.2.840.10045.4.3.2')) // ecdsa-with-SHA256
    : sequence(oid('1.2.840.113549.1.1.11'), nothing()); // sha256WithRSAEncryption
}

/** RFC 5280 section 4.1.2.2: positive, at most 20 bytes. */
function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes;
}

function extension(id: string, critical: boolean, content: Der): Der {
  return sequence(oid(id), ...(critical ? [boolean(true)] : []), octets(content));
}

function authorityExtensions(): readonly Der[] {
  return [
    extension('2.5.29.19', true, sequence(boolean(true), integer(Buffer.of(0)))), // basicConstraints: pathlen 0
    extension('2.5.29.15', true, bits(Buffer.of(0x06), 1)), // keyUsage: keyCertSign, cRLSign
  ];
}

function serverExtensions(names: readonly string[]): readonly Der[] {
  const alternatives = names.map((name) =>
    isIP(name) === 0 ? tagged(2, Buffer.from(name, 'latin1'), false) : tagged(7, addressBytes(name), false),
  );
  return [
    extension('2.5.29.19', true, sequence()), // basicConstraints: no authority
    extension('2.5.29.15', true, bits(Buffer.of(0xa0), 5)), // keyUsage: digitalSignature, keyEncipherment
    extension('2.5.29.37', false, sequence(oid('1.3.6.1.5.5.7.3.1'))), // extKeyUsage: serverAuth
    extension('2.5.29.17', false, sequence(...alternatives)), // subjectAltName
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
