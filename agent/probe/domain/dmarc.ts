// What receivers are told to do with mail that is not the domain's (RFC 7489): one record that can be read, a policy, and
// reports that arrive.
import type { Finding } from '../check.ts';
import { readTags, resolverRemedy, speakOf, textsOf } from './look.ts';
import type { Look, Looked } from './look.ts';

const mark = /^v=DMARC1(?:\s*;|\s*$)/;
const policies = ['none', 'quarantine', 'reject'];

export async function checkDmarc(domain: string, look: Look): Promise<readonly Finding[]> {
  const say = speakOf(domain, 'dmarc');
  const { at, records } = await findRecord(domain, look);
  if (records.kind === 'unknown') return [say('unknown', 'DMARC: ' + records.text, resolverRemedy)];
  if (records.kind === 'none')
    return [
      say(
        'warning',
        'no DMARC record: anybody can write in the name of the domain, and large receivers ask for one',
        'Add a TXT record at _dmarc.' +
          domain +
          ', to begin with: v=DMARC1; p=none; rua=mailto:an address that is read.',
      ),
    ];
  if (records.values.length > 1)
    return [
      say('critical', records.values.length + ' DMARC records: receivers pass over all of them', 'Keep one of them.'),
    ];
  const tags = readTags(records.values[0] ?? '');
  if (tags === undefined)
    return [say('critical', 'the DMARC record cannot be read', 'Correct it: tag=value; tag=value.')];
  const policy = (at === domain ? undefined : tags.get('sp')) ?? tags.get('p');
  const reports = await checkReports(at, domain, tags, look);
  if (policy === undefined || !policies.includes(policy))
    return [
      say(
        'critical',
        policy === undefined ? 'the record has no policy (p=)' : 'unknown policy p=' + policy,
        'Set p=none, p=quarantine or p=reject.',
      ),
      ...reports,
    ];
  const share = tags.get('pct');
  const part = share === undefined || share === '100' || policy === 'none' ? '' : ' for ' + share + ' % of the mail';
  const inherited = at === domain ? '' : ', by the record of ' + at;
  const stance =
    policy === 'none'
      ? say(
          'info',
          'the policy is none' + inherited + ': forged mail is only reported',
          'When the reports show that your own mail passes: p=quarantine.',
        )
      : say('ok', 'the policy is ' + policy + part + inherited);
  return [stance, ...reports];
}

/** At the domain itself, else at the next one above that has a record (as RFC 9989 walks up). */
async function findRecord(domain: string, look: Look): Promise<{ readonly at: string; readonly records: Looked }> {
  const labels = domain.split('.');
  let records: Looked = { kind: 'none', exists: false };
  for (let cut = 0; labels.length - cut >= 2 && cut < 8; cut += 1) {
    const at = labels.slice(cut).join('.');
    records = await textsOf(look, '_dmarc.' + at, mark);
    if (records.kind !== 'none') return { at, records };
  }
  return { at: domain, records };
}

async function checkReports(
  at: string,
  domain: string,
  tags: ReadonlyMap<string, string>,
  look: Look,
): Promise<readonly Finding[]> {
  const say = speakOf(domain, 'dmarc');
  const rua = tags.get('rua');
  if (rua === undefined || rua === '')
    return [say('info', 'nobody gets the reports of receivers (no rua)', 'Add rua=mailto:an address that is read.')];
  const found = rua.split(',').map((uri) => ({
    uri: uri.trim(),
    // The limit of a report's size (!10m) is allowed, a tag in the address (+dmarc) is part of it.
    host: /^mailto:[^\s@,!]+@([A-Za-z0-9.-]+?)(?:![0-9]+[kmgt]?)?$/i.exec(uri.trim())?.[1]?.toLowerCase(),
  }));
  const findings = await Promise.all(
    found.map(async ({ host, uri }) => {
      if (host === undefined)
        return say(
          'warning',
          'reports go to ' + uri + ', which is no mailto: address',
          'Correct rua, such as rua=mailto:dmarc@' + at + '.',
        );
      if (host === at || host.endsWith('.' + at)) return undefined;
      // RFC 7489 section 7.1: who gets reports about others must have agreed, or could be flooded.
      const agreed = await textsOf(look, at + '._report._dmarc.' + host, mark);
      if (agreed.kind === 'unknown')
        return say('unknown', 'whether ' + host + ' takes reports: ' + agreed.text, resolverRemedy);
      if (agreed.kind === 'found') return undefined;
      const name = at + '._report._dmarc.' + host;
      return say(
        'warning',
        'reports go to ' + host + ', which has not agreed to take them',
        'Let it publish a TXT record at ' + name + ': v=DMARC1',
      );
    }),
  );
  return findings.filter((finding) => finding !== undefined);
}
