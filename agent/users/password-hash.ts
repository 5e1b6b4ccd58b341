// Passwords as they are kept: scrypt with a salt of its own. Promise: a hash says nothing about the password to whoever reads
// it, and comparing takes the same time whatever differs.
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';

const parameters = { N: 16_384, r: 8, p: 1 } as const;
const keyBytes = 32;
/** A hash from elsewhere must not make us use gigabytes, or minutes. */
const limits = { N: 131_072, r: 16, p: 4 } as const;

/** `scrypt$N$r$p$SALT$KEY`, both in base64url. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16);
  const { N, r, p } = parameters;
  const key = await derive(password, salt, parameters);
  return ['scrypt', N, r, p, salt.toString('base64url'), key.toString('base64url')].join('$');
}

/** False too for what is no hash of ours. */
export async function isPassword(password: string, hash: string): Promise<boolean> {
  const parts = decodeHash(hash);
  if (parts === undefined) return false;
  const key = await derive(password, parts.salt, parts);
  return timingSafeEqual(key, parts.key);
}

export const isHash = (text: string): boolean => decodeHash(text) !== undefined;

/** 20 letters and digits that are not mistaken for each other, in groups: about 96 bits. */
export function makePassword(): string {
  const letters = 'abcdefghjkmnpqrstuvwxyz23456789';
  const picked = Array.from({ length: 20 }, () => letters[pick(letters.length)]);
  return picked.join('').replaceAll(/(.{5})(?=.)/g, '$1-');
}

/** Even: bytes beyond the last whole round are thrown away. */
function pick(count: number): number {
  for (;;) {
    const [byte = 255] = randomBytes(1);
    if (byte < 256 - (256 % count)) return byte % count;
  }
}

type Cost = { readonly N: number; readonly r: number; readonly p: number };

function derive(password: string, salt: Buffer, { N, r, p }: Cost): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  // NFKC: the same letters typed on another system are the same password.
  scrypt(password.normalize('NFKC'), salt, keyBytes, { N, r, p, maxmem: 256 * N * r + 1_048_576 }, (error, key) => {
    if (error === null) resolve(key);
    else reject(error);
  });
  return promise;
}

function decodeHash(text: string): (Cost & { readonly salt: Buffer; readonly key: Buffer }) | undefined {
  const found = /^scrypt\$(\d{1,7})\$(\d{1,3})\$(\d{1,3})\$([A-Za-z0-9_-]{16,64})\$([A-Za-z0-9_-]{43})$/.exec(text);
  if (found === null) return undefined;
  const [N, r, p] = [Number(found[1]), Number(found[2]), Number(found[3])];
  const powerOfTwo = N >= 2 && (N & (N - 1)) === 0;
  if (!powerOfTwo || N > limits.N || r < 1 || r > limits.r || p < 1 || p > limits.p) return undefined;
  return { N, r, p, salt: Buffer.from(found[4] ?? '', 'base64url'), key: Buffer.from(found[5] ?? '', 'base64url') };
}
