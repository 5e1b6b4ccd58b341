// Does an SPF record let an address send (RFC 7208 section 4)? Counts what the evaluation costs, and goes on beyond what
// receivers allow when it is told to, so that the cost is known of a record that is too expensive.
import { addressTarget } from '../names.ts';
import type { Look, Looked } from './look.ts';
import { expandMacros, isWithin, parseAddress, readRecord } from './spf-record.ts';
import type { Address, SpfRecord, Term } from './spf-record.ts';

export type SpfResult = 'pass' | 'fail' | 'softfail' | 'neutral' | 'none' | 'permerror' | 'temperror';
export type Evaluation = {
  readonly result: SpfResult;
  /** Why it is an error; else empty. */
  readonly reason: string;
  /** Terms that ask DNS. */
  readonly lookups: number;
  /** Those of them that found nothing. */
  readonly voids: number;
};
export type Question = {
  readonly domain: string;
  readonly address: string;
  readonly mostLookups: number;
  readonly mostVoids: number;
};

/** Ends the evaluation, wherever in it. */
class SpfError extends Error {
  readonly result: 'permerror' | 'temperror';
  constructor(result: 'permerror' | 'temperror', message: string) {
    super(message);
    this.result = result;
  }
}

/** Hosts of one mx, names of one ptr (section 4.6.4). */
const mostHosts = 10;
const mostDepth = 50;

export async function evaluateSpf(question: Question, look: Look): Promise<Evaluation> {
  const client = parseAddress(question.address);
  const cost = { lookups: 0, voids: 0 };
  if (client === undefined) return { result: 'permerror', reason: question.address + ' is no address', ...cost };
  try {
    const result = await checkHost(question.domain, { question, client, cost, look }, 0);
    return { result, reason: '', ...cost };
  } catch (error) {
    if (!(error instanceof SpfError)) throw error;
    return { result: error.result, reason: error.message, ...cost };
  }
}

type Run = {
  readonly question: Question;
  readonly client: Address;
  readonly cost: { lookups: number; voids: number };
  readonly look: Look;
};

async function checkHost(domain: string, run: Run, depth: number): Promise<SpfResult> {
  if (depth > mostDepth) throw new SpfError('permerror', 'it includes itself');
  const texts = await run.look(domain, 'TXT');
  if (texts.kind === 'unknown') throw new SpfError('temperror', texts.text);
  if (texts.kind === 'none') {
    if (depth > 0) countVoid(run);
    return 'none';
  }
  const records = texts.values.filter((text) => /^v=spf1(?: |$)/i.test(text));
  if (records.length > 1) throw new SpfError('permerror', domain + ' has ' + records.length + ' SPF records');
  const [text] = records;
  if (text === undefined) return 'none';
  const record = readRecord(text);
  if (typeof record === 'string') throw new SpfError('permerror', record + ' (record of ' + domain + ')');
  for (const term of record.terms) if (await matches(term, domain, run, depth)) return term.qualifier;
  return redirected(record, domain, run, depth);
}

async function redirected(record: SpfRecord, domain: string, run: Run, depth: number): Promise<SpfResult> {
  if (record.redirect === undefined) return 'neutral';
  countLookup(run);
  const target = await expand(record.redirect, domain, run);
  const result = await checkHost(target, run, depth + 1);
  if (result === 'none') throw new SpfError('permerror', 'redirect leads to ' + target + ', which has no SPF record');
  return result;
}

async function matches(term: Term, domain: string, run: Run, depth: number): Promise<boolean> {
  const { client } = run;
  const bits = client.bits === 32 ? term.bits4 : term.bits6;
  const covers = (text: string): boolean => {
    const network = parseAddress(text);
    return network !== undefined && isWithin(client, network, bits);
  };
  if (term.mechanism === 'all') return true;
  if (term.mechanism === 'ip4' || term.mechanism === 'ip6') return covers(term.target);
  countLookup(run);
  const target = term.target === '' ? domain : await expand(term.target, domain, run);
  switch (term.mechanism) {
    case 'include':
      return included(target, run, depth);
    case 'a':
      return (await hostAddresses(target, run, true)).some(covers);
    case 'mx': {
      const hosts = valuesOf(await run.look(target, 'MX'), run).map((value) => value.slice(value.indexOf(' ') + 1));
      if (hosts.length > mostHosts)
        throw new SpfError('permerror', target + ' has ' + hosts.length + ' MX hosts, ' + mostHosts + ' are allowed');
      const found = await Promise.all(
        hosts.filter((host) => host !== '.').map((host) => hostAddresses(host, run, false)),
      );
      return found.flat().some(covers);
    }
    case 'ptr': {
      const wanted = target.toLowerCase();
      return (await confirmedNames(run, true)).some((name) => name === wanted || name.endsWith('.' + wanted));
    }
    case 'exists':
      return valuesOf(await run.look(target, 'A'), run).length > 0;
  }
}

async function included(target: string, run: Run, depth: number): Promise<boolean> {
  const result = await checkHost(target, run, depth + 1);
  if (result === 'none') throw new SpfError('permerror', 'it includes ' + target + ', which has no SPF record');
  return result === 'pass';
}

async function hostAddresses(host: string, run: Run, counts: boolean): Promise<readonly string[]> {
  const looked = await run.look(host, run.client.bits === 32 ? 'A' : 'AAAA');
  if (looked.kind === 'none' && !counts) return [];
  return valuesOf(looked, run);
}

/** Names of the client that lead back to it (section 5.5); a failure of DNS here only means that there are none. */
async function confirmedNames(run: Run, counts: boolean): Promise<readonly string[]> {
  const { client, look, question } = run;
  const target = addressTarget(question.address);
  if (target === undefined) return [];
  const names = await look(target.name + (client.bits === 128 ? '.ip6.arpa' : '.in-addr.arpa'), 'PTR');
  if (names.kind === 'none' && counts) countVoid(run);
  if (names.kind !== 'found') return [];
  const answers = await Promise.all(
    names.values.slice(0, mostHosts).map(async (name) => {
      const found = await look(name, client.bits === 32 ? 'A' : 'AAAA');
      const leads = found.kind === 'found' && found.values.some((text) => parseAddress(text)?.value === client.value);
      return leads ? [name.toLowerCase()] : [];
    }),
  );
  return answers.flat();
}

async function expand(text: string, domain: string, run: Run): Promise<string> {
  if (!text.includes('%')) return text;
  const { client, question } = run;
  const dotted = (): string =>
    client.bits === 32
      ? question.address.replace(/^::ffff:/i, '')
      : Array.from(client.value.toString(16).padStart(32, '0')).join('.');
  const own = /%\{p/i.test(text) ? (await confirmedNames(run, false))[0] : undefined;
  return expandMacros(text, (letter) => {
    switch (letter) {
      case 's':
        return 'postmaster@' + question.domain;
      case 'l':
        return 'postmaster';
      case 'o':
      case 'h':
        return question.domain;
      case 'd':
        return domain;
      case 'i':
      case 'c':
        return dotted();
      case 'v':
        return client.bits === 32 ? 'in-addr' : 'ip6';
      default:
        return own ?? 'unknown';
    }
  });
}

function countLookup({ cost, question }: Run): void {
  cost.lookups += 1;
  if (cost.lookups > question.mostLookups)
    throw new SpfError('permerror', 'more than ' + question.mostLookups + ' look-ups');
}

function countVoid({ cost, question }: Run): void {
  cost.voids += 1;
  if (cost.voids > question.mostVoids)
    throw new SpfError('permerror', 'more than ' + question.mostVoids + ' names that do not exist');
}

function valuesOf(looked: Looked, run: Run): readonly string[] {
  if (looked.kind === 'unknown') throw new SpfError('temperror', looked.text);
  if (looked.kind === 'found') return looked.values;
  countVoid(run);
  return [];
}
