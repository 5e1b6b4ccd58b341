// Flow tests once more, on the bundle under the oldest Node: mail in, mail out, reports, faults, mistakes. `npm run
// test:bundle` runs all of them; here are those that take little time.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { bundleName, writeBundle } from '../../../agent/package/bundle.ts';
import { launchFlags } from '../../../agent/package/launch.ts';
import { createLab } from '../../lab/lab.ts';
import { oldestNode } from '../../lab/oldest-node.ts';

const chosen = ['flow-smtp', 'quarantine', 'mistakes'];

test('the flow tests pass on the bundle under the oldest Node', { timeout: 290_000 }, async (t) => {
  const lab = createLab(t);
  const folder = join(lab.dir, 'bundle');
  await writeBundle(folder);
  const agent = [await oldestNode(), ...launchFlags, join(folder, bundleName), 'run'];
  const flow = join(import.meta.dirname, '../../flow');
  const files = chosen.map((name) => join(flow, name + '.live.test.ts'));
  const child = spawn(process.execPath, ['--test', '--test-concurrency=1', '--test-reporter=tap', ...files], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_TEST_CONTEXT: undefined, MAILFERRY_TEST_AGENT: JSON.stringify(agent) },
  });
  lab.onStop(() => void child.kill('SIGTERM'));
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => void (out += text));
  const [code] = (await once(child, 'close')) as [number | null]; // documented arguments of 'close'
  assert.equal(code, 0, out);
  const passed = Number(/^# pass (\d+)$/m.exec(out)?.[1]);
  assert.ok(passed >= chosen.length, 'passed ' + passed + '\n' + out);
});
