// All that receivers look at of a domain and of the addresses that send for it, as checks.
import type { Check, Finding } from '../check.ts';
import type { Dns } from '../dns.ts';
import { toAsciiName } from '../names.ts';
import { checkDdns, checkPointer } from './addresses.ts';
import { checkAuthentication } from './authentication.ts';
import { checkDkim } from './dkim.ts';
import { checkDmarc } from './dmarc.ts';
import type { DomainOptions } from './domain-options.ts';
import { createLook, speakOf } from './look.ts';
import { checkMx } from './mx.ts';
import { checkSpf } from './spf.ts';

export type DomainDeps = {
  readonly domains: readonly DomainOptions[];
  /** Names of dynamic DNS that lead to this site. */
  readonly names: readonly string[];
  readonly dns: Dns;
  readonly intervalMs: number;
  /** Addresses by which mail is sent: those that are configured and those that probes have shown. */
  readonly addresses: (kind: 'site' | 'relay') => readonly string[];
  /** What the receiver of the last probe found; undefined for a domain that no probe is sent from. */
  readonly authentication: (domain: string) => Readonly<Record<string, string>> | undefined;
};

const timeoutMs = 120_000;
/** More would be a mistake, or somebody's mischief. */
const maxAddresses = 16;

export function createDomainChecks(deps: DomainDeps): readonly Check[] {
  const every = { kind: 'domain', everyMs: deps.intervalMs, timeoutMs } as const;
  const domains = deps.domains.map((options): Check => ({
    ...every,
    name: 'domain ' + options.name,
    run: (signal) => checkDomain(options, deps, signal),
  }));
  return [...domains, { ...every, name: 'domain addresses', run: (signal) => checkAddresses(deps, signal) }];
}

export async function checkDomain(
  options: DomainOptions,
  deps: Pick<DomainDeps, 'dns' | 'addresses' | 'authentication'>,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const look = createLook(deps.dns, signal);
  const name = toAsciiName(options.name);
  if (name === undefined) return [speakOf(options.name, 'mx')('critical', 'is a name that DNS cannot hold')];
  const { mx, receives, selectors, sends, sendsDirect } = options;
  const relay = deps.addresses('relay').slice(0, maxAddresses);
  const site = deps.addresses('site').slice(0, maxAddresses);
  const wish = { receives, ...(mx && { expected: mx }) };
  const itself = await look(name, 'MX');
  // Of a domain that does not exist nothing else can be said.
  if (itself.kind === 'none' && !itself.exists) return checkMx(name, wish, look);
  const sending = sends
    ? [checkSpf(name, { relay, site, sendsDirect }, look), checkDkim(name, selectors, look), checkDmarc(name, look)]
    : [];
  const found = await Promise.all([checkMx(name, wish, look), ...sending]);
  return [...found.flat(), ...checkAuthentication(name, deps.authentication(name) ?? {})];
}

export async function checkAddresses(
  deps: Pick<DomainDeps, 'dns' | 'names' | 'addresses'>,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const look = createLook(deps.dns, signal);
  const site = deps.addresses('site').slice(0, maxAddresses);
  const relay = deps.addresses('relay').slice(0, maxAddresses);
  return Promise.all([
    ...deps.names.map((name) => checkDdns(name, site, look)),
    ...relay.map((address) => checkPointer(address, 'relay', look)),
    ...site.filter((address) => !relay.includes(address)).map((address) => checkPointer(address, 'site', look)),
  ]);
}
