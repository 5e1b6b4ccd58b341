// A release: complete, consistent with itself, the same each time; and its container, which runs without rights on a root that
// cannot be written. No container engine is at hand: what it would do is done by container-root.ts.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { readVersion } from '#shared/version.ts';
import { bundleName } from '../../../agent/package/bundle.ts';
import type { Catalogue } from '../../../agent/package/catalogue.ts';
import { launchEnvironment, launchFlags } from '../../../agent/package/launch.ts';
import { writeRelease } from '../../../agent/package/release.ts';
import { createLab } from '../../lab/lab.ts';
import { oldestNode } from '../../lab/oldest-node.ts';
import { waitFor } from '../../lab/wait.ts';
import { buildImage, commandIn, readDockerfile } from './container-root.ts';

const url = 'https://packages.example.net/mailferry/';
const read = (folder: string, name: string): Buffer => readFileSync(join(folder, name));

test('a release is complete, agrees with itself and is the same each time', { timeout: 240_000 }, async (t) => {
  const lab = createLab(t);
  const [first, second] = [join(lab.dir, 'first'), join(lab.dir, 'second')];
  const files = await writeRelease({ folder: first, url });
  const version = readVersion();
  const spk = 'mailferry-' + version + '-1.spk';
  assert.deepEqual(
    files,
    [
      'CHANGES.md',
      'LICENSES.txt',
      'SHA256SUMS',
      'container/Dockerfile',
      'container/LICENSES.txt',
      'container/SHA256SUMS',
      'container/compose.yaml',
      'container/mailferry-agent.mjs',
      'icon-256.png',
      'icon-64.png',
      spk,
      'mailferry-agent.mjs',
      'mailferry-agent.mjs.map',
      'packages.json',
    ].sort(),
  );
  for (const folder of [first, join(first, 'container')])
    execFileSync('sha256sum', ['--check', '--strict', '--quiet', 'SHA256SUMS'], { cwd: folder });
  const listed = read(first, 'SHA256SUMS').toString().split('\n').filter(Boolean).length;
  assert.equal(listed, files.length - 1, 'every file but the list stands in it');

  const catalogue = JSON.parse(read(first, 'packages.json').toString()) as Catalogue; // just written
  const [entry] = catalogue.packages;
  assert.ok(entry !== undefined && catalogue.packages.length === 1);
  assert.equal(entry.link, url + spk);
  assert.equal(entry.md5, createHash('md5').update(read(first, spk)).digest('hex'));
  assert.equal(entry.size, statSync(join(first, spk)).size);
  assert.equal(entry.version, version + '-1');
  assert.deepEqual(entry.deppkgs, { 'Node.js_v22': {} });
  assert.equal(entry.qupgrade, true, 'a fleet updates itself without a question');
  assert.equal(entry.qinst, false, 'the first installation asks');
  for (const picture of entry.thumbnail) assert.ok(files.includes(picture.slice(url.length)), picture);
  const unpacked = execFileSync('tar', ['-xOf', join(first, spk), 'package.tgz'], { maxBuffer: 64_000_000 });
  const program = execFileSync('tar', ['-xzO', 'app/' + bundleName], { input: unpacked, maxBuffer: 64_000_000 });
  assert.ok(program.equals(read(first, bundleName)), 'the package holds the bundle of this release');
  assert.match(
    read(first, 'CHANGES.md').toString(),
    new RegExp('^# mailferry ' + version.replaceAll('.', '\\.') + '\n\n\\S'),
  );
  assert.match(read(first, 'container/compose.yaml').toString(), new RegExp('image: mailferry:' + version + '\n'));

  assert.deepEqual(await writeRelease({ folder: second, url }), files);
  for (const file of files) assert.ok(read(first, file).equals(read(second, file)), file + ' differs');
  appendFileSync(join(first, 'mailferry-agent.mjs'), '\n');
  const damaged = spawnSync('sha256sum', ['--check', '--quiet', 'SHA256SUMS'], { cwd: first });
  assert.notEqual(damaged.status, 0, 'a changed file is noticed');
});

test(
  'the container runs as nobody in particular on a root that it cannot write, and tells its health',
  { timeout: 240_000 },
  async (t) => {
    const lab = createLab(t);
    const release = join(lab.dir, 'release');
    await writeRelease({ folder: release, url });
    const context = join(release, 'container');
    const dockerfile = read(context, 'Dockerfile').toString();
    const node = await oldestNode();
    const image = buildImage({ dockerfile, context, folder: join(lab.dir, 'image'), node });
    assert.equal(image.user, '1000:1000');
    assert.deepEqual(image.volumes, ['/data']);

    const port = await lab.freePort();
    const data = join(image.root, 'data');
    const submission = { port, trusted: [{ id: 'nas', addresses: ['127.0.0.1'], senders: ['@example.org'] }] };
    const relays = [{ id: 'provider', host: '127.0.0.1', port: 1, user: 'office', password: { file: 'secret' } }];
    const config = { tenant: 'acme', agent: 'nas-1', state: 'state', submission, relays };
    writeFileSync(join(data, 'agent.yaml'), JSON.stringify(config));
    writeFileSync(join(data, 'secret'), 'secret', { mode: 0o600 });
    for (const name of ['agent.yaml', 'secret']) chownSync(join(data, name), 1_000, 1_000);
    const inImage = (command: readonly string[]): { readonly status: number | null; readonly output: string } => {
      const [program = '', ...args] = commandIn(image, command, true);
      const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', timeout: 60_000 });
      return { status, output: stdout + stderr };
    };
    const health = (): number | null => inImage(['sh', '-c', image.health]).status;

    assert.notEqual(health(), 0, 'nobody answers yet');
    const [program = '', ...args] = commandIn(image, [...image.entrypoint, ...image.command], true);
    const agent = await lab.run({
      name: 'container',
      command: program,
      args,
      ready: () => existsSync(join(data, 'state', 'agent.sock')),
      startTimeoutMs: 60_000,
    });
    await waitFor('the agent to be there', () => agent.log().includes('agent started'), { timeoutMs: 60_000 });
    const owner = readFileSync('/proc/' + agent.pid + '/status', 'utf8');
    assert.match(owner, /^Uid:\t1000\t1000\t1000\t1000$/m);
    assert.match(owner, /^CapEff:\t0+$/m);
    assert.equal(health(), 0, agent.log());
    const status = inImage(['mailferry', 'status', '--json']);
    assert.match(status.output, new RegExp('"version": "' + readVersion()));
    for (const path of ['/app/new', '/usr/local/bin/new', '/new', '/etc/new'])
      assert.match(inImage(['touch', path]).output, /Read-only file system|Permission denied/, path);
    assert.equal(statSync(join(data, 'state')).uid, 1_000);
    assert.ok(existsSync(join(data, '.compiled')), 'what was compiled is kept in the volume');
    await agent.stop(30_000);
    assert.deepEqual(agent.exit(), { code: 0, signal: null });
    assert.notEqual(health(), 0, 'nobody answers any more');

    // What the first stage is for: a bundle that is not the one of the checksums makes no image.
    const broken = join(lab.dir, 'broken');
    cpSync(context, broken, { recursive: true });
    appendFileSync(join(broken, bundleName), '\n');
    mkdirSync(join(lab.dir, 'no-image'));
    assert.throws(
      () => buildImage({ dockerfile, context: broken, folder: join(lab.dir, 'no-image'), node }),
      /1 computed checksum did NOT match/,
    );
  },
);

test('the files of the container ask for no rights and nothing from the network but the base', () => {
  const folder = join(import.meta.dirname, '../../../agent/package/container');
  const stages = readDockerfile(read(folder, 'Dockerfile').toString());
  assert.equal(stages.length, 2);
  const [first = [], last = []] = stages.map(({ instructions }) => instructions);
  const bases = [...first, ...last].filter(({ word }) => word === 'FROM').map(({ text }) => text.split(' ')[0]);
  assert.equal(new Set(bases).size, 1, 'both stages have one base');
  assert.match(bases[0] ?? '', /^node:22-/, 'the Node that the bundle is tested with, for amd64 and arm64');
  const used = [...first, ...last].map(({ word }) => word);
  assert.ok(!used.includes('ADD') && !last.some(({ word }) => word === 'RUN'), 'the last stage runs nothing');
  assert.doesNotMatch(first.map(({ text }) => text).join('\n'), /\b(?:curl|wget|apt-get|npm)\b/);
  const user = last.findIndex(({ word }) => word === 'USER');
  const start = last.findIndex(({ word }) => word === 'ENTRYPOINT');
  assert.ok(user >= 0 && user < start && !/^(?:0|root)\b/.test(last[user]?.text ?? '0'));
  assert.ok(last.some(({ word }) => word === 'HEALTHCHECK'));

  // Whoever starts it says the same to Node.
  const places = read(folder, '../spk/files/target/bin/places').toString();
  assert.ok(
    places.includes("\n  node_options='" + launchFlags.join(' ') + "'\n"),
    'the package for DSM: ' + launchFlags,
  );
  assert.deepEqual(JSON.parse(last[start]?.text ?? ''), ['node', ...launchFlags, '/app/mailferry-agent.mjs']);
  for (const [name, value] of Object.entries(launchEnvironment)) {
    assert.ok(places.includes('\n  export ' + name + '=' + value + '\n'), name);
    assert.ok(
      last.some(({ word, text }) => word === 'ENV' && text.includes(name + '=' + value)),
      name,
    );
  }

  const compose: unknown = parse(read(folder, 'compose.yaml').toString());
  assert.deepEqual(compose, {
    name: 'mailferry',
    services: {
      agent: {
        build: '.',
        image: 'mailferry:VERSION',
        network_mode: 'host',
        user: '1000:1000',
        read_only: true,
        tmpfs: ['/tmp:size=16m'],
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
        volumes: ['./data:/data'],
        mem_limit: '192m',
        pids_limit: 64,
        restart: 'unless-stopped',
        stop_grace_period: '60s',
      },
    },
  });
});
