import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { pino } from 'pino';
import { UserError } from '#shared/failure.ts';
import { createMeter } from '#shared/meter.ts';
import type { Point } from '#shared/meter.ts';
import { createProbe } from '../../../agent/probe/probe.ts';
import type { ProbeOptions } from '../../../agent/probe/probe.ts';
import { createLab } from '../../lab/lab.ts';
import type { DnsQuery, DnsReaction } from '../../lab/scripted-dns.ts';
import { waitFor } from '../../lab/wait.ts';
import { build } from './watched-lists.ts';

const key = 'abcdefghij1234567890klmnop';
const hour = 3_600;

/** The lists of a test: target by its reversed address -> answers; `2.0.0.127` is listed unless it is said otherwise. */
async function startLists(t: TestContext, script: (query: DnsQuery) => DnsReaction | undefined) {
  const server = await createLab(t).scriptedDns({ script });
  return { server, resolver: server.host + ':' + server.port };
}

const isTest = ({ name }: DnsQuery): boolean => name.startsWith('2.0.0.127.');

test('a listing is told by the second answer, and taken back by the second one that says so', async (t) => {
  let listed = false;
  const { resolver } = await startLists(t, (query) =>
    (isTest(query) || (listed && query.name.startsWith('10.2.0.192.'))) && query.type === 'A'
      ? { records: ['127.0.0.2'] }
      : undefined,
  );
  const watched = build({ resolver, zones: ['bl.test', 'bl2.test'] });
  await watched.round();
  assert.deepEqual(watched.told(), ['192.0.2.10 bl.test 0 0', '192.0.2.10 bl2.test 0 0']);
  listed = true;
  await watched.round(hour / 2);
  assert.deepEqual(watched.told(), ['192.0.2.10 bl.test 1 0', '192.0.2.10 bl2.test 1 0']);
  assert.deepEqual(
    watched.probe.results().map(({ state }) => state),
    ['listed', 'listed'],
  );
  assert.equal(watched.points('dnsbl').at(-1)?.fields['reason'], 'listed');
  const findings = await watched.round(hour / 2);
  assert.deepEqual(watched.told(), ['192.0.2.10 bl.test 1 2', '192.0.2.10 bl2.test 1 2']);
  assert.equal(watched.points('dnsbl_target').at(-1)?.fields['listed'], 2);
  assert.deepEqual(
    findings.map(({ check, level }) => check + ' ' + level),
    ['bl.test warning', 'bl2.test warning'],
  );
  assert.match(findings[0]?.remedy ?? '', /infected device/);
  listed = false;
  await watched.round(hour / 2);
  assert.deepEqual(watched.told(), ['192.0.2.10 bl.test 0 2', '192.0.2.10 bl2.test 0 2']);
  await watched.round(hour / 2);
  assert.deepEqual(watched.told(), ['192.0.2.10 bl.test 0 2', '192.0.2.10 bl2.test 0 2'], 'not an hour yet');
  await watched.round(hour / 2);
  assert.deepEqual(watched.told(), ['192.0.2.10 bl.test 0 0', '192.0.2.10 bl2.test 0 0']);
});

test('a stop in the middle of a round ends at once and says nothing about the list', async (t) => {
  const { resolver, server } = await startLists(t, () => 'silence');
  const { probe, points } = build({ resolver });
  const stop = new AbortController();
  const running = probe.check?.run(stop.signal);
  await waitFor('a question', () => server.queries.length > 0);
  stop.abort();
  assert.deepEqual(await running, []);
  assert.deepEqual(points('dnsbl'), []);
  assert.deepEqual(probe.results(), []);
});

test('a key never shows in log, gauges, findings or results, wherever it is written', async (t) => {
  const { resolver, server } = await startLists(t, ({ name, type }) => {
    if (type === 'TXT') return { records: ['see ' + key] };
    return /^(?:[a-z]|1\.0\.0)/.test(name) ? undefined : { records: ['127.0.0.2'] };
  });
  for (const zones of [[key + '.zen.dq.spamhaus.net'], [{ zone: 'bl.test', key: { env: 'KEY' } }]]) {
    const watched = build({ resolver, zones }, { key: () => key });
    const findings = await watched.round();
    const [result] = watched.probe.results();
    assert.equal(result?.state, 'listed');
    assert.match(result.zone, /^\*\*\*\./);
    assert.ok(watched.lines.length === 0 || watched.lines.join('').length > 0);
    const shown = JSON.stringify([watched.points('dnsbl'), watched.points('dnsbl_zone'), watched.probe.results()]);
    assert.doesNotMatch(shown + JSON.stringify([findings, watched.lines]), new RegExp(key, 'i'));
  }
  assert.ok(server.queries.every(({ name }) => name.includes('.' + key + '.') || name.startsWith(key + '.')));
});

test('a key that cannot be part of a name is refused without being shown', () => {
  const zones = [{ zone: 'bl.test', key: { env: 'KEY' } }];
  assert.throws(
    () => build({ zones }, { key: () => 'two words' }),
    (error) => error instanceof UserError && /not a DNS name/.test(error.message) && !error.message.includes('words'),
  );
});

test('nothing to ask, or nobody to ask it of, is no work', () => {
  assert.equal(build({ zones: [] }).probe.check, undefined);
  assert.equal(build({ addresses: [] }).probe.check, undefined);
  assert.ok(build({ addresses: [], names: ['nas.example'] }).probe.check);
  assert.ok(build({ addresses: [] }, { learned: () => ({}) }).probe.check);
});

test('an address that no list can know is told once', async (t) => {
  const { resolver } = await startLists(t, () => undefined);
  const watched = build({ resolver, addresses: ['192.168.1.10'] });
  await watched.round();
  await watched.round(hour);
  assert.equal(watched.lines.filter((line) => /"target":"192\.168\.1\.10".*not a public address/.test(line)).length, 1);
});

test('a public resolver is told once', async () => {
  const watched = build({ resolver: '8.8.8.8', addresses: ['192.0.2.10'] }, {}, AbortSignal.abort());
  await watched.round();
  await watched.round();
  assert.equal(watched.lines.length, 1);
  assert.match(watched.lines[0] ?? '', /"operator":"Google".*most block lists refuse it/);
});

test('the address of a name is looked up at each round; an old one is forgotten, and listings begin anew', async (t) => {
  let address = '192.0.2.10';
  let failing = false;
  const { resolver } = await startLists(t, (query) => {
    if (query.name === 'nas.example') {
      if (failing) return { rcode: 'SERVFAIL' };
      return query.type === 'A' ? { records: [address], ttl: 1 } : { rcode: 'NOERROR' };
    }
    const known = isTest(query) || query.name.startsWith('10.2.0.192.') || query.name.startsWith('11.2.0.192.');
    return known && query.type === 'A' ? { records: ['127.0.0.2'] } : undefined;
  });
  const watched = build({ resolver, addresses: [], names: ['nas.example'] });
  await watched.round();
  await watched.round(hour / 2);
  assert.deepEqual(watched.told(), ['192.0.2.10 bl.test 1 2']);
  failing = true;
  const findings = await watched.round(hour / 2);
  assert.deepEqual(watched.told(), ['192.0.2.10 bl.test 1 2'], 'a name that cannot be looked up keeps its address');
  assert.match(findings[0]?.text ?? '', /no address is known for it: .*SERVFAIL/);
  failing = false;
  address = '192.0.2.11';
  await watched.round(hour / 2);
  assert.deepEqual(watched.told(), ['192.0.2.10 bl.test 5 0', '192.0.2.11 bl.test 1 0']);
  await watched.round(hour / 2);
  assert.deepEqual(watched.told(), ['192.0.2.11 bl.test 1 2']);
  assert.deepEqual(
    watched.probe.results().map(({ target }) => target),
    ['192.0.2.11'],
  );
});

test('learned addresses are asked too, and what is none is passed over', async (t) => {
  const { resolver } = await startLists(t, (query) => (isTest(query) ? { records: ['127.0.0.2'] } : undefined));
  const learned = { site: ['192.0.2.20', 'nonsense'], relay: ['192.0.2.30', '192.0.2.10'] };
  const watched = build({ resolver }, { learned: () => learned });
  await watched.round();
  assert.deepEqual(watched.told(), ['192.0.2.10 bl.test 0 0', '192.0.2.20 bl.test 0 0', '192.0.2.30 bl.test 0 0']);
});

test('one small list alone says little about a relay; two of them, or a big one, are a warning for the provider', async (t) => {
  const listedAt = new Set(['bl.test']);
  const { resolver } = await startLists(t, (query) => {
    const zone = query.name.replace(/^(?:[a-z0-9]{16}|\d+\.\d+\.\d+\.\d+)\./, '');
    const known = isTest(query) || (query.name.startsWith('30.2.0.192.') && listedAt.has(zone));
    return known && query.type === 'A' ? { records: ['127.0.0.2'] } : undefined;
  });
  const zones = ['bl.test', 'bl2.test', 'zen.spamhaus.org'];
  const watched = build({ resolver, zones, addresses: [], relayAddresses: ['192.0.2.30'] });
  for (let n = 0; n < 3; n += 1) await watched.round(hour / 2);
  assert.deepEqual(watched.told(), [
    '192.0.2.30 bl.test 1 1',
    '192.0.2.30 bl2.test 0 0',
    '192.0.2.30 zen.spamhaus.org 0 0',
  ]);
  listedAt.add('bl2.test');
  for (let n = 0; n < 2; n += 1) await watched.round(hour / 2);
  assert.deepEqual(watched.told().slice(0, 2), ['192.0.2.30 bl.test 1 2', '192.0.2.30 bl2.test 1 2']);
  listedAt.delete('bl2.test');
  listedAt.add('zen.spamhaus.org');
  let findings = await watched.round(hour / 2);
  for (let n = 0; n < 4; n += 1) findings = await watched.round(hour / 2);
  assert.deepEqual(watched.told(), [
    '192.0.2.30 bl.test 1 2',
    '192.0.2.30 bl2.test 0 0',
    '192.0.2.30 zen.spamhaus.org 1 2',
  ]);
  assert.match(findings[0]?.remedy ?? '', /Tell the provider of the relay/);
});

test('a muted list is asked and shown, and told to nobody', async (t) => {
  const { resolver } = await startLists(t, ({ name, type }) =>
    /^(?:10\.2\.0\.192|2\.0\.0\.127)\./.test(name) && type === 'A' ? { records: ['127.0.0.2'] } : undefined,
  );
  const watched = build({ resolver, zones: ['bl.test', 'bl2.test'], mute: ['BL.test'] });
  for (let n = 0; n < 3; n += 1) await watched.round(hour / 2);
  assert.deepEqual(watched.told(), ['192.0.2.10 bl.test 1 0', '192.0.2.10 bl2.test 1 2']);
});

test('a list of the user: kind, codes, refusals and severity are his', async (t) => {
  let code = '127.0.0.7';
  const { resolver, server } = await startLists(t, (query) => {
    if (query.type !== 'A') return undefined;
    if (query.name === 'always.bl.test') return { records: ['127.0.0.7'] };
    return query.name === 'example.org.bl.test' ? { records: [code] } : undefined;
  });
  const own = {
    zone: 'bl.test',
    kind: 'domain' as const,
    codes: { '127.0.0.7': 'sends advertisements' },
    refusals: { '127.0.9.*': 'not from you' },
    testName: 'always',
    severity: 'critical' as const,
  };
  const watched = build({ resolver, zones: [own], domains: ['example.org'] });
  for (let n = 0; n < 2; n += 1) await watched.round(hour / 2);
  assert.deepEqual(watched.told(), ['example.org bl.test 1 3']);
  assert.equal(watched.probe.results()[0]?.reason, 'sends advertisements');
  assert.ok(
    server.queries.every(({ name }) => !/^\d/.test(name)),
    'no address was asked',
  );
  code = '127.0.9.3';
  await watched.round(hour / 2);
  assert.match(watched.probe.results()[0]?.reason ?? '', /^answered 127\.0\.9\.3: not from you/);
  code = '127.0.0.8';
  await watched.round(hour / 2);
  assert.match(watched.probe.results()[0]?.reason ?? '', /127\.0\.0\.8, a code that the list does not document/);
});

test('a list is asked again when its answer no longer holds, and not before', async (t) => {
  let ttl = 7_200;
  const { resolver, server } = await startLists(t, (query) =>
    isTest(query) || query.name.startsWith('10.2.0.192.') ? { records: ['127.0.0.2'], ttl } : undefined,
  );
  const watched = build({ resolver });
  const asked = () => server.queries.filter(({ name, type }) => type === 'A' && name.startsWith('10.2.0.192.')).length;
  for (let n = 0; n < 4; n += 1) await watched.round(hour / 2);
  assert.equal(asked(), 1, 'an answer out of the cache');
  assert.deepEqual(watched.told(), ['192.0.2.10 bl.test 1 0'], 'and it is no second answer');
  ttl = 1;
  await watched.round(hour / 2);
  assert.equal(asked(), 2);
  assert.deepEqual(watched.told(), ['192.0.2.10 bl.test 1 2']);
});

test('wrong options refuse with option, what was found and what was expected', () => {
  const cases: [Partial<ProbeOptions['config']['dnsbl']>, RegExp][] = [
    [
      { resolver: 'dns.example' },
      /^Cannot use option probe\.dnsbl\.resolver: found "dns\.example", expected ADDRESS, /,
    ],
    [
      { addresses: ['192.0.2.1', 'nas.example'] },
      /^Cannot use option probe\.dnsbl\.addresses\.1: found "nas\.example", expected an IPv4 or IPv6 address/,
    ],
    [{ names: ['192.0.2.1'] }, /^Cannot use option probe\.dnsbl\.names\.0: found "192\.0\.2\.1", expected a host name/],
    [
      { relayAddresses: ['relay'] },
      /^Cannot use option probe\.dnsbl\.relayAddresses\.0: found "relay", expected an IPv4/,
    ],
    [
      { domains: ['192.0.2.1'] },
      /^Cannot use option probe\.dnsbl\.domains\.0: found "192\.0\.2\.1", expected a domain such as example\.org/,
    ],
    [{ zones: ['bl.test', 'BL.test.'] }, /zones\.1: found bl\.test for the second time, expected every list once/],
    [{ zones: [{ zone: 'dnsbl.sorbs.net' }] }, /zones\.0\.zone: found dnsbl\.sorbs\.net: shut down in June 2024/],
    [{ zones: ['swl.spamhaus.org'] }, /zones\.0: found swl\.spamhaus\.org: lists good senders/],
    [{ mute: ['other.test'] }, /mute\.0: found "other\.test", expected a list of `zones`/],
  ];
  for (const [options, expected] of cases)
    assert.throws(
      () => build(options),
      (error) => error instanceof UserError && expected.test(error.message),
    );
});

test('results are gauges of the catalogue', async (t) => {
  const { resolver } = await startLists(t, (query) => (isTest(query) ? { records: ['127.0.0.2'] } : undefined));
  const points: Point[] = [];
  const clock = { now: () => 1_000, monotonic: () => 0, sleep: () => Promise.resolve() };
  const options = build({ resolver }).options;
  const probe = createProbe({
    ...options,
    meter: createMeter({ clock, sink: (point) => points.push(point) }),
    log: pino({ level: 'silent' }),
  });
  await probe.check?.run(AbortSignal.timeout(10_000));
  assert.deepEqual(
    points.map(({ name, tags }) => [name, ...Object.values(tags)].join(' ')),
    ['dnsbl 192.0.2.10 bl.test', 'dnsbl_target 192.0.2.10', 'dnsbl_zone bl.test'],
  );
});
