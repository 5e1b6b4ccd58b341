// What the wizard of a package was told becomes a configuration, once.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { encodeCode, newSecret } from '#shared/enrolment.ts';
import { loadAgentConfig } from '../../agent/config.ts';
import { enrolAgent } from '../../agent/enrol.ts';
import { hasWizardAnswers, takeWizardAnswers } from '../../agent/wizard-answers.ts';

type Site = {
  readonly file: string;
  readonly answer: (name: string, text: string) => void;
  readonly path: (name: string) => string;
};

function createSite(t: TestContext): Site {
  const folder = mkdtempSync(join(tmpdir(), 'mailferry-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return {
    file: join(folder, 'agent.yaml'),
    path: (name) => join(folder, name),
    answer(name, text) {
      mkdirSync(join(folder, 'answers'), { recursive: true, mode: 0o700 });
      writeFileSync(join(folder, 'answers', name), text, { mode: 0o600 });
    },
  };
}

test('a password is enough for a first configuration: a page for the network, nothing else, and no answer is left', async (t) => {
  const site = createSite(t);
  site.answer('page-password', 'it\'s a long $word \\ "with" everything');
  site.answer('state', '/var/packages/mailferry/var/state');
  assert.ok(hasWizardAnswers(site.file));
  await takeWizardAnswers({ configFile: site.file, hostname: 'Diskstation Büro.fritz.box' });
  assert.ok(!hasWizardAnswers(site.file));
  const loaded = loadAgentConfig(site.file);
  const { tenant, agent, state, page, accounts, report } = loaded.value;
  assert.deepEqual([tenant, agent, state], ['unnamed', 'diskstation-b-ro', '/var/packages/mailferry/var/state']);
  assert.deepEqual([page?.host, page?.port, accounts.length, report], ['0.0.0.0', 8_421, 0, undefined]);
  assert.equal(page && loaded.secret(['page', 'password'], page.password), 'it\'s a long $word \\ "with" everything');
  assert.equal(statSync(site.path('secrets/page')).mode & 0o777, 0o600);
  assert.ok(!readFileSync(site.file, 'utf8').includes('long'), 'no password in the configuration');
});

test('an enrolment code names the agent, and one that is broken does not keep it from starting', async (t) => {
  const code = encodeCode({
    tenant: 'acme',
    agent: 'nas-7',
    expires: 1,
    urls: ['mqtts://collector.example:8883'],
    secret: newSecret(),
  });
  for (const [text, expected] of [
    [code, ['acme', 'nas-7']],
    [code.slice(0, -3), ['unnamed', 'nas']],
  ] as const) {
    const site = createSite(t);
    site.answer('page-password', 'a long password');
    site.answer('enrolment-code', text);
    await takeWizardAnswers({ configFile: site.file, hostname: '...' });
    const { tenant, agent } = loadAgentConfig(site.file).value;
    assert.deepEqual([tenant, agent], expected);
  }
});

test('an agent that has no name yet takes that of a code which comes later, one with a report does not', async (t) => {
  const site = createSite(t);
  site.answer('page-password', 'a long password');
  await takeWizardAnswers({ configFile: site.file, hostname: 'nas' });
  const code = encodeCode({
    tenant: 'acme',
    agent: 'nas-7',
    expires: 1,
    urls: ['mqtts://127.0.0.1:1'],
    secret: newSecret(),
  });
  const enrol = () =>
    enrolAgent({ configFile: site.file, code, version: '1', signal: new AbortController().signal, now: Date.now });
  await assert.rejects(enrol(), /ECONNREFUSED/, 'it goes as far as the line');
  const text = readFileSync(site.file, 'utf8');
  writeFileSync(site.path('report'), 'secret');
  writeFileSync(site.file, text + 'report: {url: "mqtts://collector.example:8883", password: {file: report}}\n');
  await assert.rejects(enrol(), /the code is for acme\/nas-7, and option tenant in .* is "unnamed"/);
});

test('installed again over a configuration that was kept, only the password of the page is new', async (t) => {
  const site = createSite(t);
  writeFileSync(site.path('my-page-password'), 'the old one\n');
  const text =
    '# mine\ntenant: acme\nagent: nas-1 # in the cellar\nstate: state\npage: {port: 9000, password: {file: my-page-password}}\n';
  writeFileSync(site.file, text);
  site.answer('page-password', 'the new password');
  site.answer('state', '/elsewhere');
  await takeWizardAnswers({ configFile: site.file, hostname: 'nas' });
  assert.equal(readFileSync(site.file, 'utf8'), text);
  assert.equal(readFileSync(site.path('my-page-password'), 'utf8'), 'the new password\n');

  const older = createSite(t);
  writeFileSync(older.file, 'tenant: acme\nagent: nas-1\nstate: state\n');
  older.answer('page-password', 'a long password');
  await takeWizardAnswers({ configFile: older.file, hostname: 'nas' });
  assert.deepEqual(loadAgentConfig(older.file).value.page?.host, '0.0.0.0', 'a page is made where there was none');
});

test('a configuration that cannot be read keeps the answers for the next start', async (t) => {
  const site = createSite(t);
  writeFileSync(site.file, 'tenant: [\n');
  site.answer('page-password', 'a long password');
  await assert.rejects(takeWizardAnswers({ configFile: site.file, hostname: 'nas' }), /agent\.yaml/);
  assert.ok(existsSync(site.path('answers/page-password')));
});
