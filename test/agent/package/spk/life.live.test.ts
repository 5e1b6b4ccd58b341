// The life of the package on a DSM without a NAS (test/lab/dsm): installed, started, upgraded, removed, by its own scripts, as
// a user without rights, on the oldest Node that it promises to run on.
import assert from 'node:assert/strict';
import {
  copyFileSync,
  existsSync,
  readFileSync,
  readdirSync,
  rmSync,
  mkdtempSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createDsm } from '../../../lab/dsm/dsm.ts';
import type { Dsm } from '../../../lab/dsm/dsm.ts';
import { createLab } from '../../../lab/lab.ts';
import { oldestNode } from '../../../lab/oldest-node.ts';
import { waitFor } from '../../../lab/wait.ts';
import {
  buildSpks,
  buildWorld,
  configure,
  customer,
  provider,
  recipient,
  submit,
  subjectsOf,
  agentPids,
} from './nas.ts';

// One bundle for all tests of this file.
const built = mkdtempSync(join(tmpdir(), 'mailferry-spk-'));
after(() => rmSync(built, { recursive: true, force: true }));
let first = '';
let second = '';
before(async () => {
  [first = '', second = ''] = await buildSpks(built, ['0.1.0', '0.2.0']);
});

const long = { timeoutMs: 60_000 } as const;
const names = (prefix: string, count: number): readonly string[] =>
  Array.from({ length: count }, (_, index) => prefix + '-' + String(index).padStart(2, '0'));

/** Files of mails that are not done. */
function waiting(dsm: Dsm): number {
  const folder = join(dsm.real('var'), 'state', 'spool', 'queue');
  return existsSync(folder) ? readdirSync(folder).length : 0;
}

test('mail flows, an upgrade keeps what waits and knows what was fetched, and an end with or without the data is what was said', async (t) => {
  const lab = createLab(t);
  const [world, node] = await Promise.all([buildWorld(lab), oldestNode()]);
  const dsm = createDsm({ lab, node });

  assert.equal((await dsm.install(first)).code, 0);
  assert.equal(await dsm.status(), 3, 'installed is not started');
  await configure(dsm, world);
  const started = await dsm.start();
  assert.deepEqual([started.code, started.message], [0, ''], started.output + dsm.log());
  assert.equal(await dsm.status(), 0);
  assert.equal((await dsm.start()).code, 0, 'started twice is started');
  const asked = await dsm.command(['status', '--json']);
  assert.equal(JSON.parse(asked.output).agent, 'nas-1', asked.output);

  // In and out.
  await world.pop3.put(provider.user, Buffer.from('Message-ID: <in-1@x.test>\r\nSubject: in-1\r\n\r\ntext\r\n'));
  await waitFor('the mail at the local server', async () => (await world.local.count(recipient)) === 1, long);
  assert.match((await submit(world, ['out-1']))[0] ?? '', /^250/);
  await waitFor('the mail at the relay', async () => (await world.relay.count()) === 1, long);

  // 50 mails wait while the relay is away; the new version finds them.
  await world.relay.crash();
  const answers = await submit(world, names('wait', 50));
  assert.equal(answers.filter((answer) => answer.startsWith('250')).length, 50);
  const pids = dsm.processes();
  const upgraded = await dsm.upgrade(second);
  assert.deepEqual([upgraded.code, upgraded.message], [0, ''], upgraded.output + dsm.log());
  assert.equal(await dsm.status(), 0);
  assert.match(readFileSync(join(dsm.package, 'INFO'), 'utf8'), /^version="0\.2\.0-1"$/m);
  assert.ok(!dsm.processes().some((pid) => pids.includes(pid)), 'the old version has ended');
  assert.equal(waiting(dsm), 50);
  const compiled = join(dsm.real('tmp'), 'compiled');
  await waitFor('what was compiled', () => existsSync(compiled) && readdirSync(compiled).length > 0, long);
  await world.relay.start();
  await waitFor('all mails at the relay', async () => (await world.relay.count()) >= 51, long);
  await waitFor('an empty queue', () => waiting(dsm) === 0, long);
  assert.deepEqual(subjectsOf(await world.relay.mails(customer)), ['out-1', ...names('wait', 50)]);

  // What was fetched before the upgrade is not fetched again.
  await world.pop3.put(provider.user, Buffer.from('Message-ID: <in-2@x.test>\r\nSubject: in-2\r\n\r\ntext\r\n'));
  await waitFor('the next mail', async () => (await world.local.count(recipient)) >= 2, long);
  assert.deepEqual(subjectsOf(await world.local.mails(recipient)), ['in-1', 'in-2']);

  // Removed and kept.
  const left = await dsm.uninstall({ wizard_keep: 'true', wizard_erase: 'false', wizard_erase_queue: 'false' });
  assert.equal(left.code, 0, left.output);
  assert.deepEqual(dsm.processes(), []);
  assert.equal(dsm.link('mailferry'), undefined);
  assert.ok(existsSync(join(dsm.real('var'), 'state', 'agent.db')) && existsSync(join(dsm.real('home'), 'agent.yaml')));
  assert.equal((await dsm.install(second)).code, 0);
  assert.equal((await dsm.start()).code, 0, dsm.log());
  await world.pop3.put(provider.user, Buffer.from('Message-ID: <in-3@x.test>\r\nSubject: in-3\r\n\r\ntext\r\n'));
  await waitFor('the next mail', async () => (await world.local.count(recipient)) >= 3, long);
  assert.deepEqual(subjectsOf(await world.local.mails(recipient)), ['in-1', 'in-2', 'in-3']);

  // Removed for good: not while mail waits, unless that was said too.
  await world.relay.crash();
  await submit(world, ['last']);
  const refused = await dsm.uninstall({ wizard_keep: 'false', wizard_erase: 'true', wizard_erase_queue: 'false' });
  assert.equal(refused.code, 1);
  assert.match(refused.message, /^Mails that wait to be sent, .*: 1\. They would be deleted\./);
  assert.equal(await dsm.status(), 0, 'and nothing has happened');
  const erased = await dsm.uninstall({ wizard_keep: 'false', wizard_erase: 'true', wizard_erase_queue: 'true' });
  assert.equal(erased.code, 0, erased.output);
  assert.deepEqual([readdirSync(dsm.real('var')), readdirSync(dsm.real('home'))], [[], []]);
  assert.deepEqual(dsm.processes(), []);
});

test('without the right Node.js nothing is installed, and it is said what to do, in the language of the NAS', async (t) => {
  const lab = createLab(t);
  const bare = createDsm({ lab });
  assert.equal((await bare.install(first)).message, 'needs Node.js_v22', 'Package Center itself refuses');

  // The program of an older package: what asks for its version is told an older one.
  const old = join(lab.dir, 'old-node');
  const real = join(lab.dir, 'real-node');
  copyFileSync(process.execPath, real);
  const script =
    '#!/bin/sh\n[ "$1" = --version ] && echo v22.12.0 && exit 0\n' +
    'exec "' +
    real +
    '" "$1" "$(printf %s "$2" | sed s/process.versions.node/\\"22.12.0\\"/)"\n';
  writeFileSync(old, script, { mode: 0o755 });
  for (const [language, expected] of [
    [
      'enu',
      'mailferry needs Node.js 22.13 or newer, found v22.12.0. Please update the package Node.js v22 in Package Center.',
    ],
    [
      'ger',
      'mailferry braucht Node.js 22.13 oder neuer, gefunden wurde v22.12.0. Bitte aktualisieren Sie das Paket Node.js v22 im Paket-Zentrum.',
    ],
  ] as const) {
    const dsm = createDsm({ lab, node: old, language });
    const said = await dsm.install(first);
    assert.deepEqual([said.code, said.message], [1, expected]);
    assert.deepEqual(readdirSync(dsm.real('target')), []);
  }

  // An upgrade is refused before the old version is taken away.
  const dsm = createDsm({ lab, node: await oldestNode(), language: 'ger' });
  await dsm.install(first);
  const place = join(dsm.package, '..', 'Node.js_v22', 'target', 'usr', 'local', 'bin', 'node');
  rmSync(place);
  const said = await dsm.upgrade(second);
  assert.equal(said.code, 1);
  assert.match(said.message, /^mailferry braucht das Paket Node\.js v22\./);
  assert.ok(existsSync(join(dsm.real('target'), 'app', 'mailferry-agent.mjs')));
});

test('an administrator is served as the user of the agent, others are sent away, and the log is rotated while it is written', async (t) => {
  const lab = createLab(t);
  const [world, node] = await Promise.all([buildWorld(lab), oldestNode()]);
  const dsm = createDsm({ lab, node });
  await dsm.install(first);
  await configure(dsm, world, { logLevel: 'debug' });
  assert.equal(dsm.link('mailferry'), '/var/packages/mailferry/target/bin/mailferry');

  // sudo synopkg start: what is written belongs to the agent all the same.
  const scripts = '/var/packages/mailferry/scripts/start-stop-status';
  assert.equal((await dsm.run(scripts, ['start'], { as: 0 })).code, 0, dsm.log());
  assert.equal(agentPids(dsm).length, 1);
  const asRoot = await dsm.command(['user', 'add', 'office', '@example.org'], { as: 0 });
  assert.equal(asRoot.code, 0, asRoot.output);
  assert.equal(statSync(join(dsm.real('var'), 'state', 'users.json')).uid, dsm.uid);
  const other = await dsm.command(['status'], { as: dsm.uid + 5 });
  assert.equal(other.code, 2);
  assert.match(
    other.output,
    /^Cannot run mailferry as this user: .* expected an administrator: sudo mailferry status$/m,
  );

  // What the documentation tells an administrator to type.
  const docs = readFileSync(join(import.meta.dirname, '..', '..', '..', '..', 'docs', 'synology.md'), 'utf8');
  const commands = [...docs.matchAll(/^sudo mailferry (.+)$/gm)].map(([, args = '']) => args.split(' '));
  assert.ok(commands.length >= 3);
  for (const args of commands) {
    const said = await dsm.command(args, { as: 0 });
    assert.equal(said.code, 0, args.join(' ') + ': ' + said.output);
  }

  // Nobody else may read what the agent knows.
  for (const path of [
    join(dsm.real('var'), 'mailferry.log'),
    join(dsm.real('home'), 'agent.yaml'),
    join(dsm.real('var'), 'state'),
  ])
    assert.equal(statSync(path).mode & 0o077, 0, path);

  const log = join(dsm.real('var'), 'mailferry.log');
  const before = statSync(log);
  // DSM takes a copy of the rules: logrotate, which runs as root, reads none that belong to somebody else.
  const rules = readFileSync(join(dsm.real('target'), 'conf', 'logrotate.conf'));
  writeFileSync(join(dsm.root, 'tmp', 'rules'), rules, { mode: 0o644 });
  const args = ['--force', '--state', '/var/tmp/logrotate.state', '/var/tmp/rules'];
  const rotated = await dsm.run('logrotate', args, { as: 0 });
  assert.equal(rotated.code, 0, rotated.output);
  assert.ok(existsSync(log + '.1.gz'), rotated.output);
  assert.equal(statSync(log).ino, before.ino);
  // The same process goes on, from the new end of the file.
  await world.local.crash();
  await world.pop3.put(provider.user, Buffer.from('Message-ID: <in@x.test>\r\nSubject: in\r\n\r\ntext\r\n'));
  await waitFor('a line in the log', () => /"room":/.test(dsm.log()), long);
  assert.ok(!dsm.log().includes('\0'), 'without a hole');
});
