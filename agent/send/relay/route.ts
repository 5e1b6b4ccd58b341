// Which relay a mail goes by. Pure: the configuration decides, and which relays are out of service now.

/** What routes look at. `senders`: whole addresses, or `@domain`. */
export type Route = {
  readonly id: string;
  readonly senders?: readonly string[];
  readonly fallback: readonly string[];
};
export type RouteProblem = {
  readonly path: readonly (string | number)[];
  readonly found: string;
  readonly expected: string;
};

/** The relay of a sender: named by its address, else by its domain, else the first relay without `senders`. */
export function createRouteOf(relays: readonly Route[]): (sender: string) => string | undefined {
  const named = new Map<string, string>();
  for (const { id, senders = [] } of relays)
    for (const sender of senders) if (!named.has(keyOf(sender))) named.set(keyOf(sender), id);
  const standard = relays.find((relay) => relay.senders === undefined)?.id;
  // A bounce belongs to no account; a provider takes it from any of its customers, or from none.
  const ofNobody = standard ?? relays[0]?.id;
  return (sender) => {
    if (sender === '') return ofNobody;
    return named.get(keyOf(sender)) ?? named.get(keyOf(domainOf(sender))) ?? standard;
  };
}

/** A relay and all that send in its place, in the order in which they are asked: its own first, then those of these. */
export function chainOf(relays: readonly Route[], id: string): readonly string[] {
  const chain: string[] = [];
  const follow = (next: string): void => {
    if (chain.includes(next)) return;
    const relay = relays.find((one) => one.id === next);
    if (relay === undefined) return;
    chain.push(next);
    for (const other of relay.fallback) follow(other);
  };
  follow(id);
  return chain;
}

/** Who sends for a relay now; itself when all of its chain are out of service. */
export function standInOf(chain: readonly string[], isOut: (id: string) => boolean): string | undefined {
  return chain.find((id) => !isOut(id)) ?? chain[0];
}

/** `senders`: what the users of submission may send as. */
export function findRouteProblem(relays: readonly Route[], senders: readonly string[]): RouteProblem | undefined {
  return (
    findDoubled(relays) ??
    findBadFallback(relays) ??
    findUseless(relays) ??
    (relays.length === 0 ? undefined : findUncovered(relays, senders))
  );
}

function findDoubled(relays: readonly Route[]): RouteProblem | undefined {
  const ids = new Set<string>();
  const named = new Set<string>();
  for (const [index, { id, senders = [] }] of relays.entries()) {
    const again = ' for the second time';
    if (ids.has(id))
      return {
        path: ['relays', index, 'id'],
        found: JSON.stringify(id) + again,
        expected: 'a name that no other relay has',
      };
    ids.add(id);
    for (const [place, sender] of senders.entries()) {
      const path = ['relays', index, 'senders', place];
      if (named.has(keyOf(sender)))
        return { path, found: JSON.stringify(sender) + again, expected: 'a sender that stands at one relay' };
      named.add(keyOf(sender));
    }
  }
  return undefined;
}

function findBadFallback(relays: readonly Route[]): RouteProblem | undefined {
  const ids = relays.map((relay) => relay.id);
  for (const [index, relay] of relays.entries()) {
    for (const [place, id] of relay.fallback.entries()) {
      const path = ['relays', index, 'fallback', place];
      if (!ids.includes(id))
        return { path, found: JSON.stringify(id), expected: 'the id of another relay: ' + ids.join(', ') };
      if (chainOf(relays, id).includes(relay.id))
        return {
          path,
          found: JSON.stringify(id) + ', which falls back on ' + JSON.stringify(relay.id),
          expected: 'no circle',
        };
    }
  }
  return undefined;
}

/** No mail would ever go by it, which its owner surely did not mean. */
function findUseless(relays: readonly Route[]): RouteProblem | undefined {
  const standard = relays.findIndex((relay) => relay.senders === undefined);
  const index = relays.findIndex(
    (relay, place) =>
      relay.senders === undefined && place !== standard && !relays.some((one) => one.fallback.includes(relay.id)),
  );
  if (index < 0) return undefined;
  return {
    path: ['relays', index, 'senders'],
    found: 'nothing, although ' + JSON.stringify(relays[standard]?.id) + ' takes all other senders already',
    expected: 'its senders, or its id in the fallback of another relay',
  };
}

function findUncovered(relays: readonly Route[], senders: readonly string[]): RouteProblem | undefined {
  const routeOf = createRouteOf(relays);
  // A whole domain needs a relay for the domain: one for an address of it is not enough.
  const uncovered = senders.find(
    (sender) => routeOf(sender.startsWith('@') ? 'any-other' + sender : sender) === undefined,
  );
  if (uncovered === undefined) return undefined;
  return {
    path: ['relays'],
    found: 'none for the sender ' + JSON.stringify(uncovered) + ' of submission',
    expected: 'a relay that names it in senders, or one without senders for all others',
  };
}

const keyOf = (sender: string): string => sender.toLowerCase();
const domainOf = (sender: string): string => sender.slice(sender.lastIndexOf('@'));
