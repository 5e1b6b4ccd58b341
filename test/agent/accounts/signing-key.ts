// A key for access tokens, in the two forms that the servers want.
import { generateKeyPairSync } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

export function generateKey() {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const kid = 'lab';
  return { jwk: { ...privateKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'ES256' }, kid, publicKey };
}

export function exportSpki(key: KeyObject): string {
  return key.export({ type: 'spki', format: 'pem' }).toString();
}
