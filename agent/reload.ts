// What another configuration changes in an agent that runs, and what has to be opened anew for it. Pure. Promise: what cannot
// be changed while the agent runs is named and stays as it was.
import { isDeepStrictEqual } from 'node:util';
import type { AgentConfig } from './config.ts';

/** `receive`, `send`: that room alone, the other goes on. `all`: every room, one after the other, in the same process. */
export type Scope = 'nothing' | 'receive' | 'send' | 'both' | 'all';
export type Difference = {
  /** For a person, one a changed thing: `mailbox sales: added`. */
  readonly changes: readonly string[];
  readonly scope: Scope;
  /** Options that count from the next start on. */
  readonly restart: readonly string[];
  /** The new configuration with those as they were. */
  readonly next: AgentConfig;
};

/** Bound to the state folder, to the page's socket, or to the name under which all is reported. */
const fixed = ['tenant', 'agent', 'state', 'page'] as const;
const ofReceive: readonly string[] = ['accounts', 'check'];
const ofSend: readonly string[] = ['relays', 'submission'];

/** `changedFiles`: options of the top level whose secrets or certificates are others now. */
export function compareConfigs(
  before: AgentConfig,
  after: AgentConfig,
  changedFiles: readonly string[] = [],
): Difference {
  const kept: Record<string, unknown> = {};
  const restart: string[] = [];
  for (const option of fixed) {
    if (before[option] !== undefined) kept[option] = before[option];
    if (!isDeepStrictEqual(before[option], after[option])) restart.push(option);
  }
  // Every option of the new one but those; the same shape, since the kept ones come from a configuration too.
  const next = { ...omitFixed(after), ...kept } as AgentConfig;
  const options = [...new Set([...Object.keys(before), ...Object.keys(next)])].sort();
  const changed = options.filter((option) => !isDeepStrictEqual(valueOf(before, option), valueOf(next, option)));
  const touched = [...new Set([...changed, ...changedFiles.filter((option) => options.includes(option))])];
  return {
    changes: touched.flatMap((option) => describeChange(option, before, next)),
    scope: scopeOf(touched, before, next),
    restart,
    next,
  };
}

function omitFixed(config: AgentConfig): Partial<AgentConfig> {
  const rest = Object.entries(config).filter(([option]) => !fixed.some((one) => one === option));
  return Object.fromEntries(rest);
}

const valueOf = (config: AgentConfig, option: string): unknown =>
  Object.entries(config).find(([key]) => key === option)?.[1];

function scopeOf(touched: readonly string[], before: AgentConfig, next: AgentConfig): Scope {
  if (touched.length === 0) return 'nothing';
  const [receive, send] = [ofReceive, ofSend].map((options) => touched.some((one) => options.includes(one)));
  const others = touched.some((one) => !ofReceive.includes(one) && !ofSend.includes(one));
  // Round trips and checks of the domain hang on mailboxes and relays.
  const isWatched = [before, next].some(({ probe }) => Object.keys(probe ?? {}).some((option) => option !== 'dnsbl'));
  if (others || isWatched) return 'all';
  if (receive === true && send === true) return 'both';
  return receive === true ? 'receive' : 'send';
}

type Named = { readonly id: string };

function describeChange(option: string, before: AgentConfig, next: AgentConfig): readonly string[] {
  if (option === 'accounts') return describeList('mailbox', before.accounts, next.accounts);
  if (option === 'relays') return describeList('relay', before.relays, next.relays);
  const [was, is] = [valueOf(before, option), valueOf(next, option)];
  if (was === undefined) return [option + ': added'];
  return [option + (is === undefined ? ': removed' : ': changed')];
}

function describeList(what: string, before: readonly Named[], next: readonly Named[]): readonly string[] {
  const find = (list: readonly Named[], id: string): Named | undefined => list.find((one) => one.id === id);
  const ids = [...new Set([...before, ...next].map((one) => one.id))];
  const lines = ids.flatMap((id) => {
    const [was, is] = [find(before, id), find(next, id)];
    if (was === undefined) return [what + ' ' + id + ': added'];
    if (is === undefined) return [what + ' ' + id + ': removed'];
    return isDeepStrictEqual(was, is) ? [] : [what + ' ' + id + ': changed'];
  });
  // Another order, or another password in the same file.
  return lines.length > 0 ? lines : [what + ': changed'];
}
