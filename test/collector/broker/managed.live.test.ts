// Accounts at a real mosquitto, made and taken by the collector: with the dynamic-security plugin, and by files. The table of
// rights is tried there too.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { connect } from 'mqtt';
import type { IClientOptions, MqttClient } from 'mqtt';
import { systemClock } from '#shared/clock.ts';
import { createLog } from '#shared/log.ts';
import { clientIdOf, enrolClientIdOf, enrolUserOf, topicOf, userOf } from '#shared/topics.ts';
import { manageFiles } from '../../../collector/broker/access-files.ts';
import { manageDynamicSecurity } from '../../../collector/broker/dynamic-security.ts';
import type { BrokerAccounts } from '../../../collector/broker/embedded.ts';
import { createExternalBroker } from '../../../collector/broker/external.ts';
import { createLab } from '../../lab/lab.ts';
import { waitFor } from '../../lab/wait.ts';
import { describeRow, mine, neighbour, rightsTable } from './rights-table.ts';
import type { Role } from './rights-table.ts';

/** Where Debian has it. */
const machine = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
const plugin = '/usr/lib/' + machine + '-linux-gnu/mosquitto_dynamic_security.so';
const log = createLog({ name: 'test', level: 'silent' });

async function setup(t: TestContext, kind: 'dynamic-security' | 'files') {
  const lab = createLab(t);
  const file = (name: string): string => join(lab.dir, name);
  const extra = kind === 'files' ? prepareFiles(file) : prepareDynamicSecurity(file);
  const mosquitto = await lab.mosquitto({ extra });
  await mosquitto.start();
  const pidFile = file('pid');
  writeFileSync(pidFile, String(mosquitto.pid()));
  const received: { readonly topic: string; readonly text: string }[] = [];
  const take = (origin: typeof mine, leaf: Parameters<typeof topicOf>[1], payload: Uint8Array): void =>
    void received.push({ topic: topicOf(origin, leaf), text: Buffer.from(payload).toString('utf8') });
  const files = { passwordFile: file('passwords.ours'), aclFile: file('acl'), pidFile, user: 'collector' };
  const broker = createExternalBroker({
    config: { url: mosquitto.url, user: 'collector' },
    password: 'secret',
    ingest: { receive: take, onAck: () => {} },
    onOther: take,
    manage: async (client): Promise<BrokerAccounts> =>
      kind === 'dynamic-security' ? manageDynamicSecurity(client, 'collector') : manageFiles(files),
    clock: { ...systemClock, sleep: (ms, signal) => systemClock.sleep(Math.min(ms, 50), signal) },
    random: () => 0.5,
    log,
  });
  await broker.start();
  t.after(() => broker.stop());
  await waitFor('the connection', () => broker.problem() === undefined);
  const clients: MqttClient[] = [];
  t.after(() => clients.forEach((client) => client.end(true)));
  async function enter(who: IClientOptions): Promise<MqttClient | undefined> {
    const client = connect(mosquitto.url, { protocolVersion: 4, reconnectPeriod: 0, connectTimeout: 30_000, ...who });
    clients.push(client);
    client.on('error', () => {});
    const { promise, resolve } = Promise.withResolvers<boolean>();
    client.on('connect', () => resolve(true));
    client.on('close', () => resolve(false));
    return (await promise) ? client : undefined;
  }
  /** Files are read anew some time after the signal. */
  const enterSoon = (who: IClientOptions): Promise<MqttClient> =>
    waitFor('a login of ' + who.username, async () => (await enter(who)) ?? false) as Promise<MqttClient>; // not false
  return { broker, received, enter, enterSoon, file };
}

type Files = (name: string) => string;

function prepareFiles(file: Files): string {
  writeFileSync(file('passwords.ours'), 'collector:secret\nsomebody:else\n', { mode: 0o600 });
  execFileSync('mosquitto_passwd', ['-U', file('passwords.ours')]);
  writeFileSync(file('acl'), 'user collector\ntopic readwrite #\n', { mode: 0o600 });
  return 'password_file ' + file('passwords.ours') + '\nacl_file ' + file('acl');
}

function prepareDynamicSecurity(file: Files): string {
  execFileSync('mosquitto_ctrl', ['dynsec', 'init', file('dynamic-security.json'), 'collector', 'secret']);
  return 'plugin ' + plugin + '\nplugin_opt_config_file ' + file('dynamic-security.json');
}

const agent = (password: string, origin = mine): IClientOptions => ({
  username: userOf(origin),
  clientId: clientIdOf(origin),
  password,
});
const guest = (password: string): IClientOptions => ({
  username: enrolUserOf(mine),
  clientId: enrolClientIdOf(mine, '0123456789abcdef'),
  password,
});

for (const kind of ['dynamic-security', 'files'] as const) {
  test(kind + ': an agent comes with a code, gets its account, is replaced, is revoked', async (t) => {
    const { broker, received, enter, enterSoon } = await setup(t, kind);
    await broker.accounts.invited(mine, 'code-1');
    const invited = await enterSoon(guest('code-1'));
    const answers: string[] = [];
    invited.on('message', (_topic, payload) => void answers.push(payload.toString()));
    await invited.subscribeAsync(topicOf(mine, 'enrolled'), { qos: 1 });
    await invited.publishAsync(topicOf(mine, 'enrol'), 'request', { qos: 1 });
    await waitFor('the request', () => received.some(({ text }) => text === 'request'));
    await broker.accounts.enrolled(mine, 'secret-1');
    broker.send(mine, 'enrolled', 'answer');
    await waitFor('the answer', () => answers.length > 0);
    const first = await enterSoon(agent('secret-1'));
    await first.publishAsync(topicOf(mine, 'up'), 'report', { qos: 1 });
    await waitFor('the report', () => received.some(({ text }) => text === 'report'));
    await broker.accounts.invited(mine, 'code-2');
    await enterSoon(guest('code-2'));
    assert.equal(first.connected, true, 'it goes on while a code is out');
    await broker.accounts.enrolled(mine, 'secret-2');
    await waitFor('the end of the first', () => !first.connected);
    assert.equal(await enter(agent('secret-1')), undefined);
    const second = await enterSoon(agent('secret-2'));
    await broker.accounts.revoked(mine);
    await waitFor('the end of the second', () => !second.connected);
    assert.equal(await enter(agent('secret-2')), undefined);
    assert.equal(await enter(guest('code-2')), undefined);
  });

  test(kind + ': everything foreign is refused and everything legitimate works', async (t) => {
    const { broker, received, enterSoon } = await setup(t, kind);
    await broker.accounts.invited(mine, 'code');
    await broker.accounts.enrolled(mine, 'secret');
    await broker.accounts.enrolled(neighbour, 'secret');
    const clients: Readonly<Record<Role, MqttClient>> = {
      agent: await enterSoon(agent('secret')),
      enrolling: await enterSoon(guest('code')),
    };
    const victim = await enterSoon(agent('secret', neighbour));
    const stolen: string[] = [];
    victim.on('message', (topic) => void stolen.push(topic));
    const read = ['ack', 'cmd', 'site', 'status'].map((leaf) => 'mailferry/1/acme/nas-2/' + leaf);
    await victim.subscribeAsync(read, { qos: 1 });
    // This broker says nothing of what it refuses: what was heard says it, and a word that comes after all others.
    const table = rightsTable().filter(({ operation }) => operation.kind === 'publish' && operation.qos < 2);
    for (const row of table) {
      const { operation, topic } = row;
      if (operation.kind === 'publish')
        clients[row.role].publish(topic, describeRow(row), { qos: operation.qos, retain: operation.retain }, () => {});
    }
    clients.agent.publish(topicOf(mine, 'up'), 'last', { qos: 1 }, () => {});
    clients.enrolling.publish(topicOf(mine, 'enrol'), 'last', { qos: 1 }, () => {});
    await waitFor('the last words', () => received.filter(({ text }) => text === 'last').length === 2);
    const heard = new Set(received.map(({ text }) => text));
    for (const row of table) {
      // What an agent has kept on its own topics this broker cannot limit to its status; of others', everything is refused.
      const isOwnKept =
        row.operation.kind === 'publish' && row.operation.retain && row.topic.startsWith('mailferry/1/acme/nas-1/');
      if (row.isLegitimate || !isOwnKept) assert.equal(heard.has(describeRow(row)), row.isLegitimate, describeRow(row));
    }
    broker.send(neighbour, 'ack', 'mark');
    await waitFor('the mark', () => stolen.length > 0);
    assert.deepEqual(stolen, [topicOf(neighbour, 'ack')]);
  });

  test(kind + ': who subscribes to more than its own hears nothing of it', async (t) => {
    const { broker, enterSoon } = await setup(t, kind);
    await broker.accounts.enrolled(mine, 'secret');
    await broker.accounts.enrolled(neighbour, 'secret');
    const other = await enterSoon(agent('secret', neighbour));
    const thief = await enterSoon(agent('secret'));
    const heard: string[] = [];
    thief.on('message', (topic) => void heard.push(topic));
    for (const { topic, operation, role } of rightsTable())
      if (operation.kind === 'subscribe' && role === 'agent')
        await thief.subscribeAsync(topic, { qos: 1 }).catch(() => {});
    await other.publishAsync(topicOf(neighbour, 'status'), 'not for others', { qos: 1, retain: true });
    await other.publishAsync(topicOf(neighbour, 'up'), 'not for others', { qos: 1 });
    for (const leaf of ['ack', 'cmd', 'site', 'enrolled'] as const) broker.send(neighbour, leaf, 'not for others');
    for (const leaf of ['cmd', 'site', 'ack'] as const) broker.send(mine, leaf, 'for it');
    await waitFor('its own', () => heard.includes(topicOf(mine, 'ack')));
    assert.deepEqual(new Set(heard), new Set([topicOf(mine, 'cmd'), topicOf(mine, 'site'), topicOf(mine, 'ack')]));
  });
}

test('lines of other accounts in the password file stay, and no secret stands in it', async (t) => {
  const { broker, file } = await setup(t, 'files');
  const before = readFileSync(file('passwords.ours'), 'utf8').trim().split('\n');
  await broker.accounts.enrolled(mine, 'a secret of the agent');
  await broker.accounts.enrolled(neighbour, 'another');
  await broker.accounts.revoked(neighbour);
  const after = readFileSync(file('passwords.ours'), 'utf8');
  assert.deepEqual(after.trim().split('\n').slice(0, 2), before);
  assert.equal(after.trim().split('\n').length, 3);
  assert.ok(!after.includes('a secret'));
});

test('a broker that cannot be managed is told so, with the option', async (t) => {
  const lab = createLab(t);
  const mosquitto = await lab.mosquitto();
  await mosquitto.start();
  const broker = createExternalBroker({
    config: { url: mosquitto.url, user: 'collector' },
    ingest: { receive: () => {}, onAck: () => {} },
    manage: (client) => manageDynamicSecurity(client, 'collector', 300),
    clock: systemClock,
    random: () => 0.5,
    log,
  });
  await broker.start();
  t.after(() => broker.stop());
  await waitFor('the problem', () => broker.problem()?.includes('dynamic-security'), { timeoutMs: 30_000 });
  assert.match(broker.problem() ?? '', /no answer to createRole .*its dynamic-security plugin.*broker.manage/);
});
