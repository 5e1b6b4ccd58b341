// The first configuration from a file of answers. The questions at a terminal are tried in test/flow/newcomer.live.test.ts.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { stringify } from 'yaml';
import { example } from '../../../agent/cli/init.ts';
import { loadAgentConfig } from '../../../agent/config.ts';
import { planConfiguration, readAnswers } from '../../../agent/first-answers.ts';
import { createLab } from '../../lab/lab.ts';
import { mailferry, putFiles, tempFolder } from './run-cli.ts';

const password = 'right-password';

test('init writes a configuration that the agent takes, each password into a file of its own', async (t) => {
  const lab = createLab(t);
  const pop3 = await lab.scriptedPop3({ user: 'info@example.org', password });
  const relay = await lab.scriptedSmtp({ login: { user: 'info@example.org', password } });
  const local = await lab.scriptedSmtp({});
  const folder = tempFolder(t);
  const answers = (change: object = {}) =>
    stringify({
      tenant: 'acme',
      agent: 'nas-1',
      local: { host: local.host, port: local.port, domains: ['example.org'] },
      mailboxes: [
        {
          address: 'info@example.org',
          host: pop3.host,
          port: pop3.port,
          tls: 'none',
          password: { file: 'pw.txt' },
          firstRun: 'new-only',
        },
      ],
      relays: [
        { host: relay.host, port: relay.port, tls: 'none', address: 'info@example.org', password: { file: 'pw.txt' } },
      ],
      ...change,
    });
  putFiles(folder, { 'answers.yaml': answers(), 'pw.txt': password + '\n', 'wrong.txt': 'wrong-password\n' });

  // A login that is refused is told, and nothing is written.
  putFiles(folder, { 'bad.yaml': answers().replaceAll('pw.txt', 'wrong.txt') });
  const refused = await mailferry(folder, ['init', '--answers', 'bad.yaml']);
  assert.equal(refused.code, 1);
  assert.match(refused.error, /mailbox info@example\.org: the login .* was refused.*; check user and password/);
  assert.match(refused.error, /Nothing was written/);
  assert.ok(!existsSync(join(folder, 'agent.yaml')) && !existsSync(join(folder, 'secrets')));

  const ran = await mailferry(folder, ['init', '--answers', 'answers.yaml']);
  assert.equal(ran.code, 0, ran.error);
  const file = join(folder, 'agent.yaml');
  const text = readFileSync(file, 'utf8');
  assert.ok(!text.includes(password));
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.equal(statSync(join(folder, 'secrets')).mode & 0o777, 0o700);
  const loaded = loadAgentConfig(file);
  const [account] = loaded.value.accounts;
  assert.deepEqual(
    [account?.id, account?.user, account?.firstRun, account?.keep],
    ['info', 'info@example.org', 'new-only', { days: 14 }],
  );
  assert.ok(account?.password);
  assert.equal(loaded.secret(['accounts', 0, 'password'], account.password), password);
  for (const secret of ['mailbox-info', 'relay-provider', 'user-office'])
    assert.equal(statSync(join(folder, 'secrets', secret)).mode & 0o777, 0o600, secret);
  assert.equal((await mailferry(folder, ['config', 'check'])).code, 0);

  // What is there is not touched.
  const again = await mailferry(folder, ['init', '--answers', 'answers.yaml']);
  assert.equal(again.code, 2);
  assert.match(again.error, /^Cannot set up: .*agent\.yaml is there, expected a new file/);
  assert.equal(readFileSync(file, 'utf8'), text);
});

test('wrong answers are told with file, line, option, what was found and what was expected', async (t) => {
  const folder = tempFolder(t);
  const start = 'tenant: acme\nagent: nas-1\nlocal: {domains: [example.org]}\n';
  const box = 'mailboxes:\n  - {address: info@example.org, preset: gmx, password: {file: pw}';
  const rows: readonly (readonly [string, RegExp])[] = [
    [start + 'mailboxs: []\n', /a\.yaml:4: option mailboxs: found an unknown option, expected mailboxes \(the nearest/],
    [
      start + box + '}\n',
      /option mailboxes\[0\]\.firstRun: found nothing, expected all, new-only or \{since: YYYY-MM-DD\}/,
    ],
    [
      start + box + ', firstRun: all}\n',
      /a\.yaml:5: option mailboxes\[0\]\.password\.file: found .*pw which cannot be read: ENOENT/,
    ],
    [start.replace('acme', 'ACME'), /a\.yaml:1: option tenant: found "ACME"/],
    ['', /option tenant: found nothing/],
  ];
  for (const [text, expected] of rows) {
    putFiles(folder, { 'a.yaml': text });
    const ran = await mailferry(folder, ['init', '--answers', 'a.yaml']);
    assert.equal(ran.code, 2, text);
    assert.match(ran.error, expected);
  }
  assert.ok(!existsSync(join(folder, 'agent.yaml')));
  const nobody = await mailferry(folder, ['init']);
  assert.equal(nobody.code, 2);
  assert.match(nobody.error, /^Cannot ask: this is no terminal, expected --answers FILE/);
});

test('a mailbox that would go to strangers makes no configuration', async (t) => {
  const folder = tempFolder(t);
  const text =
    'tenant: a\nagent: b\nlocal: {domains: [example.org]}\n' +
    'mailboxes: [{address: a@example.net, preset: gmx, password: {file: pw}, firstRun: all}]\n';
  putFiles(folder, { 'a.yaml': text, pw: 'x\n' });
  const ran = await mailferry(folder, ['init', '--untried', '--answers', 'a.yaml']);
  assert.equal(ran.code, 2);
  assert.match(
    ran.error,
    /option accounts\[0\]\.recipients\[0\]: found "a@example\.net", expected an address in a domain of local\.domains/,
  );
  assert.ok(!existsSync(join(folder, 'secrets')), 'a password was written for nothing');
});

test('the example of answers is one', async (t) => {
  const folder = tempFolder(t);
  putFiles(folder, { 'answers.yaml': example, 'info.txt': 'x\n' });
  assert.equal((await mailferry(folder, ['init', '--example'])).out, example);
  const ran = await mailferry(folder, ['init', '--untried', '--answers', 'answers.yaml']);
  assert.equal(ran.code, 0, ran.error);
  assert.equal((await mailferry(folder, ['config', 'check'])).code, 0);
});

test('ids are short, of legal characters, and never the same; the login name has the form that the provider asks for', (t) => {
  const folder = tempFolder(t);
  const addresses = ['Info.Büro@example.org', 'info.buro@example.net', 'info@example.org', 'info@example.net'];
  const boxes = addresses.map((address) => ({ address, preset: 'web-de', password: { file: 'pw' }, firstRun: 'all' }));
  putFiles(folder, {
    pw: 'x\n',
    'a.yaml': stringify({
      tenant: 'a',
      agent: 'b',
      local: { domains: ['example.org', 'example.net'] },
      mailboxes: boxes,
    }),
  });
  const { text, secrets } = planConfiguration(readAnswers(join(folder, 'a.yaml')));
  const ids = [...text.matchAll(/ id: (.*)/g)].map((match) => match[1] ?? '');
  assert.equal(new Set(ids).size, 4);
  for (const id of ids) assert.match(id, /^[a-z0-9][a-z0-9-]*[a-z0-9]$/);
  assert.equal(secrets.size, 4);
  assert.match(text, /user: info\n/);
});
