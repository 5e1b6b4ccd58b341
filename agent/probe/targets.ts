// Whose listings matter: the line of the site, the addresses that the relay sends from, and the domains of the senders. Names
// are looked up at each round, since the address of a line changes.
import type { ListTarget } from './dnsbl.ts';
import type { Dns } from './dns.ts';
import { addressTarget, domainTarget } from './names.ts';

export type Targets = {
  /** Never throws; a name that cannot be looked up keeps the addresses it had. */
  readonly gather: (dns: Dns, signal: AbortSignal) => Promise<readonly ListTarget[]>;
  /** Names without an address, and why. */
  readonly problems: () => ReadonlyMap<string, string>;
};

/** Addresses that others have learned, from the mail that came back. */
export type Learned = { readonly site?: readonly string[]; readonly relay?: readonly string[] };

export type TargetOptions = {
  readonly addresses: readonly string[];
  readonly names: readonly string[];
  readonly relayAddresses: readonly string[];
  readonly domains: readonly string[];
  readonly learned?: () => Learned;
};

/** Of what is learned: more would be a mistake, or somebody's mischief. */
const maxLearned = 32;

/** The options are known to be addresses, names and domains. */
export function createTargets(options: TargetOptions): Targets {
  const known = new Map<string, readonly string[]>();
  const problems = new Map<string, string>();

  async function lookUp(dns: Dns, name: string, signal: AbortSignal): Promise<readonly string[]> {
    const answers = await Promise.all((['A', 'AAAA'] as const).map((type) => dns.ask({ name, type }, signal)));
    const failure = answers.find((answer) => answer.kind === 'failed');
    if (failure !== undefined) {
      problems.set(name, failure.text);
      return known.get(name) ?? [];
    }
    const found = answers.flatMap((answer) => (answer.kind === 'records' ? answer.values : []));
    if (found.length === 0) problems.set(name, 'has no address');
    else problems.delete(name);
    known.set(name, found);
    return found;
  }

  const withRole = (texts: readonly string[], role: 'site' | 'relay'): readonly ListTarget[] =>
    texts.flatMap((text) => {
      const target = addressTarget(text.trim());
      return target === undefined ? [] : { ...target, role };
    });

  return {
    async gather(dns, signal) {
      const looked = await Promise.all(options.names.map((name) => lookUp(dns, name, signal)));
      const learned = options.learned?.() ?? {};
      const all: readonly ListTarget[] = [
        ...withRole([...options.addresses, ...looked.flat(), ...(learned.site ?? []).slice(0, maxLearned)], 'site'),
        ...withRole([...options.relayAddresses, ...(learned.relay ?? []).slice(0, maxLearned)], 'relay'),
        ...options.domains.flatMap((text) => domainTarget(text) ?? []),
      ];
      const unique = new Map<string, ListTarget>();
      for (const target of all) if (!unique.has(target.label)) unique.set(target.label, target);
      return [...unique.values()];
    },
    problems: () => problems,
  };
}
