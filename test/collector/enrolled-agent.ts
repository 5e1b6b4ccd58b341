// An agent as the broker sees it, played by the MQTT library: it enrols with a code, reports, and hears what it is told.
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectTls } from 'node:tls';
import { connect } from 'mqtt';
import type { IClientOptions, MqttClient } from 'mqtt';
import { decodeCode, fingerprintOf, newSecret } from '#shared/enrolment.ts';
import { clientIdOf, enrolClientIdOf, enrolUserOf, topicOf, userOf } from '#shared/topics.ts';
import type { Address, Leaf } from '#shared/topics.ts';
import { decodeEnrolAnswer, encodeBatch, encodeEnrolRequest, encodeStatus } from '#shared/wire.ts';
import { createPoint } from '#shared/meter.ts';
import { waitFor } from '../lab/wait.ts';

export type Entered = {
  readonly client: MqttClient;
  /** What was heard, by leaf, oldest first. */
  readonly heard: (leaf: Leaf) => readonly string[];
  readonly end: () => void;
};

/** Resolves with the connection, or with why there is none. */
export async function enter(
  url: string,
  options: IClientOptions & { readonly origin: Address; readonly leaves: readonly Leaf[] },
): Promise<Entered | string> {
  const { origin, leaves, ...rest } = options;
  const client = connect(url, { protocolVersion: 4, reconnectPeriod: 0, connectTimeout: 10_000, ...rest });
  let reason = 'closed';
  client.on('error', (error) => void (reason = error.message));
  const { promise, resolve } = Promise.withResolvers<boolean>();
  client.on('connect', () => resolve(true));
  client.on('close', () => resolve(false));
  if (!(await promise)) return reason;
  const messages: { readonly topic: string; readonly text: string }[] = [];
  client.on('message', (topic, payload) => void messages.push({ topic, text: payload.toString('utf8') }));
  if (leaves.length > 0)
    await client.subscribeAsync(
      leaves.map((leaf) => topicOf(origin, leaf)),
      { qos: 1 },
    );
  return {
    client,
    heard: (leaf) => messages.filter(({ topic }) => topic === topicOf(origin, leaf)).map(({ text }) => text),
    end: () => void client.end(true),
  };
}

/** As the account of an agent, born. */
export async function enterAsAgent(
  url: string,
  origin: Address,
  options: { readonly password: string; readonly ca?: string; readonly born?: boolean },
): Promise<Entered | string> {
  const entered = await enter(url, {
    origin,
    leaves: ['ack', 'cmd', 'site'],
    clientId: clientIdOf(origin),
    username: userOf(origin),
    password: options.password,
    ...(options.ca === undefined ? {} : { ca: options.ca }),
  });
  if (typeof entered === 'string' || options.born === false) return entered;
  const birth = encodeStatus({ state: 'online', connection: 'connection-1', at: Date.now(), version: '1.0.0' });
  await entered.client.publishAsync(topicOf(origin, 'status'), birth, { qos: 1, retain: true });
  return entered;
}

export function report(entered: Entered, origin: Address, seq: number): void {
  const points = [createPoint('queue', Date.now(), {}, { depth: seq, oldest_seconds: 0, held: 0, unknown: 0 })];
  const batch = encodeBatch({ outbox: 'outbox-0001', seq, oldest: 1, at: Date.now(), points });
  entered.client.publish(topicOf(origin, 'up'), batch, { qos: 1 }, () => {});
}

/** The certificate that has the fingerprint, out of what the server shows; throws when it shows none. */
export async function findAuthority(url: string, fingerprint: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connectTls({ host: hostname, port: Number(port), servername: 'localhost', rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const shown = socket.getPeerCertificate(true).issuerCertificate;
  socket.destroy();
  if (fingerprintOf(shown.raw) !== fingerprint) throw new Error('another authority');
  return new X509Certificate(shown.raw).toString();
}

/** The whole enrolment with a code. Gives what the agent has afterwards, or what it was told. */
export async function enrol(
  text: string,
  options: { readonly secret?: string } = {},
): Promise<{ readonly secret: string; readonly ca: string | undefined; readonly url: string } | string> {
  const code = decodeCode(text);
  const secret = options.secret ?? newSecret();
  const [url = ''] = code.urls;
  const ca = code.fingerprint === undefined ? undefined : await findAuthority(url, code.fingerprint);
  const entered = await enter(url, {
    origin: code,
    leaves: ['enrolled'],
    clientId: enrolClientIdOf(code, '0123456789abcdef'),
    username: enrolUserOf(code),
    password: code.secret,
    ...(ca === undefined ? {} : { ca }),
  });
  if (typeof entered === 'string') return entered;
  try {
    const request = encodeEnrolRequest({ secret, version: '1.0.0', key: 'public key' });
    entered.client.publish(topicOf(code, 'enrol'), request, { qos: 1 }, () => {});
    await waitFor('the answer', () => entered.heard('enrolled').length > 0);
    const answer = decodeEnrolAnswer(Buffer.from(entered.heard('enrolled')[0] ?? ''));
    if (!answer.ok || !answer.value.ok) return answer.ok ? (answer.value.problem ?? '') : answer.problem;
    return { secret, ca, url };
  } finally {
    entered.end();
  }
}
