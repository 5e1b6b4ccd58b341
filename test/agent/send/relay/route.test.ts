// Which relay a mail goes by, and what of a configuration is refused.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig } from '#shared/config.ts';
import { Type } from 'typebox';
import { chainOf, createRouteOf, findRouteProblem, standInOf } from '../../../../agent/send/relay/route.ts';
import type { Route } from '../../../../agent/send/relay/route.ts';
import { findRelayProblem, loginOf, relaySchema, resolveRelay } from '../../../../agent/send/relay/relay-options.ts';
import type { RelayConfig } from '../../../../agent/send/relay/relay-options.ts';

const relay = (id: string, senders?: readonly string[], fallback: readonly string[] = []): Route => ({
  id,
  ...(senders && { senders }),
  fallback,
});

test('an address comes before its domain, the domain before the relay for all others', () => {
  const routeOf = createRouteOf([
    relay('domain', ['@example.org']),
    relay('person', ['Boss@Example.org', '@example.net']),
    relay('others'),
  ]);
  const cases: Readonly<Record<string, string>> = {
    'boss@example.org': 'person',
    'BOSS@EXAMPLE.ORG': 'person',
    'sales@example.org': 'domain',
    'x@example.net': 'person',
    'x@sub.example.net': 'others',
    'x@notexample.org': 'others',
    '': 'others',
  };
  for (const [sender, expected] of Object.entries(cases)) assert.equal(routeOf(sender), expected, sender);
});

test('without a relay for all others a foreign sender has none, and a bounce takes the first', () => {
  const routeOf = createRouteOf([relay('a', ['@a.test']), relay('b', ['@b.test'])]);
  assert.equal(routeOf('x@c.test'), undefined);
  assert.equal(routeOf('x@b.test'), 'b');
  assert.equal(routeOf(''), 'a');
});

test('the chain of stand-ins is followed in order, each relay once', () => {
  const relays = [relay('a', undefined, ['b', 'c']), relay('b', ['@b.test'], ['d']), relay('c'), relay('d')];
  assert.deepEqual(chainOf(relays, 'a'), ['a', 'b', 'd', 'c']);
  const out = new Set(['a', 'b']);
  assert.equal(
    standInOf(chainOf(relays, 'a'), (id) => out.has(id)),
    'd',
  );
  assert.equal(
    standInOf(chainOf(relays, 'a'), () => false),
    'a',
  );
  assert.equal(
    standInOf(chainOf(relays, 'a'), () => true),
    'a',
    'nobody is left: its own relay goes on probing',
  );
});

const wrong: readonly (readonly [what: string, relays: readonly Route[], senders: readonly string[], found: RegExp])[] =
  [
    ['two relays of one name', [relay('a'), relay('a', ['@a.test'])], [], /^relays,1,id: "a" for the second time/],
    [
      'a sender at two relays',
      [relay('a', ['@A.test']), relay('b', ['@a.test'])],
      [],
      /^relays,1,senders,0: "@a\.test" for/,
    ],
    ['an unknown fallback', [relay('a', undefined, ['z'])], [], /^relays,0,fallback,0: "z"/],
    ['a relay that falls back on itself', [relay('a', undefined, ['a'])], [], /^relays,0,fallback,0: "a", which falls/],
    [
      'a circle of three',
      [relay('a', undefined, ['b']), relay('b', ['@b.test'], ['c']), relay('c', ['@c.test'], ['a'])],
      [],
      /^relays,0,fallback,0: "b", which falls back on "a"/,
    ],
    ['a relay that nothing would use', [relay('a'), relay('b')], [], /^relays,1,senders: nothing, although "a" takes/],
    [
      'a sender without a relay',
      [relay('a', ['x@a.test'])],
      ['x@a.test', '@a.test'],
      /^relays: none for the sender "@a\.test"/,
    ],
  ];
for (const [what, relays, senders, message] of wrong) {
  test('refused: ' + what, () => {
    const problem = findRouteProblem(relays, senders);
    assert.match(problem?.path.join() + ': ' + problem?.found, message);
  });
}

test('accepted: relays for every sender of submission, and a stand-in without senders', () => {
  assert.equal(
    findRouteProblem([relay('a', ['@a.test']), relay('b', ['c@c.test'])], ['x@a.test', 'c@c.test']),
    undefined,
  );
  assert.equal(findRouteProblem([relay('a', undefined, ['b']), relay('b')], ['@any.test']), undefined);
  assert.equal(findRouteProblem([], ['@any.test']), undefined);
});

const read = (text: string): RelayConfig =>
  parseConfig({ file: 'x.yaml', text: 'relay: ' + text, schema: Type.Object({ relay: relaySchema }) }).value.relay;

test('a preset gives host, port, tls and the limits that are certain; own options win', () => {
  const ionos = read('{id: r, preset: ionos, user: u, password: {env: P}}');
  assert.deepEqual(resolveRelay(ionos), {
    host: 'smtp.ionos.de',
    port: 587,
    tls: 'starttls',
    limits: { messagesPerHour: 500, recipientsPerMail: 200 },
  });
  const own = read(
    '{id: r, preset: ionos, host: h, port: 465, tls: implicit, limits: {messagesPerHour: 50}, user: u, password: {env: P}}',
  );
  assert.deepEqual(resolveRelay(own), {
    host: 'h',
    port: 465,
    tls: 'implicit',
    limits: { messagesPerHour: 50, recipientsPerMail: 200 },
  });
  assert.deepEqual(resolveRelay(read('{id: r, preset: t-online, user: u, password: {env: P}}')).limits, {});
  assert.deepEqual(resolveRelay(read('{id: r, host: h, user: u, password: {env: P}}')), {
    host: 'h',
    port: 587,
    tls: 'starttls',
    limits: {},
  });
});

test('what sends at Microsoft asks for the right to send', () => {
  const relay = read('{id: r, preset: microsoft-365, user: u, oauth: {clientId: c, refreshToken: {file: t}}}');
  assert.equal(loginOf(relay).oauth?.scope, 'https://outlook.office.com/SMTP.Send offline_access');
  assert.equal(findRelayProblem([relay], ['@any.test']), undefined);
});

const badOwn: readonly (readonly [what: string, text: string, found: RegExp])[] = [
  ['no host', '{id: r, user: u, password: {env: P}}', /^relays,0,host: nothing, expected a host name/],
  [
    'a preset without a host',
    '{id: r, preset: all-inkl, user: u, password: {env: P}}',
    /^relays,0,host: nothing, expected the SMTP server of your contract with ALL-INKL \(w/,
  ],
  ['no secret', '{id: r, host: h, user: u}', /^relays,0,password: nothing/],
  [
    'a token in clear',
    '{id: r, host: h, tls: none, user: u, oauth: {clientId: c, tokenUrl: "https://t.test/x", refreshToken: {file: t}}}',
    /^relays,0,tls: none with oauth/,
  ],
  [
    'xoauth2 with a password',
    '{id: r, host: h, user: u, auth: xoauth2, password: {env: P}}',
    /^relays,0,auth: xoauth2 without oauth/,
  ],
  [
    'pins in clear',
    '{id: r, host: h, tls: none, user: u, password: {env: P}, pins: [sha256/' + 'A'.repeat(43) + '=]}',
    /^relays,0,pins: pins although tls is none/,
  ],
];
for (const [what, text, message] of badOwn) {
  test('refused: a relay with ' + what, () => {
    const problem = findRelayProblem([read(text)], []);
    assert.match(problem?.path.join() + ': ' + problem?.found + ', expected ' + problem?.expected, message);
  });
}
