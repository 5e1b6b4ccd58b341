// The whole table of rights at the embedded broker: what is foreign is refused and heard by nobody, what is legitimate works,
// in one run, while another agent of the same tenant reports and is acknowledged all the time.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { IClientOptions, MqttClient } from 'mqtt';
import { connect } from 'mqtt';
import { systemClock } from '#shared/clock.ts';
import { createLog } from '#shared/log.ts';
import { clientIdOf, enrolClientIdOf, enrolUserOf, topicOf, userOf } from '#shared/topics.ts';
import { createEmbeddedBroker } from '../../../collector/broker/embedded.ts';
import { waitFor } from '../../lab/wait.ts';
import { describeRow, mine, neighbour, rightsTable } from './rights-table.ts';
import type { Role, Row } from './rights-table.ts';

const secret = 'the right password';

async function setup(t: TestContext) {
  const received: { readonly topic: string; readonly text: string }[] = [];
  const take = (origin: typeof mine, leaf: Parameters<typeof topicOf>[1], payload: Uint8Array): void => {
    received.push({ topic: topicOf(origin, leaf), text: Buffer.from(payload).toString('utf8') });
    if (leaf === 'up' && origin.agent === neighbour.agent) acknowledge(origin, 'ack');
  };
  let acknowledge: (origin: typeof mine, payload: string) => void = () => {};
  const broker = createEmbeddedBroker({
    config: { kind: 'embedded', host: '127.0.0.1', port: 0, agents: [] },
    passwords: new Map([[userOf(neighbour), secret]]),
    identify: (user, password) => {
      if (password !== secret) return undefined;
      if (user === userOf(mine)) return { kind: 'agent', origin: mine };
      return user === enrolUserOf(mine) ? { kind: 'enrol', origin: mine } : undefined;
    },
    ingest: { receive: take, onAck: (publish) => void (acknowledge = publish) },
    onOther: take,
    clock: { ...systemClock, monotonic: () => 0 },
    log: createLog({ name: 'test', level: 'silent' }),
  });
  await broker.start();
  t.after(() => broker.stop());
  const url = 'mqtt://127.0.0.1:' + broker.address().port;
  const clients = new Set<MqttClient>();
  t.after(() => clients.forEach((client) => client.end(true)));

  async function enter(who: IClientOptions): Promise<MqttClient | undefined> {
    const client = connect(url, {
      protocolVersion: 4,
      reconnectPeriod: 0,
      connectTimeout: 30_000,
      password: secret,
      ...who,
    });
    clients.add(client);
    client.on('error', () => {});
    const { promise, resolve } = Promise.withResolvers<boolean>();
    client.on('connect', () => resolve(true));
    client.on('close', () => {
      clients.delete(client);
      resolve(false);
    });
    return (await promise) ? client : undefined;
  }
  const identityOf = (role: Role): IClientOptions =>
    role === 'agent'
      ? { username: userOf(mine), clientId: clientIdOf(mine) }
      : { username: enrolUserOf(mine), clientId: enrolClientIdOf(mine, '0123456789abcdef') };
  return { broker, received, enter, identityOf };
}
type Site = Awaited<ReturnType<typeof setup>>;

const ended = (client: MqttClient): Promise<void> =>
  new Promise((resolve) => void (client.connected ? client.once('close', () => resolve()) : resolve()));

/** Was it let through? By what the collector has heard, or what was granted; a client that is thrown out was refused. */
async function attempt(
  { received, enter, identityOf }: Site,
  row: Row,
  client: MqttClient | undefined,
): Promise<boolean> {
  const { topic, operation, role } = row;
  const text = describeRow(row);
  const heard = (): boolean => received.some((one) => one.topic === topic && one.text === text);
  if (operation.kind === 'will') {
    const { qos, retain } = operation;
    const dying = await enter({ ...identityOf(role), will: { topic, payload: Buffer.from(text), qos, retain } });
    if (dying === undefined) return false;
    dying.stream.destroy();
    await ended(dying);
    await waitFor('the last will ' + text, heard);
    return true;
  }
  assert.ok(client, 'the client itself is let in');
  if (operation.kind === 'subscribe') {
    const granted = await client.subscribeAsync(topic, { qos: 1 }).catch(() => []);
    return granted.length > 0 && granted.every(({ qos }) => qos !== 128);
  }
  client.publish(topic, text, { qos: operation.qos, retain: operation.retain }, () => {});
  await waitFor('a word or an end: ' + text, () => heard() || !client.connected);
  return heard();
}

test('everything foreign is refused, everything legitimate works, and a neighbour notices nothing', async (t) => {
  const site = await setup(t);
  const { enter, identityOf, received, broker } = site;
  const victim = await enter({ username: userOf(neighbour), clientId: clientIdOf(neighbour) });
  assert.ok(victim);
  const stolen: string[] = [];
  let acks = 0;
  victim.on('message', (topic, payload) => {
    if (topic === topicOf(neighbour, 'ack') && payload.toString() === 'ack') acks += 1;
    else stolen.push(topic + ' ' + payload.toString());
  });
  await victim.subscribeAsync(
    ['ack', 'cmd', 'site', 'status'].map((leaf) => 'mailferry/1/acme/nas-2/' + leaf),
    { qos: 1 },
  );
  const table = rightsTable();
  const wrong: string[] = [];
  const open: Partial<Record<Role, MqttClient>> = {};
  let reports = 0;
  // Each is held up before it is refused, as a wrong password is: side by side. Who is let in would throw the others out.
  const isForeignWill = (row: Row): boolean => row.operation.kind === 'will' && !row.isLegitimate;
  const wills = table.filter(isForeignWill);
  for (let from = 0; from < wills.length; from += 100)
    await Promise.all(
      wills.slice(from, from + 100).map(async (row) => {
        if (await attempt(site, row, undefined)) wrong.push('let through: ' + describeRow(row));
      }),
    );
  for (const [index, row] of table.filter((one) => !isForeignWill(one)).entries()) {
    let client = open[row.role];
    if (client?.connected !== true) client = await enter(identityOf(row.role));
    assert.ok(client, 'the client itself is let in');
    open[row.role] = client;
    if ((await attempt(site, row, client)) !== row.isLegitimate)
      wrong.push((row.isLegitimate ? 'refused: ' : 'let through: ') + describeRow(row));
    if (index % 50 === 0) {
      victim.publish(topicOf(neighbour, 'up'), 'report', { qos: 1 }, () => {});
      reports += 1;
    }
  }
  assert.deepEqual(wrong, []);
  await waitFor('the acknowledgements of the neighbour', () => acks === reports);
  assert.equal(victim.connected, true);
  assert.deepEqual(stolen, []);
  assert.deepEqual(
    received.filter(({ topic, text }) => topic.startsWith('mailferry/1/acme/nas-2') && text !== 'report'),
    [],
  );
  const legitimate = table.filter((row) => row.isLegitimate).length;
  assert.ok(legitimate >= 15 && table.length - legitimate > 500, legitimate + ' of ' + table.length);
  t.diagnostic(table.length + ' rows, ' + legitimate + ' legitimate');
  assert.equal(broker.problem(), undefined);
});

test('what is kept for an agent is heard by it alone, also by who comes later', async (t) => {
  const { broker, enter, identityOf } = await setup(t);
  broker.send(mine, 'site', 'kept', true);
  const heard: string[] = [];
  const [own, other] = [
    await enter(identityOf('agent')),
    await enter({ username: userOf(neighbour), clientId: clientIdOf(neighbour) }),
  ];
  assert.ok(own && other);
  for (const client of [own, other])
    client.on('message', (topic) => void heard.push((client === own ? 'own ' : 'other ') + topic));
  await other.subscribeAsync([topicOf(mine, 'site'), '#'], { qos: 1 }).catch(() => {});
  await other.subscribeAsync(topicOf(neighbour, 'site'), { qos: 1 });
  await own.subscribeAsync(topicOf(mine, 'site'), { qos: 1 });
  broker.send(neighbour, 'site', 'mark');
  await waitFor('both', () => heard.length >= 2);
  assert.deepEqual(heard.toSorted(), ['other ' + topicOf(neighbour, 'site'), 'own ' + topicOf(mine, 'site')]);
});

test('who loses the account in the middle of a stream of reports says and hears nothing from that moment on', async (t) => {
  const { broker, enter, identityOf, received } = await setup(t);
  const client = await enter(identityOf('agent'));
  assert.ok(client);
  let heard = 0;
  client.on('message', () => void (heard += 1));
  await client.subscribeAsync(topicOf(mine, 'cmd'), { qos: 1 });
  client.publish(topicOf(mine, 'up'), 'before', { qos: 1 }, () => {});
  await waitFor('the report', () => received.length === 1);
  const closed = ended(client);
  for (let n = 0; n < 200; n += 1) client.publish(topicOf(mine, 'up'), 'on its way', { qos: 1 }, () => {});
  await broker.accounts.revoked(mine);
  const until = received.length;
  broker.send(mine, 'cmd', 'a secret');
  await closed;
  await broker.stop();
  assert.equal(received.length, until);
  assert.equal(heard, 0);
});
