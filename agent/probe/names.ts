// Names and addresses as DNS wants them.
import { isIPv4, isIPv6 } from 'node:net';
import { domainToASCII } from 'node:url';

/** Lower case, without a final dot, international names as xn--; undefined when it cannot be asked (RFC 1035 section 2.3.4). */
export function toAsciiName(text: string): string | undefined {
  const trimmed = text.trim().replace(/\.$/, '');
  // domainToASCII() takes names that end in a number for addresses ("1.2" becomes 1.0.0.2), so plain names never meet it.
  const name = /^[\u0021-\u007e]*$/.test(trimmed) ? trimmed.toLowerCase() : domainToASCII(trimmed);
  if (name === '' || name.length > 253) return undefined;
  return name.split('.').every((label) => /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/.test(label)) ? name : undefined;
}

export type Target = { readonly family: 'ip4' | 'ip6' | 'domain'; readonly name: string; readonly label: string };

/** IPv4 inside IPv6 (::ffff:192.0.2.1) is asked as IPv4: lists hold it only there. */
export function addressTarget(text: string): Target | undefined {
  if (isIPv4(text)) return { family: 'ip4', name: reverse4(text), label: text };
  if (!isIPv6(text) || text.includes('%')) return undefined;
  const groups = expand6(text);
  if (groups.slice(0, 5).every((group) => group === '0000') && groups[5] === 'ffff') {
    const bytes = groups.slice(6).flatMap((group) => [group.slice(0, 2), group.slice(2)]);
    const address = bytes.map((byte) => Number.parseInt(byte, 16)).join('.');
    return { family: 'ip4', name: reverse4(address), label: address };
  }
  return { family: 'ip6', name: reverse6(groups), label: canonical6(text) };
}

export function domainTarget(text: string): Target | undefined {
  const name = toAsciiName(text);
  if (name === undefined || !name.includes('.') || isIPv4(name)) return undefined;
  return { family: 'domain', name, label: name };
}

/** 192.0.2.1 -> 1.2.0.192 (RFC 5782 section 2.1). */
export function reverse4(address: string): string {
  return address.split('.').reverse().join('.');
}

/** One label a nibble, the last one first (RFC 5782 section 2.4). */
export function reverse6(groups: readonly string[]): string {
  return Array.from(groups.join('')).reverse().join('.');
}

/** Under which name an address has its PTR record; undefined for what is no address. */
export function pointerName(address: string): string | undefined {
  if (isIPv4(address)) return reverse4(address) + '.in-addr.arpa';
  return isIPv6(address) && !address.includes('%') ? reverse6(expand6(address)) + '.ip6.arpa' : undefined;
}

/** Eight groups of four hexadecimal digits. */
export function expand6(address: string): readonly string[] {
  const [head = '', tail] = canonical6(address).split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const gap = Array.from({ length: 8 - left.length - right.length }, () => '0');
  return [...left, ...gap, ...right].map((group) => group.padStart(4, '0'));
}

function canonical6(address: string): string {
  return new URL('http://[' + address + ']').hostname.slice(1, -1);
}

/** Addresses that no list outside can know. */
export function isPrivate(target: Target): boolean {
  if (target.family === 'ip6') return /^(?:::1?$|f[cd]|fe[89ab])/.test(target.label);
  return (
    target.family === 'ip4' &&
    /^(?:0|10|127|169\.254|192\.168|172\.(?:1[6-9]|2\d|3[01])|100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7]))\./.test(
      target.label,
    )
  );
}
