// Where mail for the domain goes: hosts that exist, as expected, and no address or alias in the place of a host's name
// (RFC 5321 section 5.1, RFC 2181 section 10.3, RFC 7505).
import { isIP } from 'node:net';
import type { Finding } from '../check.ts';
import { addressTarget, isPrivate } from '../names.ts';
import { addressesOf, resolverRemedy, speakOf } from './look.ts';
import type { Look } from './look.ts';

export type MxWish = {
  /** Hosts that are expected, and no others; absent: any will do. */
  readonly expected?: readonly string[];
  /** False: the domain only sends. */
  readonly receives: boolean;
};

export async function checkMx(domain: string, wish: MxWish, look: Look): Promise<readonly Finding[]> {
  const say = speakOf(domain, 'mx');
  const found = await look(domain, 'MX');
  if (found.kind === 'unknown') return [say('unknown', 'MX: ' + found.text, resolverRemedy)];
  if (found.kind === 'none') return [await withoutMx(domain, wish, found.exists, look)];
  const hosts = found.values.map((value) => value.slice(value.indexOf(' ') + 1).toLowerCase());
  if (hosts.includes('.')) return [nullMx(domain, wish, hosts.length)];
  const problems = (await Promise.all(hosts.map((host) => problemOf(host, look)))).filter((one) => one !== undefined);
  const dead = problems.filter(({ dead }) => dead);
  const findings = problems.map(({ text, unknown }) =>
    unknown
      ? say('unknown', text, resolverRemedy)
      : say(
          dead.length === hosts.length ? 'critical' : 'warning',
          text + (dead.length === hosts.length ? '; mail for the domain cannot be delivered' : ''),
          'Let the MX records of the domain name the hosts of the mail provider, by names that have addresses.',
        ),
  );
  const drift = driftOf(domain, hosts, wish.expected);
  if (drift !== undefined) findings.push(drift);
  return findings.length > 0 ? findings : [say('ok', 'mail goes to ' + hosts.join(', '))];
}

async function withoutMx(domain: string, wish: MxWish, exists: boolean, look: Look): Promise<Finding> {
  const say = speakOf(domain, 'mx');
  if (!exists)
    return say(
      'critical',
      'the domain does not exist in DNS',
      'Check the spelling of the domain here, whether it is still paid for, and its name servers.',
    );
  if (!wish.receives) return say('ok', 'no MX, and none is expected');
  const fallback = await addressesOf(look, domain);
  if (fallback.kind === 'unknown') return say('unknown', 'no MX; its address: ' + fallback.text, resolverRemedy);
  const remedy = 'Add the MX records that the mail provider names.';
  return fallback.kind === 'found'
    ? say('warning', 'no MX: mail goes to the address of the domain itself, ' + fallback.values.join(', '), remedy)
    : say('critical', 'no MX and no address: mail for the domain cannot be delivered', remedy);
}

function nullMx(domain: string, wish: MxWish, records: number): Finding {
  const say = speakOf(domain, 'mx');
  if (records > 1)
    return say(
      'critical',
      'one MX says that the domain takes no mail, beside ' + (records - 1) + ' that say where it goes (RFC 7505)',
      'Remove the MX record whose host is a lone dot.',
    );
  return wish.receives
    ? say(
        'critical',
        'the domain says that it takes no mail (null MX, RFC 7505)',
        'Replace the record by the MX records that the mail provider names, or set receives: false here.',
      )
    : say('ok', 'the domain takes no mail, as expected');
}

type Problem = { readonly text: string; readonly dead: boolean; readonly unknown?: true };

/** `dead`: no server can deliver to it. */
async function problemOf(host: string, look: Look): Promise<Problem | undefined> {
  if (isIP(host) !== 0) return { text: 'MX names the address ' + host + ' in the place of a host', dead: true };
  const alias = await look(host, 'CNAME');
  const addresses = await addressesOf(look, host);
  if (addresses.kind === 'unknown')
    return { text: 'MX host ' + host + ': ' + addresses.text, dead: false, unknown: true };
  if (addresses.kind === 'none') return { text: 'MX host ' + host + ' has no address', dead: true };
  const hidden = addresses.values.filter((address) => {
    const target = addressTarget(address);
    return target !== undefined && isPrivate(target);
  });
  if (hidden.length === addresses.values.length)
    return { text: 'MX host ' + host + ' has only the private address ' + hidden.join(', '), dead: true };
  if (alias.kind === 'found')
    return {
      text: 'MX host ' + host + ' is an alias of ' + alias.values.join(', ') + '; some servers refuse that',
      dead: false,
    };
  return undefined;
}

function driftOf(
  domain: string,
  hosts: readonly string[],
  expected: readonly string[] | undefined,
): Finding | undefined {
  if (expected === undefined) return undefined;
  const wanted = expected.map((host) => host.toLowerCase().replace(/\.$/, ''));
  const missing = wanted.filter((host) => !hosts.includes(host));
  const foreign = hosts.filter((host) => !wanted.includes(host));
  if (missing.length === 0 && foreign.length === 0) return undefined;
  const parts = [
    ...(foreign.length === 0 ? [] : ['not expected: ' + foreign.join(', ')]),
    ...(missing.length === 0 ? [] : ['missing: ' + missing.join(', ')]),
  ];
  return speakOf(domain, 'mx')(
    // Mail that goes to a host that nobody expects is read there.
    foreign.length > 0 ? 'critical' : 'warning',
    'MX is not as configured; ' + parts.join('; '),
    'If the provider was changed, change mx here too; else find out who changed the DNS of the domain.',
  );
}
