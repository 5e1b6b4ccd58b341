// Every combination of who, where and what at a broker, and by a list of its own what is legitimate.
import { leaves, topicOf } from '#shared/topics.ts';
import type { Address, Leaf } from '#shared/topics.ts';

export const mine: Address = { tenant: 'acme', agent: 'nas-1' };
export const neighbour: Address = { tenant: 'acme', agent: 'nas-2' };
export const stranger: Address = { tenant: 'other', agent: 'nas-1' };

export type Role = 'agent' | 'enrolling';
export type Operation =
  | { readonly kind: 'publish'; readonly qos: 0 | 1 | 2; readonly retain: boolean }
  | { readonly kind: 'will'; readonly qos: 0 | 1 | 2; readonly retain: boolean }
  | { readonly kind: 'subscribe' };
export type Row = {
  readonly role: Role;
  readonly topic: string;
  readonly operation: Operation;
  readonly isLegitimate: boolean;
};

const foreignTopics = [
  '$SYS/broker/uptime',
  '$SYS/#',
  '$CONTROL/dynamic-security/v1',
  '$share/group/' + topicOf(neighbour, 'up'),
  '#',
  '+/+/+/+/+',
  'mailferry/#',
  'mailferry/1/acme/#',
  'mailferry/1/acme/+/ack',
  'mailferry/1/+/nas-1/ack',
  'mailferry/1/acme/nas-1/#',
  'mailferry/1/acme/nas-1/+',
  'mailferry/1/acme/nas-1/ack/more',
  'mailferry/1/acme/nas-1',
  'mailferry/2/acme/nas-1/up',
  'mailferry/1/acme/nas-1/unknown',
  'mailferry/1/acme/nas-1/up/',
  '/mailferry/1/acme/nas-1/up',
  'mailferry/1/ACME/nas-1/up',
  'other/topic',
] as const;

/** ROLE LEAF OPERATION, with the own leaf. */
const legitimate = new Set([
  'agent up publish',
  'agent status publish',
  'agent status publish retained',
  'agent reply publish',
  'agent up will',
  'agent status will',
  'agent status will retained',
  'agent reply will',
  'agent ack subscribe',
  'agent cmd subscribe',
  'agent site subscribe',
  'agent status subscribe',
  'enrolling enrol publish',
  'enrolling enrol will',
  'enrolling enrolled subscribe',
]);

const operations: readonly Operation[] = [
  ...([0, 1, 2] as const).flatMap((qos) => [
    { kind: 'publish' as const, qos, retain: false },
    { kind: 'publish' as const, qos, retain: true },
  ]),
  { kind: 'will', qos: 1, retain: false },
  { kind: 'will', qos: 1, retain: true },
  { kind: 'will', qos: 2, retain: true },
  { kind: 'subscribe' },
];

export function rightsTable(): readonly Row[] {
  const owners = [mine, neighbour, stranger];
  const topics: readonly (readonly [topic: string, leaf: Leaf | undefined])[] = [
    ...owners.flatMap((owner) =>
      leaves.map((leaf) => [topicOf(owner, leaf), owner === mine ? leaf : undefined] as const),
    ),
    ...foreignTopics.map((topic) => [topic, undefined] as const),
  ];
  return (['agent', 'enrolling'] as const).flatMap((role) =>
    topics.flatMap(([topic, leaf]) =>
      operations
        .filter(({ kind }) => kind === 'subscribe' || !/[#+]/.test(topic))
        .map((operation) => ({ role, topic, operation, isLegitimate: isLegitimate(role, leaf, operation) })),
    ),
  );
}

function isLegitimate(role: Role, leaf: Leaf | undefined, operation: Operation): boolean {
  if (leaf === undefined || (operation.kind !== 'subscribe' && operation.qos === 2)) return false;
  const retained = operation.kind !== 'subscribe' && operation.retain ? ' retained' : '';
  return legitimate.has(role + ' ' + leaf + ' ' + operation.kind + retained);
}

export const describeRow = ({ role, topic, operation }: Row): string =>
  [
    role,
    operation.kind,
    'qos' in operation ? 'QoS ' + operation.qos : '',
    'retain' in operation && operation.retain ? 'retained' : '',
    topic,
  ].join(' ');
