// What leaves the house in a support bundle. Secrets, addresses and subjects are planted wherever one may stand: in secret
// files and the environment, in a comment of the configuration, in the log, in what the agent answers.
import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pino } from 'pino';
import { createRedactor } from '../../../agent/cli/redact.ts';
import { createCommands } from '../../../agent/control/commands.ts';
import { createControl } from '../../../agent/control/control.ts';
import { openState } from '../../../agent/state.ts';
import { sampleHeld, sampleMail, sampleQuarantine, sampleQueue, sampleStatus } from '../control/sample.ts';
import { mailferry, putFiles, tempFolder } from './run-cli.ts';

const secrets = {
  file: 'Kx7-plum-secret-of-a-file',
  env: 'Zq9/env+secret=of&a variable',
  comment: 'comment-secret-1',
  log: 'logsecret22',
  bearer: 'ya29.A0ARrdaM-token',
  zone: 'abcdefghij1234567890zone',
  url: 'urlsecret33',
} as const;

test('a support bundle says much and gives nothing away', async (t) => {
  const folder = tempFolder(t);
  process.env['MAILFERRY_TEST_SECRET'] = secrets.env;
  t.after(() => delete process.env['MAILFERRY_TEST_SECRET']);
  const plain = Buffer.from('\0info@example.org\0' + secrets.file).toString('base64');
  putFiles(folder, {
    'agent.yaml': [
      'tenant: acme # the old password was ' + secrets.comment,
      'agent: nas-1',
      'state: state',
      'local: {domains: [example.org]}',
      'accounts:',
      '  - id: info',
      '    host: pop.example.net',
      '    user: chef.person@example.org',
      '    password: {file: pw}',
      '    recipients: [chef.person@example.org]',
      'report: {url: "mqtts://collector.example:8883", password: {env: MAILFERRY_TEST_SECRET}}',
      'probe: {dnsbl: {addresses: [192.0.2.1], zones: [' + secrets.zone + '.zen.dq.spamhaus.net]}}',
      '',
    ].join('\n'),
    pw: secrets.file + '\n',
    'agent.log': [
      '{"level":"info","msg":"said PASS ' + secrets.file + '"}',
      '{"msg":"login","password":"' + secrets.log + '","user":"chef.person@example.org"}',
      'AUTH PLAIN ' + plain,
      'Authorization: Bearer ' + secrets.bearer,
      'GET http://u:' + secrets.url + '@host/x?token=' + encodeURIComponent(secrets.env),
      'GET /login/' + encodeURIComponent(secrets.env) + '/next',
      'Subject: the secret merger',
      '-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEG\n-----END PRIVATE KEY-----',
      '{"level":"warn","mailbox":"info","msg":"a line that helps"}',
    ].join('\n'),
  });
  const state = openState(join(folder, 'state'));
  t.after(() => state.close());
  const mail = { ...sampleMail, from: 'chef.person@example.org' };
  const commands = createCommands({
    status: () => ({ ...sampleStatus, local: { problem: 'said ' + secrets.file } }),
    queueList: () => [mail],
    queueShow: () => mail,
    queue: () => sampleQueue,
    fetch: async () => [],
    quarantine: () => ({ ...sampleQuarantine, list: async () => [{ ...sampleHeld, subject: 'the secret merger' }] }),
  });
  const control = createControl({
    path: join(folder, 'state', 'agent.sock'),
    commands,
    log: pino({ level: 'silent' }),
  });
  t.after(() => control.stop());
  await control.start();

  const ran = await mailferry(folder, ['support-bundle', '--no-doctor', '--out', 'help.txt', '--log', 'agent.log']);
  assert.equal(ran.code, 0, ran.error);
  const file = join(folder, 'help.txt');
  const text = readFileSync(file, 'utf8');
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const forms = Object.values(secrets).flatMap((secret) => [
    secret,
    encodeURIComponent(secret),
    Buffer.from(secret).toString('base64').replace(/=+$/, ''),
  ]);
  for (const form of [...forms, plain, 'chef.person', 'secret merger', 'MIGHAgEA'])
    assert.ok(!text.includes(form), form + ' is in the bundle');
  // A bundle that says nothing would give nothing away either.
  for (const word of [
    /mailferry \d+\.\d+\.\d+, Node 2/,
    /host: pop\.example\.net/,
    /c\*\*\*@example\.org/,
    /"tenant": "acme"/,
    /"id": "abc1"/,
    /agent\.db {2}\d+ bytes/,
    /schema \d+\n/,
    /received {2}0 rows/,
    /"msg":"a line that helps"/,
    /\[key\]\.zen\.dq\.spamhaus\.net/,
  ])
    assert.match(text, word);
});

test('a support bundle is written when the configuration is broken and no agent runs', async (t) => {
  const folder = tempFolder(t);
  putFiles(folder, { 'agent.yaml': 'tenant: acme\npassword: hunter2hunter\n' });
  const ran = await mailferry(folder, ['support-bundle', '--out', '-']);
  assert.equal(ran.code, 0);
  assert.match(ran.out, /It cannot be used:\n.*option agent: found nothing/);
  assert.ok(!ran.out.includes('hunter2'));
  const missing = await mailferry(folder, ['support-bundle', '--out', '-', '--log', 'no.log']);
  assert.equal(missing.code, 2);
  assert.match(missing.error, /^Cannot read the log .*no\.log: ENOENT.*, expected --log FILE\n$/);
});

test('createRedactor() takes out what looks like a secret and leaves what helps', () => {
  const redact = createRedactor(['s3cret']);
  const rows: readonly (readonly [string, string])[] = [
    ['password=abc next', 'password=[secret] next'],
    ['"token": "abc", "id": 1', '"token": [secret], "id": 1'],
    ["kennwort: 'ab c'", 'kennwort: [secret]'],
    ['password:\n      file: pw', 'password:\n      file: pw'],
    ['he said s3cret, twice: s3crets3cret', 'he said [secret], twice: [secret][secret]'],
    ['mail from a.b+c@example.org to @example.org', 'mail from a***@example.org to @example.org'],
    ['450 4.7.1 greylisted, relay provider', '450 4.7.1 greylisted, relay provider'],
    ['sha 3f786850e387550fdab836ed7e6dc881de23001b end', 'sha [key] end'],
    ['/var/packages/mailferry/target/agent.yaml', '/var/packages/mailferry/target/agent.yaml'],
  ];
  for (const [text, expected] of rows) assert.equal(redact(text), expected);
});
