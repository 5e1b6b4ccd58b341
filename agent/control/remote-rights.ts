// What the collector may ask for (rule of safety 9). Pure. Without the owner's word it may look, test and fetch, and sees no
// person's address and no subject; what changes something needs its name in `report.allow`; what answers for the owner is
// never to be had from afar.
import type { CommandSpec } from './commands.ts';

/** Allows to see addresses, subjects and headers. */
export const detailsRight = 'details';
/** Allows to change the configuration without asking. */
export const configureRight = 'configure';

/** Changes nothing but when mail is fetched. */
const harmless: ReadonlySet<string> = new Set(['fetch']);
/** They show what a mail says. */
const telling: ReadonlySet<string> = new Set(['queue show', 'quarantine show']);
/** The word of whoever stands at this machine. */
const onlyHere: ReadonlySet<string> = new Set(['adopt', 'change accept', 'change reject', 'change show']);

export type Right =
  | { readonly allowed: true; readonly details: boolean }
  | { readonly allowed: false; readonly why: string };

export function rightTo(name: string, spec: Pick<CommandSpec, 'readOnly'>, allow: readonly string[]): Right {
  if (onlyHere.has(name)) return { allowed: false, why: name + ' can be said at the agent alone' };
  const details = allow.includes(detailsRight);
  const named = allow.includes(name) || allow.includes(name.split(' ')[0] ?? name);
  const open = harmless.has(name) || (spec.readOnly && (details || !telling.has(name)));
  if (named || open) return { allowed: true, details };
  const needed = spec.readOnly ? detailsRight : name;
  return {
    allowed: false,
    why:
      'the owner of this agent does not allow it; option report.allow there would have to name ' +
      JSON.stringify(needed),
  };
}

const addresses = /([A-Za-z0-9!#$%&'*+/=?^_`{|}~.\u0080-\uffff-]+)@([A-Za-z0-9.\u0080-\uffff-]+)/g;
const left = '(not shown)';
/** Fields of answers that say what a mail is about. */
const personal: ReadonlySet<string> = new Set(['subject', 'header', 'from', 'file']);

/** The answer without what is nobody's business elsewhere; the domain of an address stays. */
export function withoutDetails(value: unknown): unknown {
  if (typeof value === 'string')
    return value.replaceAll(addresses, (_, local: string, domain: string) => local.slice(0, 1) + '***@' + domain);
  if (Array.isArray(value)) return value.map(withoutDetails);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [name, personal.has(name) && one !== '' ? left : withoutDetails(one)]),
  );
}
