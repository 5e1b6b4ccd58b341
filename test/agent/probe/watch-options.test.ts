// Mistakes in the options of round trips, domains and certificates: each is refused with where, what, and what was expected.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { stringify } from 'yaml';
import { loadAgentConfig } from '../../../agent/config.ts';

const secret = { file: 'secret' };
const trip = { id: 'way', from: 'info@example.org', to: 'office@provider.example', account: 'office' };
const site = {
  tenant: 'acme',
  agent: 'nas-1',
  state: 'state',
  local: { port: 25, domains: ['example.org'] },
  accounts: [{ id: 'office', host: 'pop.example', user: 'office', password: secret, recipients: ['info@example.org'] }],
  relays: [{ id: 'provider', host: 'smtp.example', user: 'office', password: secret }],
  submission: { users: [{ name: 'nas', password: secret, senders: ['@example.org'] }] },
};

function load(probe: object, rest: object = {}): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'mailferry-options-'));
  try {
    const file = join(folder, 'agent.yaml');
    writeFileSync(join(folder, 'secret'), 'x', { mode: 0o600 });
    writeFileSync(file, stringify({ ...site, ...rest, probe }));
    loadAgentConfig(file);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test('what is meant is taken', () => {
  const handIn = { host: '127.0.0.1', port: 587, user: 'probe', password: secret };
  assert.equal(load({ roundTrips: [trip, { ...trip, id: 'by-local', via: 'local', handIn }] }), undefined);
  assert.equal(load({ roundTrips: [{ ...trip, via: 'local', handIn: { port: 25, tls: 'none' } }] }), undefined);
  const domain = {
    domains: [{ name: 'example.org', mx: ['mx.example'] }, { name: 'prüfung.example' }],
    names: ['office.ddns.example'],
  };
  assert.equal(
    load({ domain: { ...domain, relayAddresses: ['203.0.113.9', '2001:db8::1'], resolver: '[::1]:5353' } }),
    undefined,
  );
  assert.equal(load({ certificates: {}, host: {} }), undefined);
  assert.equal(
    load({ certificates: { servers: [{ protocol: 'smtp', host: 'nas', port: 587, tls: 'starttls' }] } }),
    undefined,
  );
});

test('each mistake is told with its place, what was found and what is expected', () => {
  const table: readonly (readonly [object, RegExp, object?])[] = [
    [{ roundTrips: [{ ...trip, account: 'offcie' }] }, /probe\.roundTrips\[0\]\.account.*"offcie".*one of office/],
    [{ roundTrips: [trip, trip] }, /probe\.roundTrips\[1\]\.id.*"way" for the second time/],
    [{ roundTrips: [{ ...trip, via: 'local' }] }, /probe\.roundTrips\[0\]\.handIn.*nothing.*via is local/],
    [
      { roundTrips: [{ ...trip, via: 'local', handIn: { user: 'x' } }] },
      /handIn.*only one of user and password.*both, or none/,
    ],
    [{ roundTrips: [{ ...trip, lateSeconds: 60, lostSeconds: 60 }] }, /lostSeconds.*60.*more than lateSeconds \(60\)/],
    [
      { roundTrips: [trip] },
      /a round trip although nothing is sent.*submission/,
      { submission: undefined, relays: [] },
    ],
    [{ roundTrips: [{ ...trip, from: 'info' }] }, /probe\.roundTrips\[0\]\.from.*an address such as/],
    [{ roundTrips: [{ ...trip, intervalSecond: 5 }] }, /intervalSecond.*intervalSeconds/],
    [
      { domain: { domains: [{ name: 'example' }] } },
      /probe\.domain\.domains\[0\]\.name.*"example".*a domain such as example\.org/,
    ],
    [
      { domain: { domains: [{ name: 'Example.org' }, { name: 'example.org.' }] } },
      /domains\[1\]\.name.*for the second time/,
    ],
    [{ domain: { domains: [{ name: 'info@example.org' }] } }, /domains\[0\]\.name/],
    [{ domain: { relayAddresses: ['smtp.example'] } }, /relayAddresses\[0\].*"smtp\.example".*an IPv4 or IPv6 address/],
    [{ domain: { resolver: 'dns.example' } }, /probe\.domain\.resolver.*"dns\.example".*ADDRESS/],
    [{ domain: { names: ['a..b'] } }, /probe\.domain\.names\[0\].*"a\.\.b"/],
    [{ certificates: { servers: [{ protocol: 'http', host: 'nas', port: 443 }] } }, /protocol.*http/],
    [{ certificates: { intervalSeconds: 5 } }, /certificates\.intervalSeconds.*5.*60 to 86400/],
  ];
  for (const [probe, expected, rest] of table) assert.match(load(probe, rest) ?? 'taken', expected);
});
