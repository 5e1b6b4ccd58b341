// start, stop and status of the package, with systemd and without: each has its exit code and its words.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createDsm } from '../../../lab/dsm/dsm.ts';
import { createLab } from '../../../lab/lab.ts';
import { oldestNode } from '../../../lab/oldest-node.ts';
import { waitFor } from '../../../lab/wait.ts';
import { agentPids, buildSpks, buildWorld, configure, writeOwned } from './nas.ts';

const long = { timeoutMs: 60_000 } as const;
const built = mkdtempSync(join(tmpdir(), 'mailferry-spk-'));
after(() => rmSync(built, { recursive: true, force: true }));
let spk = '';
before(async () => {
  [spk = ''] = await buildSpks(built, ['0.1.0']);
});

for (const units of [true, false]) {
  const how = units ? 'systemd' : 'the script alone';
  test(
    'with ' +
      how +
      ' every action has its exit code, a wrong configuration is told at the start, and a dead agent is known',
    async (t) => {
      const lab = createLab(t);
      const [world, node] = await Promise.all([buildWorld(lab), oldestNode()]);
      const dsm = createDsm({ lab, node, units });
      await dsm.install(spk);
      assert.equal((await dsm.stop()).code, 0, 'stopping what does not run is no failure');

      const without = await dsm.start();
      assert.equal(without.code, 1);
      assert.match(
        without.message,
        /^mailferry does not start\. .*agent\.yaml.*no such file, expected a readable YAML file/,
      );
      await configure(dsm, world, { lokal: {} });
      const wrong = await dsm.start();
      assert.equal(wrong.code, 1);
      assert.match(wrong.message, /agent\.yaml:\d+: option lokal: found/, dsm.log());
      assert.equal(await dsm.status(), units ? 1 : 3);
      assert.deepEqual(dsm.processes().length, 0, 'what only a person can mend is not tried again');

      await configure(dsm, world);
      assert.equal((await dsm.start()).code, 0, dsm.log());
      assert.equal(await dsm.status(), 0);
      const started = (): number => dsm.log().split('"agent started"').length - 1;
      assert.equal(started(), 1);

      // Killed, as by a system that is out of memory.
      const victims = agentPids(dsm);
      assert.equal(victims.length, 1);
      for (const pid of victims) process.kill(pid, 'SIGKILL');
      if (units) await waitFor('systemd to start it again', () => started() === 2, long);
      else {
        await waitFor('its end to be known', async () => (await dsm.status()) === 1, long);
        // Its number may be somebody else's by now.
        await writeOwned(dsm, join(dsm.real('var'), 'mailferry.pid'), process.pid + '\n');
        assert.equal(await dsm.status(), 1);
        assert.equal((await dsm.start()).code, 0, dsm.log());
      }
      assert.equal(await dsm.status(), 0);

      for (const [why, expected] of [
        ['STOP', 'stop'],
        ['', 'power-off'],
      ] as const) {
        assert.equal((await dsm.stop(why)).code, 0);
        assert.equal(await dsm.status(), 3);
        assert.deepEqual(dsm.processes(), []);
        const file = join(dsm.real('var'), 'state', 'stop-reason');
        assert.equal(readFileSync(file, 'utf8').trim(), expected);
        assert.equal((await dsm.start(why === '' ? '' : 'START')).code, 0, dsm.log());
        assert.ok(!existsSync(file), 'said once');
      }
      await dsm.stop();

      // The files of the package are gone, as with a volume that is locked.
      rmSync(join(dsm.real('target'), 'bin'), { recursive: true });
      const locked = await dsm.start();
      assert.equal(locked.code, 150);
      assert.match(locked.message, /volume is not mounted, or the package is damaged/);
      assert.equal(await dsm.status(), 150);
    },
  );
}
