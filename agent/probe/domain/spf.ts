// May the relay send for the domain, and can receivers evaluate its record at all (RFC 7208)?
import type { Finding } from '../check.ts';
import { resolverRemedy, speakOf, textsOf } from './look.ts';
import type { Look } from './look.ts';
import { evaluateSpf } from './spf-evaluate.ts';
import type { Evaluation } from './spf-evaluate.ts';

export type SpfWish = {
  /** Addresses from which the relay sends; none: not known. */
  readonly relay: readonly string[];
  /** Public addresses of this site. */
  readonly site: readonly string[];
  /** The site itself may send past the relay. */
  readonly sendsDirect: boolean;
};
const mostLookups = 10;
const mostVoids = 2;
/** Counts everything, but ends: a record that includes itself would not. */
const countUpTo = 40;
/** Nobody's (RFC 1112 section 4): a record that lets it pass lets everybody pass, and all of a record is read for it. */
const nobody = '240.0.0.1';

export async function checkSpf(domain: string, wish: SpfWish, look: Look): Promise<readonly Finding[]> {
  const say = speakOf(domain, 'spf');
  const records = await textsOf(look, domain, /^v=spf1(?: |$)/i);
  if (records.kind === 'unknown') return [say('unknown', 'SPF: ' + records.text, resolverRemedy)];
  if (records.kind === 'none')
    return [
      say(
        'warning',
        'no SPF record: receivers cannot tell who may send for the domain, and large ones refuse such mail',
        "Add a TXT record with the provider's include, such as v=spf1 include:... -all.",
      ),
    ];
  if (records.values.length > 1)
    return [
      say(
        'critical',
        records.values.length + ' SPF records: receivers take that for none that is valid (RFC 7208 section 4.5)',
        'Join them into one record.',
      ),
    ];
  const record = records.values[0] ?? '';
  const whole = await evaluate(domain, nobody, look, { lookups: countUpTo, voids: countUpTo });
  const broken = findBroken(domain, whole);
  if (broken !== undefined) return [broken];
  const findings = [
    ...(whole.result === 'pass'
      ? [say('critical', 'the SPF record lets everybody send for the domain: ' + record, 'Replace +all by -all.')]
      : await checkRelay(domain, wish, look)),
    ...(whole.result === 'pass' ? [] : await checkSite(domain, wish, look)),
    ...remarks(domain, record, whole),
  ];
  if (findings.some(({ level }) => level !== 'info')) return findings;
  const known = wish.relay.length === 0 ? '' : '; the relay passes from ' + wish.relay.join(', ');
  return [say('ok', whole.lookups + ' of ' + mostLookups + ' look-ups' + known), ...findings];
}

function findBroken(domain: string, whole: Evaluation): Finding | undefined {
  const say = speakOf(domain, 'spf');
  const { lookups, reason, result, voids } = whole;
  if (lookups > mostLookups)
    return say(
      'critical',
      'needs ' +
        (lookups > countUpTo ? 'more than ' + countUpTo : lookups) +
        ' look-ups, receivers stop at ' +
        mostLookups +
        ' and take the record for broken',
      'Remove includes of services that no longer send for the domain.',
    );
  if (voids > mostVoids)
    return say(
      'critical',
      voids + ' names in it do not exist, receivers stop at ' + mostVoids + ' and take the record for broken',
      'Remove the names that do not exist from the record.',
    );
  if (result === 'permerror')
    return say('critical', 'the record is broken: ' + reason, 'Correct the record as the message says.');
  if (result === 'temperror') return say('unknown', 'cannot be evaluated now: ' + reason, resolverRemedy);
  return undefined;
}

async function checkRelay(domain: string, wish: SpfWish, look: Look): Promise<readonly Finding[]> {
  const say = speakOf(domain, 'spf');
  if (wish.relay.length === 0)
    return [
      say(
        'info',
        'whether the relay may send is not checked, since its addresses are not known',
        'Name them (probe.domain.relayAddresses), or set up a round trip, which learns them.',
      ),
    ];
  const answers = await Promise.all(
    wish.relay.map(async (address) => ({ address, ...(await evaluate(domain, address, look)) })),
  );
  return answers.flatMap(({ address, reason, result }) => {
    if (result === 'pass') return [];
    if (result === 'temperror') return [say('unknown', 'for ' + address + ': ' + reason, resolverRemedy)];
    return [
      say(
        'critical',
        'the relay sends from ' + address + ', which the SPF record does not allow (' + result + ')',
        "Add the provider's include to the SPF record.",
      ),
    ];
  });
}

async function checkSite(domain: string, wish: SpfWish, look: Look): Promise<readonly Finding[]> {
  if (wish.sendsDirect) return [];
  const own = wish.site.filter((address) => !wish.relay.includes(address));
  const answers = await Promise.all(
    own.map(async (address) => ({ address, ...(await evaluate(domain, address, look)) })),
  );
  return answers.flatMap(({ address, result }) =>
    result === 'pass'
      ? [
          speakOf(domain, 'spf')(
            'warning',
            'lets the line of this site send too, ' +
              address +
              ': whoever has the address next may send for the domain',
            'Take the address or the name of the line out of the record, or set sendsDirect: true.',
          ),
        ]
      : [],
  );
}

function remarks(domain: string, record: string, { lookups }: Evaluation): readonly Finding[] {
  const say = speakOf(domain, 'spf');
  const found: Finding[] = [];
  if (/(?:^|\s)[+?~-]?ptr(?:[:\s]|$)/i.test(record))
    found.push(
      say('info', 'uses ptr, which receivers may pass over (RFC 7208 section 5.5)', 'Replace ptr by ip4 or a.'),
    );
  if (!/(?:^|\s)(?:[+?~-]?all|redirect=\S+)(?:\s|$)/i.test(record) || /\s\?all(?:\s|$)/i.test(record))
    found.push(say('info', 'says nothing against other senders', 'End the record with -all or ~all.'));
  if (lookups >= mostLookups - 1)
    found.push(say('info', lookups + ' of ' + mostLookups + ' look-ups: one more include may break it'));
  return found;
}

async function evaluate(
  domain: string,
  address: string,
  look: Look,
  limits = { lookups: mostLookups, voids: mostVoids },
) {
  return evaluateSpf({ domain, address, mostLookups: limits.lookups, mostVoids: limits.voids }, look);
}
