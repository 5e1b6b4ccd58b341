// A text that only one agent can read: sealed to its public key, passed on by a broker and a collector's database that cannot
// open it. X25519, HKDF-SHA-256 and AES-256-GCM of Node. Promise: what was changed on the way, or was meant for another agent
// or another purpose (`context`), does not open.
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  randomBytes,
} from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { UserError } from './failure.ts';

const keyMark = 'x25519:';
const boxMark = 'MS1.';
const [keyBytes, nonceBytes, tagBytes] = [32, 12, 16];
/** RFC 8410 section 4: what stands before the 32 bytes of a public key. */
const spkiPrefix = Buffer.from('302a300506032b656e032100', 'hex');

/** How a configuration is bound to its agent. */
export const configureContext = (agent: { readonly tenant: string; readonly agent: string }): string =>
  'configure ' + agent.tenant + '/' + agent.agent;

export type SealKey = {
  /** To be told to everybody. */ readonly publicKey: string;
  /** PEM. */ readonly privateKey: string;
};

export function createSealKey(): SealKey {
  const { privateKey } = generateKeyPairSync('x25519');
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  return { publicKey: publicKeyOf(pem), privateKey: pem };
}

/** Throws when it is no X25519 key. */
export function publicKeyOf(privateKey: string): string {
  const key = createPrivateKey(privateKey);
  if (key.asymmetricKeyType !== 'x25519')
    throw new Error('Cannot use the key: it is ' + key.asymmetricKeyType + ', expected x25519');
  return keyMark + rawOf(createPublicKey(key)).toString('base64url');
}

/** For people to compare: four groups of four. */
export function fingerprintOfKey(publicKey: string): string {
  const digest = createHash('sha256').update(publicKey).digest('hex').slice(0, 16);
  return (digest.match(/.{4}/g) ?? []).join('-');
}

/** Throws UserError when `to` is no public key. */
export function seal(options: { readonly to: string; readonly text: string; readonly context: string }): string {
  const receiver = readPublicKey(options.to);
  const { publicKey, privateKey } = generateKeyPairSync('x25519');
  const own = rawOf(publicKey);
  const nonce = randomBytes(nonceBytes);
  const key = deriveKey(diffieHellman({ privateKey, publicKey: receiver }), own, rawOf(receiver));
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(options.context));
  const box = Buffer.concat([cipher.update(options.text, 'utf8'), cipher.final()]);
  return boxMark + Buffer.concat([own, nonce, cipher.getAuthTag(), box]).toString('base64url');
}

/** Throws UserError when it was not sealed to this key and for this purpose, or has been changed. */
export function unseal(options: { readonly key: string; readonly sealed: string; readonly context: string }): string {
  const { sealed } = options;
  const refuse = (state: string): UserError =>
    new UserError('Cannot open what was sealed: ' + state + ', expected a text sealed to the key of this agent');
  if (!sealed.startsWith(boxMark) || !/^[A-Za-z0-9_-]+$/.test(sealed.slice(boxMark.length))) throw refuse('it is none');
  const bytes = Buffer.from(sealed.slice(boxMark.length), 'base64url');
  if (bytes.length < keyBytes + nonceBytes + tagBytes) throw refuse('a part is missing');
  const sender = bytes.subarray(0, keyBytes);
  const nonce = bytes.subarray(keyBytes, keyBytes + nonceBytes);
  const tag = bytes.subarray(keyBytes + nonceBytes, keyBytes + nonceBytes + tagBytes);
  const privateKey = createPrivateKey(options.key);
  try {
    const publicKey = readPublicKey(keyMark + sender.toString('base64url'));
    const key = deriveKey(diffieHellman({ privateKey, publicKey }), sender, rawOf(createPublicKey(privateKey)));
    const cipher = createDecipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(options.context)).setAuthTag(tag);
    const box = bytes.subarray(keyBytes + nonceBytes + tagBytes);
    return Buffer.concat([cipher.update(box), cipher.final()]).toString('utf8');
  } catch {
    throw refuse('it does not fit this agent, or was changed on the way');
  }
}

function deriveKey(shared: Buffer, sender: Uint8Array, receiver: Uint8Array): Buffer {
  return Buffer.from(hkdfSync('sha256', shared, Buffer.concat([sender, receiver]), 'mailferry sealed 1', 32));
}

function readPublicKey(text: string): KeyObject {
  const raw = text.startsWith(keyMark) ? Buffer.from(text.slice(keyMark.length), 'base64url') : Buffer.alloc(0);
  if (raw.length !== keyBytes)
    throw new UserError(
      'Cannot seal to ' + JSON.stringify(text.slice(0, 60)) + ': this is no key, expected the public key of an agent',
    );
  return createPublicKey({ key: Buffer.concat([spkiPrefix, raw]), format: 'der', type: 'spki' });
}

function rawOf(key: KeyObject): Buffer {
  return key.export({ type: 'spki', format: 'der' }).subarray(spkiPrefix.length);
}
