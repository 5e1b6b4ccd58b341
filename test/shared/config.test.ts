import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { agentSchema, loadAgentConfig } from '../../agent/config.ts';
import { loadCollectorConfig } from '../../collector/config.ts';
import { parseConfig } from '#shared/config.ts';
import { UserError } from '#shared/failure.ts';

const minimal = 'tenant: acme\nagent: nas-1\nstate: state\n';

function refusal(text: string): string {
  try {
    parseConfig({ file: 'agent.yaml', text, schema: agentSchema });
  } catch (error) {
    assert.ok(error instanceof UserError);
    return error.message;
  }
  throw new assert.AssertionError({ message: 'the configuration was accepted' });
}

test('parseConfig() fills in defaults', () => {
  const { value } = parseConfig({
    file: 'agent.yaml',
    text:
      minimal +
      'local: {domains: [example.org]}\naccounts:\n  - {id: info, host: pop.example.net, user: u, password: {env: P}, recipients: [info@example.org]}\n',
    schema: agentSchema,
  });
  const [account] = value.accounts;
  assert.equal(account?.auth, 'auto');
  assert.deepEqual(account?.keep, { days: 14 });
  assert.equal(value.local?.port, 25);
});

const wrong: readonly (readonly [what: string, text: string, message: string])[] = [
  [
    'an unknown option with its nearest known name',
    minimal + 'acounts: []\n',
    'agent.yaml:4: option acounts: found an unknown option, expected accounts (the nearest known option)',
  ],
  [
    'an option that resembles none',
    minimal + 'zzzzzzz: 1\n',
    'agent.yaml:4: option zzzzzzz: found an unknown option, expected one of tenant, agent, state, logLevel, local, accounts, check, operator, relays, submission, probe, page, report',
  ],
  [
    'a port out of range, deep inside',
    minimal + 'local:\n  domains: [example.org]\n  port: 70000\n',
    'agent.yaml:6: option local.port: found 70000, expected a port, 1 to 65535',
  ],
  [
    'a wrong word with the nearest one',
    minimal + 'local:\n  domains: [example.org]\n  tls: startls\n',
    'agent.yaml:6: option local.tls: found "startls", expected one of none, starttls, implicit; did you mean starttls?',
  ],
  [
    'a missing option',
    'tenant: acme\nstate: s\n',
    'agent.yaml: option agent: found nothing, expected a short name of a-z, 0-9 and -',
  ],
  [
    'a password written into the file',
    minimal + 'report:\n  url: mqtt://c:1883\n  password: hunter2\n',
    'agent.yaml:6: option report.password: found a text, expected {file: PATH} or {env: NAME}',
  ],
  [
    'a wrong key inside a union',
    minimal + 'report:\n  url: mqtt://c:1883\n  password: {fil: x}\n',
    'agent.yaml:6: option report.password: found a block of options, expected {file: PATH} or {env: NAME}',
  ],
  [
    'a list where a text belongs',
    'tenant: [a]\nagent: b\nstate: s\n',
    'agent.yaml:1: option tenant: found a list, expected a short name of a-z, 0-9 and -',
  ],
  ['an empty file', '', 'agent.yaml: option tenant: found nothing, expected a short name of a-z, 0-9 and -'],
];

for (const [what, text, message] of wrong) {
  test('parseConfig() refuses ' + what, () => {
    const lines = refusal(text).split('\n');
    assert.ok(lines.includes(message), 'got: ' + lines.join(' | '));
  });
}

test('parseConfig() never repeats a password back', () => {
  assert.ok(!refusal(minimal + 'report:\n  url: mqtt://c:1883\n  password: hunter2\n').includes('hunter2'));
});

test('parseConfig() names the line of a YAML error', () => {
  assert.match(refusal('tenant: a\nagent: [b\nstate: s\n'), /^agent\.yaml:\d+: found .*, expected YAML$/);
});

function inFolder(files: Readonly<Record<string, string>>, work: (folder: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'mailferry-config-'));
  try {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('secret() reads a file relative to the configuration, without its line end', () => {
  inFolder({ 'agent.yaml': minimal, 'pop-password': 'a secret with a blank \r\n' }, (folder) => {
    assert.equal(
      loadAgentConfig(join(folder, 'agent.yaml')).secret(['x'], { file: 'pop-password' }),
      'a secret with a blank ',
    );
  });
});

test('secret() says which file or variable is missing', () => {
  inFolder({ 'agent.yaml': minimal, empty: '\n' }, (folder) => {
    const loaded = loadAgentConfig(join(folder, 'agent.yaml'));
    assert.throws(
      () => loaded.secret(['report', 'password'], { file: 'nowhere' }),
      /option report\.password\.file: found .*nowhere which cannot be read: ENOENT/,
    );
    assert.throws(() => loaded.secret(['report', 'password'], { file: 'empty' }), /which is empty/);
    assert.throws(
      () => loaded.secret(['report', 'password'], { env: 'MAILFERRY_SURELY_UNSET' }),
      /no environment variable MAILFERRY_SURELY_UNSET/,
    );
  });
});

const account = (recipient: string): string =>
  `  - {id: info, host: pop.example.net, user: u, password: {env: P}, recipients: [${recipient}]}\n`;
const crossChecks: readonly (readonly [what: string, text: string, message: RegExp])[] = [
  [
    'accounts without a local server',
    minimal + 'accounts:\n' + account('info@example.org'),
    /option local: found nothing, expected the local mail server/,
  ],
  [
    'a recipient that is not local',
    minimal + 'local: {domains: [example.org]}\naccounts:\n' + account('info@example.com'),
    /agent\.yaml:6: option accounts\[0\]\.recipients\[0\]: found "info@example\.com", expected an address in a domain of local\.domains/,
  ],
  [
    'two accounts with one id',
    minimal + 'local: {domains: [example.org]}\naccounts:\n' + account('a@example.org') + account('b@example.org'),
    /option accounts\[1\]\.id: found "info" for the second time/,
  ],
  [
    'submission without a relay',
    minimal + 'submission: {users: [{name: u, password: {env: P}, senders: ["@example.org"]}]}\n',
    /option relays: found nothing/,
  ],
  [
    'an operator without a local server',
    minimal + 'operator: postmaster@example.org\n',
    /agent\.yaml:\d+: option operator: found "postmaster@example\.org", expected an address in a domain of local\.domains: a local mail server/,
  ],
  [
    'an operator who is not local',
    minimal + 'local: {domains: [example.org]}\noperator: postmaster@example.net\n',
    /option operator: found "postmaster@example\.net", expected an address in a domain of local\.domains: example\.org/,
  ],
];

for (const [what, text, message] of crossChecks) {
  test('loadAgentConfig() refuses ' + what, () => {
    inFolder({ 'agent.yaml': text }, (folder) =>
      assert.throws(() => loadAgentConfig(join(folder, 'agent.yaml')), message),
    );
  });
}

test('loadAgentConfig() says that the file is not there', () => {
  assert.throws(
    () => loadAgentConfig('/nonexistent/agent.yaml'),
    /Cannot read configuration \/nonexistent\/agent\.yaml: found no such file/,
  );
});

const collectorChecks: readonly (readonly [what: string, text: string, message: RegExp])[] = [
  [
    'a public page without a password',
    'state: s\nweb: {host: 0.0.0.0}\n',
    /option web\.password: found nothing, expected a password/,
  ],
  [
    'a public broker without TLS',
    'state: s\nbroker: {kind: embedded, host: 0.0.0.0}\n',
    /option broker\.tls: found nothing/,
  ],
  [
    'offline before stale',
    'state: s\nstaleSeconds: 10\nofflineSeconds: 5\n',
    /option offlineSeconds: found 5, expected more than staleSeconds \(10\)/,
  ],
  [
    'one agent twice',
    'state: s\nbroker: {kind: embedded, agents: [{tenant: a, agent: b, password: {env: P}}, {tenant: a, agent: b, password: {env: P}}]}\n',
    /found a\/b for the second time/,
  ],
  [
    'an unknown kind of store',
    'state: s\nstore: {kind: oracle}\n',
    /option store: found a block of options, expected one of \{kind: sqlite\}, \{kind: influxdb, \.\.\.\}/,
  ],
];

for (const [what, text, message] of collectorChecks) {
  test('loadCollectorConfig() refuses ' + what, () => {
    inFolder({ 'collector.yaml': text }, (folder) =>
      assert.throws(() => loadCollectorConfig(join(folder, 'collector.yaml')), message),
    );
  });
}

test('loadCollectorConfig() needs no more than a state folder', () => {
  inFolder({ 'collector.yaml': 'state: s\n' }, (folder) => {
    const { value } = loadCollectorConfig(join(folder, 'collector.yaml'));
    assert.deepEqual(value.web, { host: '127.0.0.1', port: 8420 });
    assert.deepEqual(value.broker, {
      kind: 'embedded',
      host: '127.0.0.1',
      port: 1883,
      urls: [],
      maxConnections: 10_000,
      maxConnectionsPerAddress: 500,
      agents: [],
    });
    assert.deepEqual(value.store, { kind: 'sqlite' });
  });
});
