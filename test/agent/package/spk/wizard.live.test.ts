// What a person meets on a new NAS: the wizard, the first start, the page behind the button; and what a NAS does later: it
// opens its volumes when somebody is there, and it is switched off by a plan. In a network of its own, with the standard ports.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { chown } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createDsm, ownNetwork } from '../../../lab/dsm/dsm.ts';
import type { Dsm } from '../../../lab/dsm/dsm.ts';
import { createLab } from '../../../lab/lab.ts';
import { oldestNode } from '../../../lab/oldest-node.ts';
import { waitFor } from '../../../lab/wait.ts';
import { buildSpks, state, writeOwned } from './nas.ts';

const long = { timeoutMs: 60_000 } as const;
const built = mkdtempSync(join(tmpdir(), 'mailferry-spk-'));
after(() => rmSync(built, { recursive: true, force: true }));
let spk = '';
before(async () => {
  [spk = ''] = await buildSpks(built, ['0.1.0']);
});

/** What a browser would send, from a machine that reaches the NAS. */
async function logIn(dsm: Dsm, password: string): Promise<number> {
  const script =
    "const [url, password] = process.argv.slice(1); fetch(url, { method: 'POST', redirect: 'manual', " +
    "headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: 'password=' + encodeURIComponent(password) })" +
    '.then((answer) => console.log(answer.status), (error) => console.log(error.cause?.code ?? error));';
  const args = ['--disable-warning=ALL', '-e', script, 'https://127.0.0.1:8421/login', password];
  const said = await dsm.run('env', ['NODE_TLS_REJECT_UNAUTHORIZED=0', 'NODE_NO_WARNINGS=1', dsm.labNode, ...args]);
  return Number(said.output.trim());
}

test('the wizard asks for one password twice; after it the button leads to a page that this password opens', async (t) => {
  const lab = createLab(t);
  const [node, network] = await Promise.all([oldestNode(), ownNetwork(lab)]);
  const dsm = createDsm({ lab, node, network, language: 'ger' });
  const password = 'Größe 12\'$(id) "x" \\';
  for (const [answers, expected] of [
    [
      { wizard_page_password: 'one password', wizard_page_password_again: 'another one' },
      /^Die beiden Passwörter sind verschieden/,
    ],
    [{ wizard_page_password: 'short', wizard_page_password_again: 'short' }, /^Das Passwort ist zu kurz/],
    [
      { wizard_page_password: '', wizard_page_password_again: 'another one' },
      /^Die beiden Passwörter sind verschieden/,
    ],
  ] as const) {
    const said = await dsm.install(spk, answers);
    assert.equal(said.code, 1);
    assert.match(said.message, expected);
    assert.deepEqual(readdirSync(dsm.real('home')), []);
  }
  const installed = await dsm.install(spk, {
    wizard_page_password: password,
    wizard_page_password_again: password,
    wizard_enrolment_code: '',
  });
  assert.deepEqual([installed.code, installed.message, installed.output], [0, '', '']);
  const answers = join(dsm.real('home'), 'answers');
  for (const name of readdirSync(answers)) assert.equal(statSync(join(answers, name)).mode & 0o777, 0o600, name);
  assert.equal(statSync(answers).mode & 0o777, 0o700);

  const started = await dsm.start();
  assert.deepEqual([started.code, started.message], [0, ''], started.output + dsm.log());
  assert.ok(!existsSync(answers));
  assert.match(readFileSync(join(dsm.real('home'), 'agent.yaml'), 'utf8'), /^tenant: unnamed$/m);
  assert.equal(await logIn(dsm, 'another password'), 401, dsm.log());
  assert.equal(await logIn(dsm, password), 303, dsm.log());
  for (const path of [
    join(dsm.real('home'), 'secrets', 'page'),
    join(dsm.real('home'), 'agent.yaml'),
    join(dsm.real('var'), 'mailferry.log'),
  ])
    assert.ok(!readFileSync(path, 'utf8').includes('Größe'), path + ' does not hold the password');

  // Removed, kept, and installed again with another password.
  assert.equal((await dsm.uninstall({ wizard_keep: 'true' })).code, 0);
  const again = { wizard_page_password: 'the second one', wizard_page_password_again: 'the second one' };
  assert.equal((await dsm.install(spk, again)).code, 0);
  assert.equal((await dsm.start()).code, 0, dsm.log());
  assert.equal(await logIn(dsm, password), 401);
  assert.equal(await logIn(dsm, 'the second one'), 303);
});

test('a state on a volume that is still locked is waited for: nothing is made, and the start is no failure', async (t) => {
  const lab = createLab(t);
  const [node, network] = await Promise.all([oldestNode(), ownNetwork(lab)]);
  const dsm = createDsm({ lab, node, network });
  await dsm.install(spk);
  const volume = join(dsm.root, 'volume2');
  mkdirSync(volume);
  await chown(volume, dsm.uid, dsm.uid);
  await writeOwned(
    dsm,
    join(dsm.real('home'), 'agent.yaml'),
    'tenant: acme\nagent: nas-1\nstate: /var/volume2/mailferry\n',
  );
  assert.equal((await dsm.start()).code, 0, dsm.log());
  assert.equal((await dsm.stop('')).code, 0);

  renameSync(volume, volume + '-locked');
  mkdirSync(volume);
  await chown(volume, dsm.uid, dsm.uid);
  assert.equal((await dsm.start('')).code, 0, dsm.log());
  assert.equal(await dsm.status(), 0);
  assert.match(dsm.log(), /waiting for the state folder/);
  assert.deepEqual(readdirSync(volume), []);
  rmSync(volume, { recursive: true });
  renameSync(volume + '-locked', volume);
  const asked = async (): Promise<number> => (await dsm.command(['status'])).code;
  await waitFor('the agent to answer', async () => (await asked()) === 0, long);
  assert.ok(!existsSync(join(dsm.real('var'), 'state')) && !existsSync(state), 'no other state was begun');
});
