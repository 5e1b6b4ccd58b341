// Mistakes in a configuration and in the files it names: each message names the file and its line, the option, what was
// found, what was expected, and what helps. `#<<` marks the line that must be named.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { mailferry, putFiles, tempFolder } from './run-cli.ts';

const start = 'tenant: acme\nagent: nas-1\nstate: state\n';
const local = 'local: {domains: [example.org]}\n';
const account = (more: string): string =>
  'accounts:\n  - id: info\n    host: pop.example.net\n    user: info@example.org\n' + more;
const good = '    password: {file: pw}\n    recipients: [info@example.org]\n';
const relay = 'relays:\n  - {id: out, host: smtp.example.net, user: u, password: {file: pw}}\n';

type Mistake = {
  readonly what: string;
  readonly text: string;
  readonly option: string;
  readonly found: RegExp;
  /** What was expected, with what helps. */
  readonly expected: RegExp;
  readonly files?: Readonly<Record<string, string>>;
};
const mistake = (
  what: string,
  text: string,
  option: string,
  found: RegExp,
  expected: RegExp,
  files?: Mistake['files'],
): Mistake => ({ what, text, option, found, expected, ...(files && { files }) });

const pair = (name: string): string => {
  const args = ['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
  return name === '' ? '' : execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
};

const mistakes: readonly Mistake[] = [
  mistake('a misspelt option', start + 'acounts: [] #<<\n', 'acounts', /an unknown option/, /accounts \(the nearest/),
  mistake(
    'a misspelt option of a mailbox',
    start + local + account('    pasword: {file: pw} #<<\n' + good),
    'accounts[0].pasword',
    /an unknown option/,
    /password \(the nearest known option\)/,
  ),
  mistake('an option that resembles none', start + 'zzzzzzzz: 1 #<<\n', 'zzzzzzzz', /unknown/, /one of tenant, agent/),
  mistake(
    'a port that is none',
    start + 'local: {domains: [a.test], port: 70000} #<<\n',
    'local.port',
    /70000/,
    /a port, 1 to 65535/,
  ),
  mistake('a port in words', start + 'local: {domains: [a.test], port: smtp} #<<\n', 'local.port', /"smtp"/, /a port/),
  mistake(
    'a misspelt word',
    start + 'local:\n  domains: [a.test]\n  tls: startls #<<\n',
    'local.tls',
    /"startls"/,
    /did you mean starttls\?/,
  ),
  mistake(
    'capitals in a name',
    'tenant: ACME #<<\nagent: nas-1\nstate: s\n',
    'tenant',
    /"ACME"/,
    /a short name of a-z, 0-9 and -/,
  ),
  mistake(
    'a password in the file',
    start + local + account('    password: hunter2 #<<\n    recipients: [a@example.org]\n'),
    'accounts[0].password',
    /^a text$/,
    /\{file: PATH\} or \{env: NAME\}/,
  ),
  mistake('a text where a list belongs', start + 'accounts: info #<<\n', 'accounts', /"info"/, /a list/),
  mistake(
    'a misspelt provider',
    start +
      local +
      'accounts:\n  - {id: a, preset: gxm, user: u, password: {file: pw}, recipients: [a@example.org]} #<<\n',
    'accounts[0].preset',
    /"gxm"/,
    /did you mean gmx\?/,
  ),
  mistake(
    'no server and no provider',
    start + local + 'accounts:\n  - {id: a, user: u, password: {file: pw}, recipients: [a@example.org]} #<<\n',
    'accounts[0].host',
    /nothing/,
    /a host name or an IP address, or a preset/,
  ),
  mistake(
    'no password',
    start + local + account('    recipients: [a@example.org]\n').replace('- id: info', '- id: info #<<'),
    'accounts[0].password',
    /nothing/,
    /or oauth/,
  ),
  mistake(
    'a recipient of another house',
    start + local + account('    password: {file: pw}\n    recipients: [a@example.com] #<<\n'),
    'accounts[0].recipients[0]',
    /"a@example\.com"/,
    /local\.domains/,
  ),
  mistake(
    'two ways to find the recipients',
    start +
      local +
      account(
        good +
          '    multidrop: {header: X-Envelope-To, domains: [example.org], fallback: a@example.org, provider: example.net} #<<\n',
      ),
    'accounts[0].multidrop',
    /both/,
    /either recipients or multidrop/,
  ),
  mistake(
    'one name twice',
    start +
      local +
      account(good) +
      '  - {id: info, host: h, user: u, password: {file: pw}, recipients: [b@example.org]} #<<\n',
    'accounts[1].id',
    /"info" for the second time/,
    /a name that no other account has/,
  ),
  mistake(
    'a number for keep',
    start + local + account(good + '    keep: 14 #<<\n'),
    'accounts[0].keep',
    /14/,
    /none, forever or \{days: N\}/,
  ),
  mistake(
    'a day that no calendar has',
    start + local + account(good + '    firstRun: {since: 2026-13-01} #<<\n'),
    'accounts[0].firstRun.since',
    /2026-13-01/,
    /a day as YYYY-MM-DD/,
  ),
  mistake(
    'pins without TLS',
    start + 'local:\n  domains: [a.test]\n  pins: [sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=] #<<\n',
    'local.pins',
    /pins although tls is none/,
    /implicit or starttls/,
  ),
  mistake(
    'mail taken and no relay',
    start + 'submission: {}\n',
    'relays',
    /nothing/,
    /a relay that sends what submission takes/,
  ),
  mistake('mailboxes and no local server', start + account(good), 'local', /nothing/, /the local mail server/),
  mistake(
    'an operator elsewhere',
    start + local + 'operator: me@example.net #<<\n',
    'operator',
    /"me@example\.net"/,
    /local\.domains: example\.org/,
  ),
  mistake(
    'a collector by http',
    start + 'report: {url: "http://c:80", password: {file: pw}} #<<\n',
    'report.url',
    /"http:\/\/c:80"/,
    /mqtts:\/\/HOST:PORT/,
  ),
  mistake(
    'the whole world trusted',
    start + relay + 'submission:\n  trusted:\n    - {id: all, addresses: [0.0.0.0/0], senders: ["@example.org"]} #<<\n',
    'submission.trusted[0].addresses[0]',
    /0\.0\.0\.0\/0/,
    /\/\d+/,
  ),
  mistake(
    'passwords in clear over the net',
    start + relay + 'submission:\n  localLogin: {host: mail.example.org, domains: [example.org]} #<<\n',
    'submission.localLogin.tls',
    /none/,
    /starttls or implicit, since passwords would leave this machine/,
  ),
  mistake(
    'a rewrite to nobody',
    start +
      relay +
      'submission:\n  users:\n    - {name: u, password: {file: pw}, senders: ["@a.test"], mailServer: {nullSender: rewrite}} #<<\n',
    'submission.users[0].mailServer.rewriteTo',
    /nothing/,
    /an address of `senders`/,
  ),
  mistake(
    'a stand-in that is not there',
    start + 'relays:\n  - {id: out, host: h, user: u, password: {file: pw}, fallback: [other]} #<<\n',
    'relays[0].fallback[0]',
    /other/,
    /relay/,
  ),
  mistake(
    'clamd without a place',
    start + 'check: {clamd: {}} #<<\n',
    'check.clamd.socket',
    /nothing/,
    /either socket or host/,
  ),
  mistake(
    'a secret file that is not there',
    start + 'report: {url: "mqtts://c:1", password: {file: nowhere}} #<<\n',
    'report.password.file',
    /nowhere which cannot be read: ENOENT/,
    /a readable file that holds the secret/,
  ),
  mistake(
    'an empty secret file',
    start + 'report: {url: "mqtts://c:1", password: {file: empty}} #<<\n',
    'report.password.file',
    /which is empty/,
    /a file that holds the secret/,
    { empty: '\n' },
  ),
  mistake(
    'a variable that is not set',
    start + 'report: {url: "mqtts://c:1", password: {env: MAILFERRY_UNSET}} #<<\n',
    'report.password.env',
    /no environment variable MAILFERRY_UNSET/,
    /set it, or use \{file: PATH\}/,
  ),
  mistake(
    'an authority that is no certificate',
    start + 'report: {url: "mqtts://c:1", password: {file: pw}, caFile: ca.pem} #<<\n',
    'report.caFile',
    /ca\.pem which holds no PEM block/,
    /a PEM file/,
    { 'ca.pem': 'nothing\n' },
  ),
  mistake(
    'a key in place of a certificate',
    start + 'report: {url: "mqtts://c:1", password: {file: pw}, caFile: key.pem} #<<\n',
    'report.caFile',
    /key\.pem which is none/,
    /a PEM file of a certificate/,
    { 'key.pem': pair('key') },
  ),
];

for (const { what, text, option, found, expected, files } of mistakes) {
  test('config check tells of ' + what, async (t) => {
    const folder = tempFolder(t);
    putFiles(folder, { 'agent.yaml': text.replaceAll(' #<<', ''), pw: 'secret-of-the-test\n', ...files });
    const ran = await mailferry(folder, ['config', 'check']);
    assert.equal(ran.code, 2);
    const lines = ran.error.trim().split('\n');
    const parts = lines.map((one) => /^(.*?)(?::(\d+))?: option (.*?): found (.*), expected (.*)$/.exec(one));
    const part = parts.find((one) => one?.[3] === option);
    assert.ok(part, 'no line about ' + option + ': ' + ran.error);
    assert.equal(part[1], join(folder, 'agent.yaml'));
    const marked = text.split('\n').findIndex((one) => one.includes('#<<'));
    if (marked >= 0) assert.equal(Number(part[2]), marked + 1, ran.error);
    assert.match(part[4] ?? '', found);
    assert.match(part[5] ?? '', expected);
    assert.ok(!ran.error.includes('hunter2') && !ran.error.includes('secret-of-the-test'), 'a secret is repeated');
  });
}

test('config check tells of a key that is not that of the certificate', async (t) => {
  const folder = tempFolder(t);
  const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  const out = ['-subj', '/CN=a', '-keyout', join(folder, 'own.pem'), '-out', join(folder, 'cert.pem')];
  execFileSync('openssl', [...args, ...out], { stdio: 'ignore' });
  const text = start + relay + 'submission:\n  tls: {keyFile: key.pem, certFile: cert.pem}\n';
  putFiles(folder, { 'agent.yaml': text, pw: 'x\n', 'key.pem': pair('other') });
  const ran = await mailferry(folder, ['config', 'check']);
  assert.equal(ran.code, 2);
  assert.equal(
    ran.error.trim(),
    join(folder, 'agent.yaml') +
      ':7: option submission.tls.certFile: found a certificate for another key than that of keyFile, expected key and certificate of one pair',
  );
});

test('config check names the line of what is no YAML, and the file that is none', async (t) => {
  const folder = tempFolder(t);
  putFiles(folder, { 'agent.yaml': start + 'local: {domains: [a\n', 'twice.yaml': start + 'state: other\n' });
  mkdirSync(join(folder, 'folder.yaml'));
  const broken = await mailferry(folder, ['config', 'check']);
  assert.match(broken.error, /agent\.yaml:\d+: found .*, expected YAML\n$/);
  const twice = await mailferry(folder, ['--config', 'twice.yaml', 'config', 'check']);
  assert.match(twice.error, /twice\.yaml:\d+: found .*unique.*, expected YAML\n$/);
  for (const name of ['missing.yaml', 'folder.yaml']) {
    const ran = await mailferry(folder, ['--config', name, 'config', 'check']);
    assert.equal(ran.code, 2);
    assert.match(ran.error, /^Cannot read configuration .*\.yaml: found .*, expected a readable YAML file\n$/);
  }
});

test('config check is content with what is right, and warns of a secret that others can read', async (t) => {
  const folder = tempFolder(t);
  putFiles(folder, { 'agent.yaml': start + local + account(good) + relay + 'submission: {}\n', pw: 'x\n' });
  const ran = await mailferry(folder, ['config', 'check']);
  assert.deepEqual(ran, {
    code: 0,
    out:
      join(folder, 'agent.yaml') +
      ': fine. 1 mailbox, 1 relay, submission at 127.0.0.1:2525, no report to a collector.\n',
    error: '',
  });
  execFileSync('chmod', ['644', join(folder, 'pw')]);
  const open = await mailferry(folder, ['config', 'check', '--json']);
  const answer = JSON.parse(open.out) as { readonly ok: boolean; readonly hints: readonly string[] }; // made by the command
  assert.equal(answer.ok, true);
  assert.match(
    answer.hints.join('\n'),
    /agent\.yaml:9: option accounts\[0\]\.password: .*can be read by other users.*chmod 600/,
  );
});
