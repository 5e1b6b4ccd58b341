// Block lists of which every answer is scripted, and what we make of them.
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { systemClock } from '#shared/clock.ts';
import { createDns } from '../../../agent/probe/dns.ts';
import { createDnsbl } from '../../../agent/probe/dnsbl.ts';
import type { DnsblResult, ListTarget } from '../../../agent/probe/dnsbl.ts';
import { addressTarget, domainTarget } from '../../../agent/probe/names.ts';
import { openZone } from '../../../agent/probe/zones.ts';
import { createLab } from '../../lab/lab.ts';
import type { DnsQuery, DnsReaction } from '../../lab/scripted-dns.ts';

export const targets = ['192.0.2.10', '192.0.2.11', '2001:db8::10', 'example.org'].map(
  (text) => addressTarget(text) ?? domainTarget(text) ?? assert.fail(text),
);
export const [ip4, , , domain] = targets as [ListTarget, ListTarget, ListTarget, ListTarget]; // the four above
export const healthy4 = { '2.0.0.127': ['127.0.0.2'] };

export type Entries = Readonly<Record<string, DnsReaction | readonly string[]>>;
export type Script = (query: DnsQuery) => DnsReaction | undefined;

/** Answers A by the first labels of the name, TXT from `texts`; what is not there is NXDOMAIN. `*` stands for the rest. */
export function list(zone: string, entries: Entries, texts: Entries = {}): Script {
  return (query) => {
    const suffix = '.' + zone;
    if (!query.name.endsWith(suffix)) return { rcode: 'REFUSED' };
    const label = query.name.slice(0, -suffix.length);
    const found = query.type === 'TXT' ? (texts[label] ?? texts['*']) : (entries[label] ?? entries['*']);
    if (!Array.isArray(found)) return found as DnsReaction | undefined; // only lists of texts are lists here
    return { records: found as string[] };
  };
}

/** One script for each resolver. */
export async function check(
  t: TestContext,
  zoneName: string,
  scripts: readonly Script[],
  asked: readonly ListTarget[] = targets,
  /** Short only for lists that are silent: a busy machine may take its time. */
  timeoutMs = 10_000,
) {
  const lab = createLab(t);
  const servers = await Promise.all(scripts.map((script) => lab.scriptedDns({ script })));
  const resolvers = servers.map(({ host, port }) => ({ address: host, port, family: 4 as const }));
  const dnsbl = createDnsbl({ dns: createDns({ resolvers, timeoutMs }), clock: systemClock });
  const results = await dnsbl.check(openZone(zoneName), asked, AbortSignal.timeout(30_000));
  return { results, queries: servers.map((server) => server.queries) };
}

/** `TARGET STATE: REASON` of what was asked. */
export function short(results: readonly DnsblResult[]): readonly string[] {
  return results
    .filter(({ state }) => state !== 'not-applicable')
    .map(({ target, state, reason }) => target + ' ' + state + (reason === '' ? '' : ': ' + reason));
}
