import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareConfigs } from '../../agent/reload.ts';
import { parseAgentConfig } from '../../agent/config.ts';
import type { AgentConfig } from '../../agent/config.ts';

const account = (id: string, more = ''): string =>
  '  - {id: ' + id + ', host: h, user: u, password: {file: p}, recipients: [a@example.org]' + more + '}\n';
const relay = (id: string, more = ''): string =>
  '  - {id: ' + id + ', host: h, user: u, password: {file: p}' + more + '}\n';
type Site = { readonly head?: string; readonly accounts?: string; readonly relays?: string; readonly rest?: string };

function config(site: Site = {}): AgentConfig {
  const { head = 'tenant: acme\nagent: nas-1\nstate: state\n', rest = '' } = site;
  const { accounts = account('info'), relays = relay('out') } = site;
  const text =
    head + 'local: {domains: [example.org]}\naccounts:\n' + accounts + 'relays:\n' + relays + 'submission: {}\n' + rest;
  return parseAgentConfig('agent.yaml', text).value;
}

const rows: readonly (readonly [
  what: string,
  after: Site,
  scope: string,
  changes: readonly string[],
  restart?: readonly string[],
])[] = [
  ['nothing', {}, 'nothing', []],
  ['a mailbox more', { accounts: account('info') + account('sales') }, 'receive', ['mailbox sales: added']],
  [
    'a mailbox less and another one',
    { accounts: account('sales') },
    'receive',
    ['mailbox info: removed', 'mailbox sales: added'],
  ],
  ['a mailbox changed', { accounts: account('info', ', keep: none') }, 'receive', ['mailbox info: changed']],
  ['a content check', { rest: 'check: {rspamd: {url: "http://127.0.0.1:11333"}}\n' }, 'receive', ['check: added']],
  ['a relay changed', { relays: relay('out', ', port: 465') }, 'send', ['relay out: changed']],
  [
    'both',
    { accounts: account('b'), relays: relay('b') },
    'both',
    ['mailbox info: removed', 'mailbox b: added', 'relay out: removed', 'relay b: added'],
  ],
  [
    'the local server',
    { head: 'tenant: acme\nagent: nas-1\nstate: state\noperator: b@example.org\n' },
    'all',
    ['operator: added'],
  ],
  ['the log', { rest: 'logLevel: debug\n' }, 'all', ['logLevel: changed']],
  ['a collector', { rest: 'report: {url: "mqtt://c:1", password: {file: p}}\n' }, 'all', ['report: added']],
  ['another name', { head: 'tenant: acme\nagent: nas-2\nstate: state\n' }, 'nothing', [], ['agent']],
  [
    'another state, and a mailbox',
    { head: 'tenant: acme\nagent: nas-1\nstate: other\n', accounts: account('info') + account('b') },
    'receive',
    ['mailbox b: added'],
    ['state'],
  ],
];

for (const [what, after, scope, changes, restart = []] of rows) {
  test('compareConfigs() of ' + what, () => {
    const before = config();
    const found = compareConfigs(before, config(after));
    assert.deepEqual(
      { scope: found.scope, changes: found.changes, restart: found.restart },
      { scope, changes, restart },
    );
    assert.deepEqual([found.next.tenant, found.next.agent, found.next.state], ['acme', 'nas-1', 'state']);
  });
}

test('compareConfigs() opens anew what another password or certificate is for', () => {
  const same = config();
  assert.deepEqual(compareConfigs(same, same, ['submission']).changes, ['submission: changed']);
  assert.equal(compareConfigs(same, same, ['submission']).scope, 'send');
  assert.deepEqual(compareConfigs(same, same, ['accounts']).changes, ['mailbox: changed']);
  // Of an option that is in neither.
  assert.equal(compareConfigs(same, same, ['report']).scope, 'nothing');
});

test('compareConfigs() opens everything anew where round trips hang on mailboxes and relays', () => {
  const before = { ...config(), probe: { roundTrips: [] } } satisfies AgentConfig;
  const after = { ...config({ accounts: account('info') + account('b') }), probe: before.probe };
  assert.equal(compareConfigs(before, after).scope, 'all');
});
