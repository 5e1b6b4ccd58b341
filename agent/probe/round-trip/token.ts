// The line by which we know our own probe mail again (rule of safety 6): an id that is used once, and proof that we wrote it.
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

export const tokenHeader = 'X-Mailferry-Probe';
const form = /^1 ([A-Za-z0-9_-]{16}) ([A-Za-z0-9_-]{43})$/;

export type Token = { readonly id: string; readonly line: string };

export function createToken(key: Uint8Array): Token {
  const id = randomBytes(12).toString('base64url');
  return { id, line: tokenHeader + ': 1 ' + id + ' ' + proofOf(key, id).toString('base64url') };
}

/** The id, when this key's owner wrote the value; a relay may have folded the line. */
export function readToken(key: Uint8Array, value: string): string | undefined {
  const [, id, proof] = form.exec(value.trim().replaceAll(/\s+/g, ' ')) ?? [];
  if (id === undefined || proof === undefined) return undefined;
  const [found, expected] = [Buffer.from(proof, 'base64url'), proofOf(key, id)];
  return found.length === expected.length && timingSafeEqual(found, expected) ? id : undefined;
}

/** The version is in it: a later form is never taken for this one. */
function proofOf(key: Uint8Array, id: string): Buffer {
  return createHmac('sha256', key).update('mailferry probe 1\n').update(id).digest();
}
