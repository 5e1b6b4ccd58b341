import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { neverCrash } from '#shared/checkpoint.ts';
import { systemClock } from '#shared/clock.ts';
import { createLog } from '#shared/log.ts';
import { parseAgentConfig } from '../../agent/config.ts';
import { createCommands } from '../../agent/control/commands.ts';
import { followRemote } from '../../agent/remote-setup.ts';
import { openState } from '../../agent/state.ts';
import { sampleMail, sampleQuarantine, sampleQueue, sampleStatus } from './control/sample.ts';

test('a right that another configuration takes back is gone at once, and a report may be configured later', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'mf-remote-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const state = openState(join(folder, 'state'));
  t.after(() => state.close());
  const load = (allow: string | undefined) => {
    const report =
      allow === undefined ? '' : 'report: {url: "mqtt://c:1", password: {env: P}, allow: [' + allow + ']}\n';
    return parseAgentConfig(join(folder, 'agent.yaml'), 'tenant: acme\nagent: nas-1\nstate: state\n' + report);
  };
  const loaded = load(undefined);
  const log = createLog({ name: 'test', level: 'silent' });
  const ground = {
    loaded,
    config: loaded.value,
    clock: systemClock,
    random: Math.random,
    log,
    reached: neverCrash,
    state,
    version: '0.0.0',
    onDoubt: () => {},
  };
  const followed = followRemote(ground, () => {});
  let flushed = 0;
  followed.take(loaded.value);
  assert.equal(followed.current(), undefined);
  followed.open(
    createCommands({
      status: () => sampleStatus,
      queueList: () => [sampleMail],
      queueShow: () => sampleMail,
      queue: () => ({ ...sampleQueue, flush: () => ({ mails: (flushed += 1) }) }),
      fetch: async () => [],
      quarantine: () => sampleQuarantine,
    }),
  );
  let serial = 0;
  const ask = async (): Promise<string> => {
    serial += 1;
    const at = systemClock.now();
    const command = { v: 1 as const, id: 'command-' + serial, name: 'queue flush', args: {}, at, expires: at + 60_000 };
    return (await followed.current()?.onCommand(command))?.outcome ?? 'nobody';
  };
  followed.take(load('').value);
  assert.deepEqual([await ask(), flushed], ['refused', 0]);
  followed.take(load('queue').value);
  assert.deepEqual([await ask(), flushed], ['done', 1]);
  followed.take(load('').value);
  assert.deepEqual([await ask(), flushed], ['refused', 1]);
  followed.take(load('queue').value);
  followed.take(load(undefined).value);
  assert.deepEqual([await ask(), flushed], ['refused', 1]);
});
