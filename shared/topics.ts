// The only place where MQTT topic text is spelled: mailferry/1/<tenant>/<agent>/<leaf>.

export const leaves = ['up', 'status', 'ack', 'cmd', 'reply'] as const;
export type Leaf = (typeof leaves)[number];
export type Address = { readonly tenant: string; readonly agent: string };

/** Tenant and agent names: no wildcard, no slash, no upper case. */
export const namePattern = '^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$';
const name = new RegExp(namePattern);
const prefix = 'mailferry/1';

export function topicOf(address: Address, leaf: Leaf): string {
  for (const part of [address.tenant, address.agent]) {
    if (!name.test(part))
      throw new Error(
        'Cannot build a topic: name ' + JSON.stringify(part) + ', expected [a-z0-9-], 1 to 32 characters',
      );
  }
  return [prefix, address.tenant, address.agent, leaf].join('/');
}

/**
 * Client id of an agent: one at a time, so that a second agent with the same identity is seen by the broker. The dot is in no
 * name: with a dash, a-b/c and a/b-c would throw each other out.
 */
export function clientIdOf(address: Address): string {
  return 'mailferry-' + address.tenant + '.' + address.agent;
}

/** Client id of an agent that is held: another one for each process, so that none throws another out. */
export function heldClientIdOf(address: Address, process: string): string {
  return clientIdOf(address) + '.held.' + process;
}

export function isClientIdOf(address: Address, clientId: string): boolean {
  const own = clientIdOf(address);
  if (clientId === own) return true;
  const held = own + '.held.';
  return clientId.startsWith(held) && /^[0-9a-f]{8,32}$/.test(clientId.slice(held.length));
}

/** Subscription for one leaf of every agent. */
export function filterOf(leaf: Leaf): string {
  return [prefix, '+', '+', leaf].join('/');
}

export function parseTopic(topic: string): (Address & { readonly leaf: Leaf }) | undefined {
  const parts = topic.split('/');
  const [root, version, tenant, agent, leaf] = parts;
  if (parts.length !== 5 || root + '/' + version !== prefix) return undefined;
  if (tenant === undefined || agent === undefined || !name.test(tenant) || !name.test(agent)) return undefined;
  const known = leaves.find((candidate) => candidate === leaf);
  return known === undefined ? undefined : { tenant, agent, leaf: known };
}
