import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { endLeftovers, findLeftovers, marker } from './leftovers.ts';
import { installLine, missingFrom } from './packages.ts';
import { selectFiles } from './selection.ts';
import { waitFor } from './wait.ts';

const files = [
  'test/agent/send/spool.test.ts',
  'test/agent/send/send.live.test.ts',
  'test/flow/flow.live.test.ts',
  'test/lab/lab.ts',
];

test('a run takes all test files, the long ones first; --unit takes those without servers', () => {
  const all = selectFiles(files, { unit: false, filters: [] });
  assert.deepEqual(all, [
    'test/flow/flow.live.test.ts',
    'test/agent/send/send.live.test.ts',
    'test/agent/send/spool.test.ts',
  ]);
  assert.deepEqual(selectFiles(files, { unit: true, filters: [] }), ['test/agent/send/spool.test.ts']);
  const some = selectFiles(files, { unit: false, filters: ['./test/agent/send'] });
  assert.deepEqual(some, ['test/agent/send/send.live.test.ts', 'test/agent/send/spool.test.ts']);
  assert.deepEqual(selectFiles(files, { unit: false, filters: ['nowhere'] }), []);
});

test('a package counts only when it is wholly installed', () => {
  const listing = 'postfix installed\nrbldnsd config-files\nmosquitto not-installed\nopenssl half-configured\n';
  const needed = ['postfix', 'rbldnsd', 'mosquitto', 'openssl', 'strace'];
  assert.deepEqual(missingFrom(needed, listing), ['rbldnsd', 'mosquitto', 'openssl', 'strace']);
  assert.equal(installLine(['rbldnsd', 'strace']), 'apt-get install --no-install-recommends rbldnsd strace');
});

test('processes that outlive the run are found by their environment or their command line, and ended', async () => {
  const run = { id: randomBytes(8).toString('hex'), folder: '/tmp/mf-' + randomBytes(8).toString('hex') };
  const marked = spawn('sleep', ['600'], { env: { ...process.env, [marker]: run.id }, stdio: 'ignore' });
  const bare = spawn('sh', ['-c', 'read x', run.folder + '/x.conf'], { env: {}, stdio: ['pipe', 'ignore', 'ignore'] });
  await waitFor('both to be seen', () => findLeftovers(run).length === 2);
  const left = await endLeftovers(run, 100);
  assert.deepEqual(new Set(left.map(({ pid }) => pid)), new Set([marked.pid, bare.pid]));
  assert.ok(left.some(({ commandLine }) => commandLine === 'sleep 600'));
  await waitFor('their end', () => marked.signalCode === 'SIGKILL' && bare.signalCode === 'SIGKILL');
  assert.deepEqual(await endLeftovers(run, 100), []);
});

test('npm test names what it cannot use', () => {
  const script = fileURLToPath(new URL('../run.ts', import.meta.url));
  const run = (...args: string[]) => spawnSync(process.execPath, [script, ...args], { encoding: 'utf8' });
  const option = run('--fast');
  assert.equal(option.status, 1);
  assert.match(option.stderr, /^Cannot use --fast: expected /);
  const file = run('--unit', 'test/nowhere');
  assert.equal(file.status, 1);
  assert.match(file.stderr, /no file matches test\/nowhere/);
});
