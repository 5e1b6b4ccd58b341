// The collector's own certificate authority, and the broker's certificate that it signs. Promises: an authority is known to
// the agents (by `site`) long before it signs what they must believe; the server's certificate is renewed in time; files
// are readable by their owner alone and whole after a power cut, and a copy of the folder is a whole backup.
//
// An authority lives for 10 years. Two years before its end the next one is made; half a year later the next one signs.
import { X509Certificate, createPrivateKey, generateKeyPairSync } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { fingerprintOf } from '#shared/enrolment.ts';
import { UserError, codeOf, describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import { writeSecretFile } from '#shared/secret-file.ts';
import { makeX509 } from '#shared/x509.ts';

const dayMs = 86_400_000;
export const authorityDays = 3_650;
export const nextDays = 730;
export const announceDays = 180;
export const serverDays = 400;
const renewDays = 100;

export type ServerTls = { readonly key: string; readonly cert: string };
export type Authority = {
  /** Makes what is missing or due. True when the server's certificate, or what the agents should believe, is new. */
  readonly renew: (options?: { readonly next?: boolean }) => Promise<boolean>;
  /** Key, and certificate with that of the authority behind it: an agent that has only its fingerprint must see it. */
  readonly tls: () => ServerTls;
  /** PEM of all that agents should believe. */
  readonly authorities: () => readonly string[];
  /** Of the one that signs now. */
  readonly fingerprint: () => string;
  /** What a person should know; undefined when all is well. */
  readonly problem: () => string | undefined;
};

type Member = {
  readonly number: number;
  readonly cert: string;
  readonly x509: X509Certificate;
  readonly key: KeyObject;
};

export function openAuthority(options: {
  readonly folder: string;
  /** Names and addresses by which agents reach the broker. */
  readonly names: readonly string[];
  readonly now: () => number;
  readonly log: Log;
}): Authority {
  const { folder, names, now, log } = options;
  let members: readonly Member[] = [];
  let tls: ServerTls | undefined;
  let told = '';

  const file = (name: string): string => join(folder, name);
  const newest = (): Member | undefined => members.at(-1);

  /** The newest that the agents have been told of for long enough; in need, the newest that there is. */
  function signing(): Member {
    const alive = members.filter(({ x509 }) => Date.parse(x509.validTo) - now() > serverDays * dayMs);
    const known = alive.filter(
      (member, index) => index === 0 || now() - Date.parse(member.x509.validFrom) >= announceDays * dayMs,
    );
    const chosen = known.at(-1) ?? newest();
    if (chosen === undefined) throw new Error('Cannot sign: there is no authority, expected renew() before');
    return chosen;
  }

  async function makeNext(): Promise<void> {
    const number = (newest()?.number ?? 0) + 1;
    const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    // A day ago: the clocks of an agent and of this machine may differ. The first one needs no time to become known.
    const from = now() - dayMs;
    const cert = makeX509({
      subject: 'mailferry authority ' + number + ' of ' + new Date(now()).toISOString().slice(0, 10),
      key,
      from,
      to: from + authorityDays * dayMs,
      use: 'authority',
    });
    // The key first: a certificate without its key would stand in the way.
    await writeSecretFile(file('authority-' + number + '-key.pem'), pemOf(key).trimEnd());
    await writeSecretFile(file('authority-' + number + '.pem'), cert.trimEnd());
    log.info({ number }, number === 1 ? 'an authority was made' : 'the next authority was made, agents are told of it');
  }

  async function makeServer(by: Member): Promise<ServerTls> {
    const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    const to = Math.min(now() + serverDays * dayMs, Date.parse(by.x509.validTo));
    const leaf = makeX509({
      subject: names[0] ?? 'localhost',
      key,
      from: now() - dayMs,
      to,
      use: { names },
      issuer: { subject: subjectOf(by.x509), key: by.key },
    });
    const made = { key: pemOf(key), cert: leaf + by.cert };
    // One file: key and certificate are never of two different makings.
    await writeSecretFile(file('server.pem'), (made.key + made.cert).trimEnd());
    log.info({ names, until: new Date(to).toISOString().slice(0, 10) }, 'a certificate was made for the broker');
    return made;
  }

  async function renew({ next = false }: { readonly next?: boolean } = {}): Promise<boolean> {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    members = readMembers(folder);
    const last = newest();
    if (last === undefined || next || Date.parse(last.x509.validTo) - now() < nextDays * dayMs) {
      await makeNext();
      members = readMembers(folder);
    }
    const by = signing();
    tls ??= readServer(file('server.pem'));
    if (tls === undefined || !isGood(tls, by, names, now())) tls = await makeServer(by);
    const before = told;
    told = JSON.stringify([tls.cert, ...authorities()]);
    return told !== before;
  }

  /** Also one that has just ended: an agent that comes back late needs no more than to hear of the next. */
  function authorities(): readonly string[] {
    const by = signing();
    return [by, ...members.filter((member) => member !== by && Date.parse(member.x509.validTo) > now())]
      .slice(0, 4)
      .map(({ cert }) => cert);
  }

  return {
    renew,
    tls() {
      if (tls === undefined) throw new Error('Cannot give a certificate: none was made, expected renew() before');
      return tls;
    },
    authorities,
    fingerprint: () => fingerprintOf(signing().x509.raw),
    problem() {
      const { validTo } = signing().x509;
      return Date.parse(validTo) > now()
        ? undefined
        : 'the authority has ended on ' +
            new Date(validTo).toISOString().slice(0, 10) +
            ': agents refuse the broker until they enrol again';
    },
  };
}

/** Names and addresses in addresses of a broker. */
export function namesOf(urls: readonly string[]): readonly string[] {
  return [...new Set(urls.map((url) => new URL(url).hostname.replaceAll(/^\[|\]$/g, '')))];
}

function readMembers(folder: string): readonly Member[] {
  const numbers = readdirSync(folder)
    .map((name) => /^authority-([0-9]+)\.pem$/.exec(name)?.[1])
    .filter((text) => text !== undefined)
    .map(Number)
    .sort((a, b) => a - b);
  return numbers.map((number) => {
    const certFile = join(folder, 'authority-' + number + '.pem');
    try {
      const cert = readFileSync(certFile, 'utf8');
      const key = createPrivateKey(readFileSync(join(folder, 'authority-' + number + '-key.pem'), 'utf8'));
      const x509 = new X509Certificate(cert);
      if (!x509.checkPrivateKey(key)) throw new Error('its key is another one');
      return { number, cert, x509, key };
    } catch (error) {
      throw new UserError(
        'Cannot read the authority ' +
          certFile +
          ': ' +
          describe(error) +
          ', expected it with its key; put the folder back from a backup. Without it every agent must enrol again',
        { cause: error },
      );
    }
  });
}

function readServer(file: string): ServerTls | undefined {
  try {
    const text = readFileSync(file, 'utf8');
    const start = text.indexOf('-----BEGIN CERTIFICATE-----');
    return { key: text.slice(0, start), cert: text.slice(start) };
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function isGood(tls: ServerTls, by: Member, names: readonly string[], now: number): boolean {
  try {
    const cert = new X509Certificate(tls.cert);
    const fits = (name: string): boolean =>
      (isIP(name) === 0 ? cert.checkHost(name, { wildcards: false }) : cert.checkIP(name)) !== undefined;
    const left = Math.min(renewDays * dayMs, (Date.parse(by.x509.validTo) - now) / 2);
    return (
      cert.checkPrivateKey(createPrivateKey(tls.key)) &&
      cert.verify(by.x509.publicKey) &&
      names.every(fits) &&
      Date.parse(cert.validFrom) <= now &&
      Date.parse(cert.validTo) - now > left
    );
  } catch {
    return false;
  }
}

const pemOf = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString();
const subjectOf = (x509: X509Certificate): string => /^CN=(.*)$/m.exec(x509.subject)?.[1] ?? '';
