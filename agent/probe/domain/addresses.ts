// What DNS says of addresses: does the name of the line lead to where the line is, and do addresses have names that lead back
// (FCrDNS)? The seen addresses are those from which our mail really came.
import type { Finding } from '../check.ts';
import { addressTarget, isPrivate } from '../names.ts';
import { addressesOf, resolverRemedy, speakOf } from './look.ts';
import type { Look } from './look.ts';

export async function checkDdns(name: string, seen: readonly string[], look: Look): Promise<Finding> {
  const say = speakOf(name, 'ddns');
  const remedy = 'Check dynamic DNS on the router or the NAS: it has to tell the new address after each reconnection.';
  const found = await addressesOf(look, name);
  if (found.kind === 'unknown') return say('unknown', found.text, resolverRemedy);
  if (found.kind === 'none') return say('warning', 'the name has no address', remedy);
  const values = found.values.map(canonical);
  const hidden = values.filter((address) => {
    const target = addressTarget(address);
    return target !== undefined && isPrivate(target);
  });
  if (hidden.length > 0)
    return say('warning', 'the name leads to ' + hidden.join(', ') + ', which is not public', remedy);
  if (seen.length === 0)
    return say(
      'info',
      'leads to ' + values.join(', ') + '; from where this site sends is not known yet',
      'A round trip learns it.',
    );
  const own = seen.map(canonical);
  // Of each family that was seen one must fit: a line may have more addresses than the name tells.
  const wrong = (['ip4', 'ip6'] as const).filter((family) => {
    const [mine, told] = [own, values].map((all) => all.filter((address) => addressTarget(address)?.family === family));
    return (
      (mine ?? []).length > 0 && (told ?? []).length > 0 && !(told ?? []).some((one) => (mine ?? []).includes(one))
    );
  });
  const fits = values.some((address) => own.includes(address));
  if (wrong.length === 0 && fits) return say('ok', 'leads to ' + values.join(', ') + ', where this site is');
  return say('warning', 'leads to ' + values.join(', ') + ', but this site sends from ' + own.join(', '), remedy);
}

/** Receivers refuse mail of an address without a confirmed name; behind a relay only the relay's own ones count. */
export async function checkPointer(address: string, role: 'relay' | 'site', look: Look): Promise<Finding> {
  const say = speakOf(address, 'ptr');
  const target = addressTarget(address);
  if (target === undefined) return say('unknown', 'is no address');
  const bad = role === 'relay' ? 'warning' : 'info';
  const remedy =
    role === 'relay'
      ? 'Tell the provider: it is an address of its relay.'
      : 'Nothing, as long as mail goes by a relay.';
  const zone = target.family === 'ip6' ? '.ip6.arpa' : '.in-addr.arpa';
  const names = await look(target.name + zone, 'PTR');
  if (names.kind === 'unknown') return say('unknown', names.text, resolverRemedy);
  if (names.kind === 'none') return say(bad, 'has no name (PTR)', remedy);
  const answers = await Promise.all(
    names.values.slice(0, 10).map(async (name) => ({ name, found: await addressesOf(look, name) })),
  );
  const confirmed = answers.find(
    ({ found }) => found.kind === 'found' && found.values.map(canonical).includes(canonical(address)),
  );
  if (confirmed !== undefined) return say('ok', 'is ' + confirmed.name + ', and that leads back');
  const unknown = answers.flatMap(({ found }) => (found.kind === 'unknown' ? [found.text] : []))[0];
  if (unknown !== undefined) return say('unknown', unknown, resolverRemedy);
  return say(bad, 'is called ' + names.values.join(', ') + ', which does not lead back to it', remedy);
}

function canonical(address: string): string {
  return addressTarget(address)?.label ?? address;
}
