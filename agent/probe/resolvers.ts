// Which DNS servers are asked: those of the configuration, else those of the system.
import { Resolver as SystemResolver } from 'node:dns';
import { isIPv4, isIPv6 } from 'node:net';

export type Resolver = { readonly address: string; readonly port: number; readonly family: 4 | 6 };

/** ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT; undefined when it is none of these. A name is no resolver: who would resolve it? */
export function parseResolver(text: string): Resolver | undefined {
  if (isIPv6(text)) return { address: text, port: 53, family: 6 };
  const bracketed = /^\[([^\]]+)\](?::(\d{1,5}))?$/.exec(text);
  const plain = /^([^:[\]]+)(?::(\d{1,5}))?$/.exec(text);
  const [, address = '', digits = '53'] = bracketed ?? plain ?? [];
  const port = Number(digits);
  if (port < 1 || port > 65_535) return undefined;
  if (bracketed !== null && isIPv6(address)) return { address, port, family: 6 };
  return plain !== null && isIPv4(address) ? { address, port, family: 4 } : undefined;
}

/** What the system is set to now: a fresh object reads it anew, so that a change of network is seen. */
export function systemResolvers(): readonly Resolver[] {
  return new SystemResolver().getServers().flatMap((server) => parseResolver(server) ?? []);
}

export function showResolver(resolver: Resolver): string {
  const host = resolver.family === 6 ? '[' + resolver.address + ']' : resolver.address;
  return resolver.port === 53 ? resolver.address : host + ':' + resolver.port;
}
