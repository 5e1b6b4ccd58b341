// Can signatures of the domain be verified (RFC 6376 section 3.6.1, RFC 8301, RFC 8463)?
import { createPublicKey } from 'node:crypto';
import type { Finding, Level } from '../check.ts';
import { readTags, resolverRemedy, speakOf } from './look.ts';
import type { Look } from './look.ts';

export async function checkDkim(domain: string, selectors: readonly string[], look: Look): Promise<readonly Finding[]> {
  return Promise.all(selectors.map((selector) => checkSelector(domain, selector, look)));
}

async function checkSelector(domain: string, selector: string, look: Look): Promise<Finding> {
  const speak = speakOf(domain, 'dkim');
  const say = (level: Level, text: string, remedy?: string): Finding => speak(level, selector + ': ' + text, remedy);
  const found = await look(selector + '._domainkey.' + domain, 'TXT');
  if (found.kind === 'unknown') return say('unknown', found.text, resolverRemedy);
  const remedy = 'Publish the record as the provider shows it, in one TXT record.';
  if (found.kind === 'none')
    return say('critical', 'no key is published: signatures with it cannot be verified', remedy);
  if (found.values.length > 1)
    return say('critical', found.values.length + ' records: receivers may take any of them', remedy);
  const tags = readTags(found.values[0] ?? '');
  if (tags === undefined) return say('critical', 'the record cannot be read', remedy);
  const version = tags.get('v');
  if (version !== undefined && version !== 'DKIM1') return say('critical', 'unknown version ' + version, remedy);
  const key = tags.get('p')?.replaceAll(/\s+/g, '');
  if (key === undefined) return say('critical', 'the record has no key (p=)', remedy);
  if (key === '')
    return say('critical', 'the key is revoked (p= is empty)', 'Sign with another selector, and name that one here.');
  const hashes = tags
    .get('h')
    ?.split(':')
    .map((one) => one.trim());
  if (hashes !== undefined && !hashes.includes('sha256'))
    return say(
      'critical',
      'allows ' + hashes.join(', ') + ' alone, which receivers no longer accept (RFC 8301)',
      remedy,
    );
  const services = tags
    .get('s')
    ?.split(':')
    .map((one) => one.trim());
  if (services !== undefined && !services.includes('*') && !services.includes('email'))
    return say('critical', 'the key is not for mail (s=' + services.join(':') + ')', remedy);
  return judgeKey(key, tags, say, remedy);
}

function judgeKey(
  key: string,
  tags: ReadonlyMap<string, string>,
  say: (level: Level, text: string, remedy?: string) => Finding,
  remedy: string,
): Finding {
  const kind = tags.get('k') ?? 'rsa';
  const bytes = Buffer.from(key, 'base64');
  const isBase64 = /^[A-Za-z0-9+/]+={0,2}$/.test(key);
  if (kind === 'ed25519')
    return isBase64 && bytes.length === 32
      ? testing(tags, say, 'an Ed25519 key')
      : say('critical', 'the key is damaged', remedy);
  if (kind !== 'rsa') return say('warning', 'a key of the unknown kind ' + kind, remedy);
  const bits = isBase64 ? rsaBits(bytes) : undefined;
  if (bits === undefined) return say('critical', 'the key is damaged, perhaps cut off', remedy);
  if (bits < 1_024)
    return say(
      'critical',
      'an RSA key of ' + bits + ' bits, which receivers do not accept (RFC 8301)',
      'Let the provider make a key of 2048 bits.',
    );
  if (bits < 2_048)
    return say('info', 'an RSA key of ' + bits + ' bits; 2048 are wanted', 'Let the provider make a key of 2048 bits.');
  return testing(tags, say, 'an RSA key of ' + bits + ' bits');
}

function testing(
  tags: ReadonlyMap<string, string>,
  say: (level: Level, text: string, remedy?: string) => Finding,
  text: string,
): Finding {
  const isTest =
    tags
      .get('t')
      ?.split(':')
      .some((flag) => flag.trim() === 'y') ?? false;
  return isTest
    ? say(
        'info',
        text + ', marked as a test (t=y): receivers pass over signatures that fail',
        'Remove t=y when signing works.',
      )
    : say('ok', text);
}

/** Undefined for what is no RSA key. SubjectPublicKeyInfo, or the bare key that some publish. */
function rsaBits(bytes: Buffer): number | undefined {
  for (const type of ['spki', 'pkcs1'] as const) {
    try {
      return createPublicKey({ key: bytes, format: 'der', type }).asymmetricKeyDetails?.modulusLength;
    } catch {
      // The other form, or none.
    }
  }
  return undefined;
}
