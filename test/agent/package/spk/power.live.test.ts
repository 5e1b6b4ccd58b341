// What a collector hears when a NAS goes off: its plan is told apart from a stop by a person, and from a failure.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { connectAsync } from 'mqtt';
import { decodeStatus } from '#shared/wire.ts';
import { createDsm } from '../../../lab/dsm/dsm.ts';
import { createLab } from '../../../lab/lab.ts';
import { oldestNode } from '../../../lab/oldest-node.ts';
import { waitFor } from '../../../lab/wait.ts';
import { buildSpks, state, writeOwned } from './nas.ts';

const built = mkdtempSync(join(tmpdir(), 'mailferry-spk-'));
after(() => rmSync(built, { recursive: true, force: true }));
let spk = '';
before(async () => {
  [spk = ''] = await buildSpks(built, ['0.1.0']);
});

test('a NAS that is shut down says power-off, one that is stopped or upgraded says stopping, and one without power says nothing', async (t) => {
  const lab = createLab(t);
  const users = { 'acme/nas-1': 'secret', listener: 'secret' };
  const [node, broker] = await Promise.all([oldestNode(), lab.mosquitto({ users })]);
  const dsm = createDsm({ lab, node });
  await dsm.install(spk);
  const config = [
    'tenant: acme',
    'agent: nas-1',
    'state: ' + state,
    'report: {url: "mqtt://127.0.0.1:' + broker.port + '", password: {file: report}}',
  ];
  await writeOwned(dsm, join(dsm.real('home'), 'agent.yaml'), config.join('\n') + '\n');
  await writeOwned(dsm, join(dsm.real('home'), 'report'), 'secret\n');

  const heard: string[] = [];
  const listener = await connectAsync('mqtt://127.0.0.1:' + broker.port, { username: 'listener', password: 'secret' });
  lab.onStop(() => listener.endAsync(true));
  listener.on('message', (_topic, payload) => {
    const status = decodeStatus(payload);
    heard.push(status.ok ? status.value.state + ' ' + (status.value.reason ?? '-') : 'nonsense');
  });
  await listener.subscribeAsync('mailferry/1/acme/nas-1/status', { qos: 1 });

  /** Ends it in some way; gives the last word about it. */
  const endBy = async (end: () => Promise<unknown>): Promise<string> => {
    assert.equal((await dsm.start('')).code, 0, dsm.log());
    await waitFor('the agent to be online', () => heard.at(-1) === 'online -', { timeoutMs: 60_000 });
    await end();
    await waitFor('the end to be heard', () => heard.at(-1)?.startsWith('offline') === true, { timeoutMs: 60_000 });
    return heard.at(-1) ?? '';
  };
  assert.equal(await endBy(() => dsm.stop('')), 'offline power-off', heard.join());
  assert.equal(await endBy(() => dsm.stop('STOP')), 'offline stopping');
  assert.equal(await endBy(() => dsm.goDown()), 'offline power-off', 'systemd was faster than the script');
  assert.equal(await endBy(() => dsm.stop('UPGRADE')), 'offline stopping');
  assert.equal(await endBy(() => dsm.cut()), 'offline -', 'the last will');
});
