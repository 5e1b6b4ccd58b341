// The only place where MQTT topic text is spelled: mailferry/1/<tenant>/<agent>/<leaf>.

/**
 * From the agent: up (batches), status (retained), reply (to commands), enrol (once, with a code).
 * To the agent: ack, cmd, enrolled (the answer to enrol), site (retained: where the collector is, whom to trust).
 */
export const leaves = ['up', 'status', 'ack', 'cmd', 'reply', 'enrol', 'enrolled', 'site'] as const;
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

/** At the broker, an agent that comes with a code for one use is somebody else than the agent itself. */
export function enrolUserOf(address: Address): string {
  return 'enrol/' + address.tenant + '/' + address.agent;
}

/** Its client id; `process`: 8 to 32 hexadecimal digits. */
export function enrolClientIdOf(address: Address, process: string): string {
  return clientIdOf(address) + '.enrol.' + process;
}

export function isEnrolClientIdOf(address: Address, clientId: string): boolean {
  const own = clientIdOf(address) + '.enrol.';
  return clientId.startsWith(own) && /^[0-9a-f]{8,32}$/.test(clientId.slice(own.length));
}

/** The account of an agent at the broker. */
export function userOf(address: Address): string {
  return address.tenant + '/' + address.agent;
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
