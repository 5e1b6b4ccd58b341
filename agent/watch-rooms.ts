// Everything that looks at the outside world on a schedule, wired to the rooms that it asks.
import type { AgentConfig } from './config.ts';
import type { WatchedServer } from './probe/certificate/certificate.ts';
import { levels } from './probe/check.ts';
import type { Check, Finding } from './probe/check.ts';
import type { Skew } from './probe/host/skew.ts';
import type { Result } from './probe/schedule.ts';
import { endpointOf, roomBase } from './room-base.ts';
import { createRoundTrips } from './round-trips.ts';
import type { Base, Rooms } from './rooms.ts';

export async function openWatch(base: Base, rooms: Rooms): Promise<void> {
  const { createSkew } = await import('./probe/host/skew.ts');
  const skew = createSkew(base.clock);
  await openHost(base, rooms, skew);
  const checks: Check[] = [
    ...(rooms.trips?.checks ?? []),
    ...(await domainChecks(base, rooms)),
    ...(await certificateChecks(base, skew)),
  ];
  if (rooms.probe?.check !== undefined) checks.push(rooms.probe.check);
  if (checks.length === 0) return;
  const { createSchedule } = await import('./probe/schedule.ts');
  const { clock, log, meter, random } = roomBase(base, 'probe');
  const onResult = (result: Result): void => {
    if (result.kind === 'domain' && result.success) sayDomains(base, result.findings);
  };
  const schedule = createSchedule({ checks, clock, random, meter, log, onResult });
  const running = schedule.run(base.lifecycle.signal);
  base.lifecycle.onStop('watch', () => running);
  rooms.watch = schedule;
}

/** Before the rooms that carry mail, since these tell it what becomes of its probes. */
export async function openTrips(base: Base, rooms: Rooms): Promise<void> {
  const { config, loaded } = base;
  const trips = config.probe?.roundTrips ?? [];
  if (trips.length === 0) return;
  rooms.trips = await createRoundTrips(base, rooms, trips, (index, { handIn, via }) => {
    if (handIn === undefined || via !== 'local') return undefined;
    const path = ['probe', 'roundTrips', index, 'handIn'];
    const { password, user } = handIn;
    const login = user !== undefined && password !== undefined;
    return {
      endpoint: endpointOf(loaded, path, handIn),
      ...(login && { login: { user, password: loaded.secret([...path, 'password'], password) } }),
    };
  });
  const running = rooms.trips.run(base.lifecycle.signal);
  base.lifecycle.onStop('round trips', () => running);
}

/** Readings go to a report alone; without one nobody would see them. */
async function openHost(base: Base, rooms: Rooms, skew: Skew): Promise<void> {
  const { config, clock, lifecycle, meter, state } = base;
  if (config.report === undefined) return;
  const { watchHost } = await import('./probe/host/host.ts');
  const { local } = rooms;
  const everyMs = (config.probe?.host?.intervalSeconds ?? 60) * 1_000;
  const skewSeconds = (): number | undefined => {
    const relay = rooms.trips?.skewSeconds();
    if (relay !== undefined) skew.tell('relay', relay * 1_000);
    return skew.seconds();
  };
  const own = { folder: state.folder, everyMs, clock, meter, skewSeconds };
  const running = watchHost({ ...own, ...(local && { local: local.problem }) }, lifecycle.signal);
  lifecycle.onStop('host', () => running);
}

async function domainChecks(base: Base, rooms: Rooms): Promise<readonly Check[]> {
  const { dnsbl, domain, roundTrips = [] } = base.config.probe ?? {};
  if (domain === undefined) return [];
  const { createDns } = await import('./probe/dns.ts');
  const { parseResolver, systemResolvers } = await import('./probe/resolvers.ts');
  const { createDomainChecks } = await import('./probe/domain/domain.ts');
  const given = domain.resolver === undefined ? undefined : parseResolver(domain.resolver);
  const configured = {
    site: dnsbl?.addresses ?? [],
    relay: [...domain.relayAddresses, ...(dnsbl?.relayAddresses ?? [])],
  };
  const senders = new Set(roundTrips.map(({ from }) => from.slice(from.lastIndexOf('@') + 1).toLowerCase()));
  return createDomainChecks({
    domains: domain.domains,
    names: [...new Set([...domain.names, ...(dnsbl?.names ?? [])])],
    dns: createDns({ resolvers: given === undefined ? systemResolvers() : [given] }),
    intervalMs: domain.intervalSeconds * 1_000,
    addresses: (kind) => [...new Set([...configured[kind], ...(rooms.trips?.addresses(kind) ?? [])])],
    authentication: (name) => (senders.has(name) ? rooms.trips?.sighting()?.authentication : undefined),
  });
}

/** One point for each property of each domain: several findings about one are told by the worst. */
function sayDomains({ meter }: Base, findings: readonly Finding[]): void {
  const worst = new Map<string, Finding>();
  for (const finding of findings) {
    const key = finding.target + ' ' + finding.check;
    const known = worst.get(key);
    if (known === undefined || rankOf(finding) > rankOf(known)) worst.set(key, finding);
  }
  for (const { check, level, target, text } of worst.values())
    meter.say(
      'domain',
      { domain: target, check },
      { level: levels.indexOf(level), problem: level === 'ok' || level === 'info' ? '' : text },
    );
}

function rankOf({ level }: Finding): number {
  return ['ok', 'info', 'unknown', 'warning', 'critical'].indexOf(level);
}

async function certificateChecks(base: Base, skew: Skew): Promise<readonly Check[]> {
  const options = base.config.probe?.certificates;
  if (options === undefined) return [];
  const { createCertificateChecks } = await import('./probe/certificate/certificate.ts');
  const further = options.servers.map((server, index): WatchedServer => {
    const endpoint = endpointOf(base.loaded, ['probe', 'certificates', 'servers', index], server);
    return { name: nameOf(endpoint), protocol: server.protocol, endpoint };
  });
  const all = [...(options.configured ? await configuredServers(base, base.config) : []), ...further];
  const servers = [...new Map(all.map((server) => [server.name, server])).values()];
  const { clock, meter } = base;
  return createCertificateChecks({
    servers,
    everyMs: options.intervalSeconds * 1_000,
    clock,
    meter,
    onTime: skew.tell,
  });
}

async function configuredServers(base: Base, config: AgentConfig): Promise<readonly WatchedServer[]> {
  const { resolveAccount } = await import('./accounts/resolve.ts');
  const { resolveRelay } = await import('./send/relay/relay-options.ts');
  const { loaded } = base;
  const accounts = config.accounts.flatMap((account, index): WatchedServer[] => {
    const path = ['accounts', index];
    const { host, port, tls } = resolveAccount(account);
    const pop3 = endpointOf(loaded, path, { ...account, host, port, tls });
    const imap = account.idle && endpointOf(loaded, [...path, 'idle'], account.idle);
    return [
      { name: nameOf(pop3), protocol: 'pop3', endpoint: pop3 },
      ...(imap ? [{ name: nameOf(imap), protocol: 'imap' as const, endpoint: imap }] : []),
    ];
  });
  const relays = config.relays.map((relay, index): WatchedServer => {
    const { host, port, tls } = resolveRelay(relay);
    const endpoint = endpointOf(loaded, ['relays', index], { ...relay, host, port, tls });
    return { name: nameOf(endpoint), protocol: 'smtp', endpoint };
  });
  const local = config.local === undefined ? [] : [endpointOf(loaded, ['local'], config.local)];
  const handed = local.map((endpoint): WatchedServer => ({ name: nameOf(endpoint), protocol: 'smtp', endpoint }));
  return [...accounts, ...relays, ...handed].filter(({ endpoint }) => endpoint.tls !== 'none');
}

function nameOf({ host, port }: { readonly host: string; readonly port: number }): string {
  return host + ':' + port;
}
