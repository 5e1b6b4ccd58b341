// Accounts at a mosquitto with its dynamic-security plugin, changed while it runs. Traps: what changes the roles of a client
// throws that client out, so our own are looked at before they are changed; passwords travel in clear inside the connection,
// so it must be TLS or loopback; the broker keeps the accounts, not we: put it back from its own backup.
import { randomBytes } from 'node:crypto';
import type { MqttClient } from 'mqtt';
import { UserError } from '#shared/failure.ts';
import { isRecord, parseJson } from '#shared/json.ts';
import { enrolUserOf, filterOf, topicOf, userOf } from '#shared/topics.ts';
import type { Address, Leaf } from '#shared/topics.ts';
import type { BrokerAccounts } from './embedded.ts';

const requestTopic = '$CONTROL/dynamic-security/v1';
const responseTopic = requestTopic + '/response';
const standardAnswerMs = 10_000;
const ownRole = 'mailferry collector';

type Command = Readonly<Record<string, unknown>> & { readonly command: string };
type Acl = { readonly acltype: string; readonly topic: string; readonly allow: true; readonly priority: 0 };

const allow = (acltype: string, topic: string): Acl => ({ acltype, topic, allow: true, priority: 0 });
const speaks = (topic: string): Acl => allow('publishClientSend', topic);
const hears = (topic: string): readonly Acl[] => [
  allow('subscribeLiteral', topic),
  allow('unsubscribeLiteral', topic),
  allow('publishClientReceive', topic),
];

/** Resolves when the broker knows us as its collector. Throws UserError when this account may not manage it. */
export async function manageDynamicSecurity(
  client: MqttClient,
  user: string,
  answerMs = standardAnswerMs,
): Promise<BrokerAccounts> {
  const ask = await openConversation(client, answerMs);

  /** `known`: what the broker may answer when it is so already. */
  async function order(command: Command, known: RegExp = /^$/): Promise<void> {
    const error = (await ask(command)).error;
    if (error !== undefined && !known.test(error))
      throw new UserError(
        'Cannot manage the broker: it answers "' +
          error +
          '" to ' +
          command.command +
          ', expected an account that may (role admin); check option broker.user',
      );
  }

  async function ensureOwnRole(): Promise<void> {
    await order({ command: 'createRole', rolename: ownRole, acls: collectorAcls() }, /already exists/i);
    const { data } = await ask({ command: 'getClient', username: user });
    if (!JSON.stringify(data ?? null).includes(JSON.stringify(ownRole)))
      await order({ command: 'addClientRole', username: user, rolename: ownRole }, /already/i);
  }

  async function giveAccount(
    username: string,
    password: string,
    rolename: string,
    acls: readonly Acl[],
  ): Promise<void> {
    await order({ command: 'createRole', rolename, acls }, /already exists/i);
    const made = await ask({ command: 'createClient', username, password, roles: [{ rolename, priority: 0 }] });
    if (made.error === undefined) return;
    if (!/already exists/i.test(made.error)) await order({ command: 'createClient', username, password });
    await order({ command: 'setClientPassword', username, password });
  }

  await ensureOwnRole();
  return {
    invited: (origin, secret) =>
      giveAccount(enrolUserOf(origin), secret, 'mailferry enrol ' + userOf(origin), enrolAcls(origin)),
    async enrolled(origin, secret) {
      // Whoever is connected as the agent is thrown out with the account.
      await order({ command: 'deleteClient', username: userOf(origin) }, /not found/i);
      await giveAccount(userOf(origin), secret, 'mailferry agent ' + userOf(origin), agentAcls(origin));
    },
    async revoked(origin) {
      for (const username of [userOf(origin), enrolUserOf(origin)])
        await order({ command: 'deleteClient', username }, /not found/i);
    },
  };
}

function agentAcls(origin: Address): readonly Acl[] {
  const own = (leaf: Leaf): string => topicOf(origin, leaf);
  return [
    ...(['up', 'status', 'reply'] as const).map((leaf) => speaks(own(leaf))),
    ...(['ack', 'cmd', 'site', 'status'] as const).flatMap((leaf) => hears(own(leaf))),
  ];
}

function enrolAcls(origin: Address): readonly Acl[] {
  return [speaks(topicOf(origin, 'enrol')), ...hears(topicOf(origin, 'enrolled'))];
}

function collectorAcls(): readonly Acl[] {
  return [
    ...(['up', 'status', 'reply', 'enrol'] as const).flatMap((leaf) => [
      allow('subscribePattern', filterOf(leaf)),
      allow('publishClientReceive', filterOf(leaf)),
    ]),
    ...(['ack', 'cmd', 'site', 'enrolled'] as const).map((leaf) => speaks(filterOf(leaf))),
  ];
}

type Answer = { readonly error: string | undefined; readonly data: unknown };

async function openConversation(client: MqttClient, answerMs: number): Promise<(command: Command) => Promise<Answer>> {
  const waiting = new Map<string, (answer: Answer) => void>();
  client.on('message', (topic, payload) => {
    if (topic !== responseTopic) return;
    const parsed = parseJson(payload.toString('utf8'));
    const responses = isRecord(parsed) && Array.isArray(parsed['responses']) ? (parsed['responses'] as unknown[]) : [];
    for (const response of responses.filter(isRecord)) {
      const error = typeof response['error'] === 'string' ? response['error'] : undefined;
      waiting.get(String(response['correlationData']))?.({ error, data: response['data'] });
    }
  });
  await client.subscribeAsync(responseTopic, { qos: 1 });
  return async (command) => {
    const correlationData = randomBytes(8).toString('hex');
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const refuse = (why: string): void =>
      reject(
        new UserError(
          'Cannot manage the broker: ' +
            why +
            ', expected mosquitto with its dynamic-security plugin, and an account that may use it; check options broker.user and broker.manage',
        ),
      );
    const timer = setTimeout(() => refuse('no answer to ' + command.command + ' within ' + answerMs + ' ms'), answerMs);
    const onClose = (): void => refuse('the connection ended');
    client.once('close', onClose);
    waiting.set(correlationData, resolve);
    client.publish(requestTopic, JSON.stringify({ commands: [{ ...command, correlationData }] }), { qos: 1 }, () => {});
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      client.off('close', onClose);
      waiting.delete(correlationData);
    }
  };
}
