// The bundle on the oldest and the newest Node that it runs on, in a folder with nothing else. Fetches the oldest one once.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { bundleName, writeBundle } from '../../../agent/package/bundle.ts';
import { createLab } from '../../lab/lab.ts';
import type { Lab } from '../../lab/lab.ts';
import { oldestNode, oldestVersion } from '../../lab/oldest-node.ts';
import { waitFor } from '../../lab/wait.ts';

type Ended = { readonly code: number; readonly out: string; readonly error: string };

/** The command line in the bundle. */
function call(node: string, folder: string, args: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(node, [join(folder, bundleName), ...args], { cwd: folder, timeout: 60_000 }, (error, out, text) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ code, out, error: text });
    });
  });
}

/** An agent from its source and one from the bundle say what they can in the same words. */
async function compareHelp(node: string, folder: string): Promise<void> {
  const main = join(import.meta.dirname, '../../../agent/cli/main.ts');
  const source = new Promise<string>((resolve) => {
    execFile(process.execPath, [main, '--help'], { cwd: folder, timeout: 60_000 }, (_, out) => resolve(out));
  });
  assert.deepEqual(await call(node, folder, ['--help']), { code: 0, out: await source, error: '' });
}

/** Writes, when the process ends, which of Node's own modules it has loaded. */
const spy = `process.on('exit', () => require('node:fs').writeFileSync(process.env.SPY_FILE,
  process.moduleLoadList.filter((name) => name.startsWith('NativeModule ')).map((name) => name.slice(13)).join('\\n')));`;

async function tryOut(lab: Lab, node: string, version: string): Promise<void> {
  const folder = join(lab.dir, version);
  const { files } = await writeBundle(folder);
  assert.ok(files.includes(bundleName));
  await compareHelp(node, folder);
  const missing = await call(node, folder, ['run']);
  assert.deepEqual(missing, {
    code: 2,
    out: '',
    error: 'Cannot start: no configuration given, expected --config FILE\nUsage: mailferry run --config FILE\n',
  });
  const port = await lab.freePort();
  const submission = { port, users: [{ name: 'office', password: { file: 'secret' }, senders: ['@example.org'] }] };
  const relay = { id: 'provider', host: '127.0.0.1', port: 1, user: 'office', password: { file: 'secret' } };
  const config = { tenant: 'acme', agent: 'nas-1', state: 'state', submission, relays: [relay] };
  writeFileSync(join(folder, 'agent.yaml'), JSON.stringify(config));
  writeFileSync(join(folder, 'secret'), 'secret', { mode: 0o600 });
  writeFileSync(join(folder, 'spy.cjs'), spy);
  const nobody = await call(node, folder, ['status']);
  assert.equal(nobody.code, 3);
  assert.match(nobody.error, /expected a running agent; start it with: mailferry run --config agent\.yaml\n$/);
  const agent = await lab.run({
    name: version,
    command: node,
    args: ['-r', join(folder, 'spy.cjs'), join(folder, bundleName), 'run', '--config', 'agent.yaml'],
    cwd: folder,
    env: { SPY_FILE: join(folder, 'loaded'), NODE_COMPILE_CACHE: join(folder, 'compiled') },
    ready: () => existsSync(join(folder, 'state', 'agent.sock')),
  });
  await waitFor('the agent to be there', () => agent.log().includes('agent started'), { timeoutMs: 60_000 });
  const status = await call(node, folder, ['status', '--json']);
  assert.equal(status.error, '');
  const said: unknown = JSON.parse(status.out);
  assert.ok(typeof said === 'object' && said !== null && 'version' in said);
  const own: unknown = JSON.parse(readFileSync(join(import.meta.dirname, '../../../package.json'), 'utf8'));
  assert.ok(typeof own === 'object' && own !== null && 'version' in own);
  assert.equal(said.version, own.version);
  await agent.stop(20_000);
  assert.deepEqual(agent.exit(), { code: 0, signal: null });
  const noise = agent
    .log()
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('{'));
  assert.deepEqual(noise, [], 'Node or a package says something of its own');
  const loaded = readFileSync(join(folder, 'loaded'), 'utf8').split('\n');
  assert.ok(loaded.includes('tls') && loaded.includes('sqlite'), 'the list is that of the agent');
  const heavy = ['http', 'https', 'http2', '_http_server', 'zlib'].filter((name) => loaded.includes(name));
  assert.deepEqual(heavy, [], 'loaded though nobody has asked for it');
  assert.ok(existsSync(join(folder, 'compiled')), 'what was compiled is kept where it was told to');
}

test('on the oldest Node it starts, answers, says nothing but its log and ends', async (t) => {
  const node = await oldestNode();
  const version = await new Promise<string>((resolve, reject) => {
    execFile(node, ['--version'], (error, out) => (error === null ? resolve(out.trim()) : reject(error)));
  });
  assert.equal(version, oldestVersion);
  await tryOut(createLab(t), node, 'oldest');
});

test('on the Node of these tests as well', async (t) => {
  await tryOut(createLab(t), process.execPath, 'newest');
});
