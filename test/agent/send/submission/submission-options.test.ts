// What of `submission` is refused before anything starts, each with the line, what was found and what to write.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { loadAgentConfig } from '../../../../agent/config.ts';
import { tlsSourceOf } from '../../../../agent/send/submission/submission-options.ts';

const folder = mkdtempSync(join(tmpdir(), 'mailferry-options-'));
after(() => rmSync(folder, { recursive: true, force: true }));

function load(submission: string) {
  const file = join(folder, 'agent.yaml');
  const relay = 'relays: [{id: provider, host: relay.test, user: u, password: {env: HOME}}]\n';
  writeFileSync(file, 'tenant: acme\nagent: nas-1\nstate: state\n' + relay + 'submission: ' + submission + '\n');
  return loadAgentConfig(file).value.submission;
}

const user = "name: a, password: {env: HOME}, senders: ['@office.test']";
const refused: readonly (readonly [string, string, RegExp])[] = [
  [
    'trust of everybody',
    "{trusted: [{id: p, addresses: ['0.0.0.0/0'], senders: ['a@office.test']}]}",
    /option submission\.trusted\[0\]\.addresses\[0\]: found "0\.0\.0\.0\/0", a wide network, expected a network of the Internet of \/29 or narrower/,
  ],
  [
    'trust of everybody in two halves',
    "{trusted: [{id: p, addresses: ['0.0.0.0/1', '128.0.0.0/1'], senders: ['a@office.test']}]}",
    /a wide network/,
  ],
  [
    'trust of all of IPv6',
    "{trusted: [{id: p, addresses: ['::/0'], senders: ['a@office.test']}]}",
    /trusted\[0\]\.addresses\[0\]/,
  ],
  [
    'trust without senders',
    "{trusted: [{id: p, addresses: ['192.168.1.20']}]}",
    /submission\.trusted\[0\]\.senders: found nothing/,
  ],
  [
    'trust with no sender in the list',
    "{trusted: [{id: p, addresses: ['192.168.1.20'], senders: []}]}",
    /submission\.trusted\[0\]\.senders/,
  ],
  [
    'trust of no address',
    "{trusted: [{id: p, addresses: [], senders: ['a@office.test']}]}",
    /submission\.trusted\[0\]\.addresses/,
  ],
  [
    'trust as a mail server',
    "{trusted: [{id: p, addresses: ['192.168.1.20'], senders: ['a@office.test'], mailServer: {foreignSender: allow}}]}",
    /unknown|mailServer/,
  ],
  [
    'the same trust twice',
    "{trusted: [{id: p, addresses: ['192.168.1.20'], senders: ['a@office.test']}, {id: p, addresses: ['192.168.1.21'], senders: ['a@office.test']}]}",
    /trusted\[1\]\.id: found "p" for the second time/,
  ],
  ['a user twice', '{users: [{' + user + '}, {' + user + '}]}', /users\[1\]\.name: found "a" for the second time/],
  [
    'rewrite without an address',
    '{users: [{' + user + ', mailServer: {nullSender: rewrite}}]}',
    /users\[0\]\.mailServer\.rewriteTo: found nothing, expected an address of `senders`/,
  ],
  [
    "rewrite to somebody else's address",
    '{users: [{' + user + ', mailServer: {nullSender: rewrite, rewriteTo: a@world.test}}]}',
    /rewriteTo: found "a@world\.test"/,
  ],
  ['a sender of all domains', "{users: [{name: a, password: {env: HOME}, senders: ['*']}]}", /an address, or @domain/],
  [
    'passwords in clear over the network',
    '{localLogin: {host: nas.office.test, domains: [office.test]}}',
    /localLogin\.tls: found none, expected starttls or implicit/,
  ],
  [
    'pins without TLS',
    "{localLogin: {domains: [office.test], pins: ['sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=']}}",
    /localLogin\.pins: found pins although tls is none/,
  ],
  ['localLogin without domains', '{localLogin: {}}', /localLogin\.domains/],
  ['half a certificate', '{tls: {keyFile: a.pem}}', /submission\.tls/],
];
for (const [name, text, expected] of refused)
  test('refused: ' + name, () => {
    assert.throws(() => load(text), expected);
  });

test('a relay for some senders must not leave out those of trusted devices and of the local server', () => {
  const only = (submission: string): void => {
    const file = join(folder, 'routes.yaml');
    const relay = "{id: provider, host: relay.test, user: u, password: {env: HOME}, senders: ['@office.test']}";
    writeFileSync(file, 'tenant: a\nagent: b\nstate: s\nrelays: [' + relay + ']\nsubmission: ' + submission + '\n');
    loadAgentConfig(file);
  };
  only("{trusted: [{id: p, addresses: ['192.168.1.20'], senders: ['scan@office.test']}]}");
  only('{localLogin: {domains: [office.test]}}');
  assert.throws(
    () => only("{trusted: [{id: p, addresses: ['192.168.1.20'], senders: ['scan@shop.test']}]}"),
    /scan@shop\.test/,
  );
  assert.throws(() => only('{localLogin: {domains: [shop.test]}}'), /@shop\.test/);
});

test('nothing but a port is needed; users may come from the command line', () => {
  assert.deepEqual(load('{port: 2526}')?.users, []);
  assert.equal(load('{}')?.trusted, undefined, 'nobody is trusted by default');
});

for (const [name, text, source] of [
  ['a loopback address', '{}', 'none'],
  ['localhost', '{host: localhost}', 'none'],
  ['a loopback address with a second port', '{implicitPort: 4650}', 'own'],
  ['a loopback address that asks for it', '{tls: own}', 'own'],
  ['a network address', '{host: 0.0.0.0}', 'own'],
  ['all of IPv6', "{host: '::'}", 'own'],
  ['a name', '{host: nas.office.test}', 'own'],
] as const)
  test('where the certificate comes from: ' + name, () => {
    const submission = load(text);
    assert.equal(submission && tlsSourceOf(submission), source);
  });
