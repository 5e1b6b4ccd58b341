import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { loadAgentConfig } from '../../../agent/config.ts';
import type { AgentConfig } from '../../../agent/config.ts';

function load(t: TestContext, account: string, more = ''): AgentConfig {
  const folder = mkdtempSync(join(tmpdir(), 'mf-config-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'agent.yaml');
  writeFileSync(
    file,
    'tenant: acme\nagent: nas-1\nstate: state\nlocal: {domains: [example.org]}\naccounts:\n' +
      `  - {id: info, host: pop.example.net, user: u, password: {env: P}, ${account}}\n` +
      more,
  );
  return loadAgentConfig(file).value;
}
const recipients = 'recipients: [a@example.org]';
const multidrop = (change: Readonly<Record<string, string>> = {}): string => {
  const standard = { header: 'Delivered-To', domains: '[example.org]', fallback: 'a@example.org', provider: 'mx.test' };
  const parts = Object.entries({ ...standard, ...change }).map(([name, value]) => name + ': ' + value);
  return 'multidrop: {' + parts.join(', ') + '}';
};

test('an account has recipients or multidrop, and says how to set the sender', (t) => {
  const [plain] = load(t, recipients).accounts;
  assert.deepEqual([plain?.recipients, plain?.multidrop, plain?.sender], [['a@example.org'], undefined, 'original']);
  const [drop] = load(t, multidrop() + ', sender: null').accounts;
  assert.deepEqual([drop?.recipients, drop?.multidrop?.provider, drop?.sender], [undefined, 'mx.test', null]);
  assert.equal(load(t, recipients + ', sender: b@example.com').accounts[0]?.sender, 'b@example.com');
});

const refused: readonly (readonly [account: string, message: RegExp])[] = [
  [
    'keep: none',
    /accounts\[0\]\.recipients: found nothing, expected either recipients or multidrop, so that it is clear/,
  ],
  [recipients + ', ' + multidrop(), /accounts\[0\]\.multidrop: found both, expected either recipients or multidrop/],
  [
    'recipients: [a@example.com]',
    /recipients\[0\]: found "a@example\.com", expected an address in a domain of local\.domains \(example\.org\)/,
  ],
  [
    multidrop({ fallback: 'a@example.com' }),
    /multidrop\.fallback: found "a@example\.com", expected an address in a domain of local/,
  ],
  [
    multidrop({ domains: '[example.org, example.com]' }),
    /multidrop\.domains\[1\]: found "example\.com", expected a domain of local\.domains/,
  ],
  [multidrop({ header: 'To' }), /multidrop\.header: found "To", expected a header name other than To, Cc and Bcc/],
  [multidrop({ header: 'cc' }), /expected a header name other than To/],
  [multidrop({ header: 'Bcc' }), /expected a header name other than To/],
  [multidrop({ header: '"X Y"' }), /expected a header name/],
  ['multidrop: {header: X-To, domains: [example.org], fallback: a@example.org}', /provider/],
  [recipients + ', sender: nobody', /sender: found "nobody", expected original, null or a mail address/],
];
for (const [account, message] of refused)
  test('refused: ' + account, (t) => assert.throws(() => load(t, account), { message }));

test('the content check has defaults that lose nothing, and clamd exactly one place', (t) => {
  const { check } = load(t, recipients, 'check: {rspamd: {url: "http://127.0.0.1:11333"}, clamd: {host: 127.0.0.1}}\n');
  assert.deepEqual(
    [check?.rspamd?.onFailure, check?.rspamd?.reject, check?.clamd?.onFailure, check?.clamd?.found, check?.clamd?.port],
    ['deliver', 'quarantine', 'wait', 'quarantine', 3_310],
  );
  const table: readonly (readonly [string, RegExp])[] = [
    ['check: {clamd: {}}', /option check\.clamd\.socket: found nothing, expected either socket or host/],
    [
      'check: {clamd: {socket: /x, host: y}}',
      /option check\.clamd\.socket: found both, expected either socket or host/,
    ],
    ['check: {rspamd: {url: "ftp://x"}}', /option check\.rspamd\.url: found "ftp:\/\/x", expected http:\/\/HOST:PORT/],
    ['check: {rspamd: {url: "http://x/path"}}', /expected http:\/\/HOST:PORT/],
    ['check: {rspamd: {url: "http://user:secret@x"}}', /expected http:\/\/HOST:PORT/],
    ['check: {clamd: {host: x, onFailure: drop}}', /option check\.clamd\.onFailure: found "drop", expected/],
  ];
  for (const [text, message] of table) assert.throws(() => load(t, recipients, text + '\n'), { message });
});
