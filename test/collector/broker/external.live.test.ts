// A real mosquitto with the access rights that the README of the room gives.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { connectAsync } from 'mqtt';
import type { MqttClient } from 'mqtt';
import { systemClock } from '#shared/clock.ts';
import { createLog } from '#shared/log.ts';
import { topicOf } from '#shared/topics.ts';
import type { Leaf } from '#shared/topics.ts';
import { createExternalBroker } from '../../../collector/broker/external.ts';
import type { Ingest } from '../../../collector/ingest/ingest.ts';
import { createLab } from '../../lab/lab.ts';
import { waitFor } from '../../lab/wait.ts';

const good = { tenant: 'acme', agent: 'nas-1' };
const evil = { tenant: 'acme', agent: 'nas-2' };
type Received = readonly [agent: string, leaf: Leaf, text: string, retained: boolean];

async function setup(t: TestContext) {
  const lab = createLab(t);
  const readme = await readFile(new URL('../../../collector/broker/README.md', import.meta.url), 'utf8');
  const rights = /```\n(user collector\n[^`]*)```/.exec(readme)?.[1] ?? '';
  const file = join(lab.dir, 'rights');
  await writeFile(file, rights, { mode: 0o600 });
  const mosquitto = await lab.mosquitto({
    users: { collector: 'secret', 'acme/nas-1': 'right', 'acme/nas-2': 'also right' },
    extra: 'acl_file ' + file,
  });
  const clients: MqttClient[] = [];
  t.after(async () => {
    for (const client of clients) await client.endAsync(true);
  });
  const enter = async (who: typeof good): Promise<MqttClient> => {
    const username = who.tenant + '/' + who.agent;
    const password = who.agent === 'nas-1' ? 'right' : 'also right';
    const client = await connectAsync(mosquitto.url, { protocolVersion: 4, username, password, reconnectPeriod: 0 });
    clients.push(client);
    return client;
  };
  const received: Received[] = [];
  const start = async (password: string) => {
    let acknowledge: Parameters<Ingest['onAck']>[0] = () => {};
    const broker = createExternalBroker({
      config: { kind: 'external', url: mosquitto.url, user: 'collector' },
      password,
      ingest: {
        receive(origin, leaf, payload, retained = false) {
          received.push([origin.agent, leaf, Buffer.from(payload).toString('utf8'), retained]);
          if (leaf === 'up') acknowledge(origin, 'ack of ' + origin.agent);
        },
        onAck: (publish) => void (acknowledge = publish),
      },
      clock: { ...systemClock, sleep: (ms, signal) => systemClock.sleep(Math.min(ms, 50), signal) },
      random: () => 0.5,
      log: createLog({ name: 'test', level: 'silent' }),
    });
    await broker.start();
    t.after(() => broker.stop());
    return broker;
  };
  return { mosquitto, enter, start, received };
}

test('an agent is heard and acknowledged, a foreign one can neither speak nor listen in its place', async (t) => {
  const { enter, start, received } = await setup(t);
  const broker = await start('secret');
  await waitFor('the connection', () => broker.problem() === undefined);
  const thief = await enter(evil);
  const stolen: string[] = [];
  thief.on('message', (topic) => void stolen.push(topic));
  await thief.subscribeAsync(['#', topicOf(good, 'ack'), topicOf(good, 'cmd')], { qos: 1 }).catch(() => {});
  await thief.publishAsync(topicOf(good, 'up'), 'false', { qos: 1 });
  await thief.publishAsync(topicOf(good, 'status'), 'false', { qos: 1, retain: true });
  const client = await enter(good);
  const heard: string[] = [];
  client.on('message', (_topic, payload) => void heard.push(payload.toString('utf8')));
  await client.subscribeAsync(topicOf(good, 'ack'), { qos: 1 });
  await client.publishAsync(topicOf(good, 'up'), 'true', { qos: 1 });
  await waitFor('the acknowledgement', () => heard.length > 0);
  assert.deepEqual(heard, ['ack of nas-1']);
  assert.deepEqual(received, [['nas-1', 'up', 'true', false]]);
  assert.deepEqual(stolen, []);
});

test('what the broker kept from earlier is told apart from what comes now', async (t) => {
  const { enter, start, received } = await setup(t);
  const client = await enter(good);
  await client.publishAsync(topicOf(good, 'status'), 'earlier', { qos: 1, retain: true });
  const broker = await start('secret');
  await waitFor('what was kept', () => received.length === 1);
  assert.equal(broker.problem(), undefined);
  await client.publishAsync(topicOf(good, 'status'), 'now', { qos: 1, retain: true });
  await waitFor('what comes now', () => received.length === 2);
  assert.deepEqual(received, [
    ['nas-1', 'status', 'earlier', true],
    ['nas-1', 'status', 'now', false],
  ]);
});

test('a wrong password and a broker that is away are told in one line, and the broker is found when it is back', async (t) => {
  const { mosquitto, start } = await setup(t);
  const wrong = await start('wrong');
  await waitFor('a problem', () => wrong.problem()?.includes('Not authorized'));
  assert.match(wrong.problem() ?? '', new RegExp('^Cannot reach the broker ' + mosquitto.url + ': .*option broker$'));
  await wrong.stop();
  const broker = await start('secret');
  await waitFor('the connection', () => broker.problem() === undefined);
  await mosquitto.crash();
  await waitFor('a problem', () => broker.problem()?.includes('ECONNREFUSED'));
  await mosquitto.start();
  await waitFor('the connection again', () => broker.problem() === undefined);
});
