// Trust by address, for what prints and scans but cannot log in: off by default, bound to senders, never wide. Promise: a
// network that could hold strangers is refused with the configuration, so that nobody trusts the Internet by mistake.
import { BlockList, isIPv4, isIPv6 } from 'node:net';
import type { Limits } from '../../users/account-options.ts';
import type { Rights } from './rights.ts';

export type TrustedEntry = {
  readonly id: string;
  readonly addresses: readonly string[];
  readonly senders: readonly string[];
  readonly limits?: Limits;
};

type Network = { readonly address: string; readonly bits: number; readonly family: 'ipv4' | 'ipv6' };

/** Networks of one's own. */
const own = listOf([
  ['10.0.0.0', 8, 'ipv4'],
  ['127.0.0.0', 8, 'ipv4'],
  ['169.254.0.0', 16, 'ipv4'],
  ['172.16.0.0', 12, 'ipv4'],
  ['192.168.0.0', 16, 'ipv4'],
  ['fc00::', 7, 'ipv6'],
  ['fe80::', 10, 'ipv6'],
]);
export function isPrivate(address: string): boolean {
  const plain = address.replace(/%.*$/, '');
  if (isIPv4(plain)) return own.check(plain, 'ipv4');
  return plain === '::1' || (isIPv6(plain) && own.check(plain, 'ipv6'));
}
/** Each of these IPv6 addresses stands for an IPv4 address, and a short prefix for all of them. */
const standIns = listOf([
  ['::', 64, 'ipv6'],
  ['64:ff9b::', 64, 'ipv6'],
]);

/** Undefined when the network may be trusted. */
export function findNetworkProblem(text: string): { readonly found: string; readonly expected: string } | undefined {
  const network = readNetwork(text);
  const found = JSON.stringify(text);
  if (network === undefined)
    return { found, expected: 'an address, or a network such as 192.168.1.0/24 or 2001:db8:1:2::/64' };
  const { address, bits, family } = network;
  if (family === 'ipv6') {
    if (standIns.check(address, 'ipv6') && text !== '::1' && text !== '::1/128')
      return { found, expected: 'an IPv4 address written as such, since these stand for all of IPv4' };
    return bits < 64 ? { found: found + ', a wide network', expected: 'a network of /64 or narrower' } : undefined;
  }
  const narrowest = own.check(address, 'ipv4') ? 16 : 29;
  if (bits >= narrowest) return undefined;
  const kind = narrowest === 16 ? 'a private network' : 'a network of the Internet';
  return { found: found + ', a wide network', expected: kind + ' of /' + narrowest + ' or narrower' };
}

/** What may be sent from this address without a login. The first entry that names it counts. */
export function createTrust(
  entries: readonly TrustedEntry[],
  standard: Limits,
): (address: string | undefined) => Rights | undefined {
  const all = entries.map(({ id, addresses, senders, limits }) => {
    // A network that findNetworkProblem() refuses never gets here by the configuration, and counts for nothing here.
    const networks = addresses.filter((text) => findNetworkProblem(text) === undefined).flatMap(readNetwork);
    const list = listOf(
      networks.flatMap((network) => (network === undefined ? [] : [[network.address, network.bits, network.family]])),
    );
    const rights: Rights = { user: 'trusted/' + id, senders, limits: { ...standard, ...limits } };
    return { list, rights };
  });
  return (address) => {
    const plain = (address ?? '').replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '');
    const family = isIPv4(plain) ? 'ipv4' : 'ipv6';
    if (family === 'ipv6' && !isIPv6(plain)) return undefined;
    return all.find(({ list }) => list.check(plain, family))?.rights;
  };
}

function readNetwork(text: string): Network | undefined {
  const [address = '', bitsText, more] = text.split('/');
  if (more !== undefined) return undefined;
  const family = isIPv4(address) ? 'ipv4' : 'ipv6';
  if (family === 'ipv6' && (!isIPv6(address) || address.includes('%'))) return undefined;
  const longest = family === 'ipv4' ? 32 : 128;
  const bits = bitsText === undefined ? longest : Number(bitsText);
  if (bitsText !== undefined && !/^\d{1,3}$/.test(bitsText)) return undefined;
  return bits > longest ? undefined : { address, bits, family };
}

function listOf(networks: readonly (readonly [string, number, 'ipv4' | 'ipv6'])[]): BlockList {
  const list = new BlockList();
  for (const [address, bits, family] of networks) list.addSubnet(address, bits, family);
  return list;
}
