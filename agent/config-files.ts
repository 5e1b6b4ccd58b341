// The files and variables that a configuration names: secrets, certificates, keys. What is wrong with them is found before
// anything is opened, so that one look shows all of it.
import { X509Certificate, createHash, createPrivateKey } from 'node:crypto';
import { statSync } from 'node:fs';
import type { Loaded, Secret } from '#shared/config.ts';
import type { Path } from '#shared/config-problems.ts';
import { UserError, describe } from '#shared/failure.ts';
import { isRecord } from '#shared/json.ts';
import { readPem } from '#shared/pem.ts';

type Named = { readonly path: Path; readonly kind: 'secret'; readonly secret: Secret } | NamedPem;
type NamedPem = { readonly path: Path; readonly kind: 'pem'; readonly file: string };

/** In the order of the file; empty when every one can be read and fits. */
export function findFileProblems(loaded: Loaded<unknown>): readonly UserError[] {
  return listNamed(loaded.value, []).flatMap((named) => {
    try {
      if (named.kind === 'secret') loaded.secret(named.path, named.secret);
      else checkPem(loaded, named);
      return [];
    } catch (error) {
      if (error instanceof UserError) return [error];
      throw error;
    }
  });
}

/** Secret files that others on this machine may read: the option and the file. */
export function findOpenSecrets(loaded: Loaded<unknown>): readonly { readonly path: Path; readonly file: string }[] {
  return listNamed(loaded.value, []).flatMap((named) => {
    if (named.kind !== 'secret' || !('file' in named.secret)) return [];
    const file = loaded.path(named.secret.file);
    const mode = statSync(file, { throwIfNoEntry: false })?.mode ?? 0;
    return (mode & 0o077) === 0 ? [] : [{ path: named.path, file }];
  });
}

function listNamed(value: unknown, path: Path): readonly Named[] {
  if (Array.isArray(value)) return value.flatMap((item: unknown, index) => listNamed(item, [...path, index]));
  if (!isRecord(value)) return [];
  const secret = readSecretShape(value);
  if (secret !== undefined) return [{ path, kind: 'secret', secret }];
  return Object.entries(value).flatMap(([key, child]): readonly Named[] => {
    if (/^(?:ca|cert|key)File$/.test(key) && typeof child === 'string')
      return [{ path: [...path, key], kind: 'pem', file: child }];
    return listNamed(child, [...path, key]);
  });
}

/** {file: PATH} or {env: NAME}: nothing else in a configuration has that shape. */
function readSecretShape(value: Readonly<Record<string, unknown>>): Secret | undefined {
  const [only, ...more] = Object.entries(value);
  if (only === undefined || more.length > 0) return undefined;
  const [key, text] = only;
  if (typeof text !== 'string') return undefined;
  if (key === 'file') return { file: text };
  return key === 'env' ? { env: text } : undefined;
}

function checkPem(loaded: Loaded<unknown>, { path, file }: NamedPem): void {
  const text = readPem(loaded, path, file);
  const option = String(path.at(-1));
  const full = loaded.path(file);
  try {
    readAs(option, text);
  } catch (error) {
    const what = option === 'keyFile' ? 'a private key without a passphrase' : 'a certificate';
    throw loaded.refuse(path, full + ' which is none: ' + describe(error), 'a PEM file of ' + what);
  }
  if (option === 'certFile') checkPair(loaded, path, text);
}

/** Throws what OpenSSL says when it is not that. */
const readAs = (option: string, text: string): unknown =>
  option === 'keyFile' ? createPrivateKey(text) : new X509Certificate(text);

/** The key stands beside the certificate. */
function checkPair(loaded: Loaded<unknown>, path: Path, certificate: string): void {
  const beside = path.slice(0, -1).reduce<unknown>((value, part) => {
    if (Array.isArray(value)) return (value as readonly unknown[])[Number(part)];
    return isRecord(value) ? value[String(part)] : undefined;
  }, loaded.value);
  const keyFile = isRecord(beside) ? beside['keyFile'] : undefined;
  if (typeof keyFile !== 'string') return;
  let key: ReturnType<typeof createPrivateKey>;
  try {
    key = createPrivateKey(readPem(loaded, [...path.slice(0, -1), 'keyFile'], keyFile));
  } catch {
    return; // told at keyFile
  }
  if (new X509Certificate(certificate).checkPrivateKey(key)) return;
  throw loaded.refuse(path, 'a certificate for another key than that of keyFile', 'key and certificate of one pair');
}

/** Every secret that the configuration names and that can be read: what must not stand in a text that leaves the house. */
export function readSecrets(loaded: Loaded<unknown>): readonly string[] {
  return listNamed(loaded.value, []).flatMap((named) => {
    if (named.kind !== 'secret') return [];
    try {
      return [loaded.secret(named.path, named.secret)];
    } catch (error) {
      if (error instanceof UserError) return [];
      throw error;
    }
  });
}

/**
 * Options of the top level with a mark of what the files and variables under them hold: another mark, another content. Without
 * the secrets of mailboxes and relays: those are read again at each login, and the agent itself writes new tokens there.
 */
export function markFiles(loaded: Loaded<unknown>): ReadonlyMap<string, string> {
  const hashes = new Map<string, ReturnType<typeof createHash>>();
  for (const named of listNamed(loaded.value, [])) {
    const option = String(named.path[0]);
    if (named.kind === 'secret' && (option === 'accounts' || option === 'relays')) continue;
    const hash = hashes.get(option) ?? createHash('sha256');
    hashes.set(option, hash);
    hash.update(JSON.stringify(named) + '\0');
    try {
      hash.update(
        named.kind === 'secret' ? loaded.secret(named.path, named.secret) : readPem(loaded, named.path, named.file),
      );
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
    }
  }
  return new Map([...hashes].map(([option, hash]) => [option, hash.digest('hex')]));
}
