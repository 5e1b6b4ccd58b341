// Resolvers that everybody may use. Block lists cannot tell their users apart and refuse them, some with a code, some with a
// silent "not listed"; so a site that asks through one of these is told so before it wonders.
import type { Resolver } from './resolvers.ts';

const operators: Readonly<Record<string, string>> = {
  '1.1.1.1': 'Cloudflare',
  '1.0.0.1': 'Cloudflare',
  '2606:4700:4700::1111': 'Cloudflare',
  '2606:4700:4700::1001': 'Cloudflare',
  '8.8.8.8': 'Google',
  '8.8.4.4': 'Google',
  '2001:4860:4860::8888': 'Google',
  '2001:4860:4860::8844': 'Google',
  '9.9.9.9': 'Quad9',
  '149.112.112.112': 'Quad9',
  '2620:fe::fe': 'Quad9',
  '2620:fe::9': 'Quad9',
  '208.67.222.222': 'OpenDNS',
  '208.67.220.220': 'OpenDNS',
  '2620:119:35::35': 'OpenDNS',
  '2620:119:53::53': 'OpenDNS',
  '94.140.14.14': 'AdGuard',
  '94.140.15.15': 'AdGuard',
  '185.222.222.222': 'DNS.SB',
  '45.11.45.11': 'DNS.SB',
};

/** Who runs it; undefined for one that is not known to be public. */
export function publicOperator({ address }: Resolver): string | undefined {
  const plain = address.toLowerCase();
  return Object.hasOwn(operators, plain) ? operators[plain] : undefined;
}
