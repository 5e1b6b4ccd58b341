// May a list be believed? Both directions are tested, by what its kind of list holds, and what cannot be seen is not clean.
import assert from 'node:assert/strict';
import { randomLabel } from '../../../../agent/probe/self-test.ts';
import { createLab } from '../../../lab/lab.ts';
import type { DnsReaction } from '../../../lab/scripted-dns.ts';
import { check, domain, healthy4, ip4, list, short } from '../scripted-list.ts';
import { build } from '../watched-lists.ts';
import { failure } from './failure.ts';

const hour = 3_600;

failure('F2', 'SERVFAIL is not clean', async (t) => {
  const all = await check(t, 'bl.test', [list('bl.test', { '*': { rcode: 'SERVFAIL' } })], [ip4]);
  assert.match(short(all.results)[0] ?? '', /^192\.0\.2\.10 error: .*SERVFAIL/);
  const one = list('bl.test', { ...healthy4, '10.2.0.192': { rcode: 'SERVFAIL' } });
  assert.match(short((await check(t, 'bl.test', [one], [ip4])).results)[0] ?? '', /^192\.0\.2\.10 error: .*SERVFAIL/);
});

failure(
  'F4',
  'a resolver that a list refuses is replaced by one that it answers, each with a self-test of its own',
  async (t) => {
    const zone = 'zen.spamhaus.org';
    const refused = list(zone, { '*': ['127.255.255.254'] });
    const good = list(zone, { ...healthy4, '10.2.0.192': ['127.0.0.4'] });
    const both = await check(t, zone, [refused, good], [ip4]);
    assert.equal(both.results[0]?.state, 'listed');
    assert.ok(both.queries[1]?.some(({ name }) => name === '2.0.0.127.' + zone));
    assert.ok(both.queries[0]?.every(({ name }) => !name.startsWith('10.2.')));
    const server = await createLab(t).scriptedDns({ script: refused });
    const findings = await build({ resolver: '127.0.0.1:' + server.port, zones: [zone] }).round();
    assert.match(findings[0]?.remedy ?? '', /resolver of your own .*, or a key of the list/);
    assert.equal(findings[0]?.level, 'unknown');
  },
);

failure('F7', 'a list that silently refuses is not clean, and takes no listing back', async (t) => {
  let blocked = false;
  const script = list('bl.test', { ...healthy4, '10.2.0.192': ['127.0.0.2'] });
  const server = await createLab(t).scriptedDns({ script: (query) => (blocked ? undefined : script(query)) });
  const watched = build({ resolver: '127.0.0.1:' + server.port });
  for (let n = 0; n < 2; n += 1) await watched.round(hour / 2);
  assert.deepEqual(watched.told(), ['192.0.2.10 bl.test 1 2']);
  blocked = true;
  for (let n = 0; n < 10; n += 1) await watched.round(hour);
  assert.deepEqual(watched.told(), ['192.0.2.10 bl.test 4 2']);
  const zone = watched.points('dnsbl_zone').at(-1)?.fields ?? {};
  assert.ok(Number(zone['blind_seconds']) > 6 * hour, 'blind for more than 6 hours');
  assert.match(String(zone['problem']), /silently refuses this resolver/);
});

failure('F10', 'a list of the whole world lists nobody', async (t) => {
  const world = await check(t, 'bl.spamcop.net', [list('bl.spamcop.net', { '*': ['127.0.0.2'] })], [ip4]);
  assert.match(short(world.results)[0] ?? '', /zone-unhealthy: .*the whole world/);
  // A wildcard that spares the usual test entry is found by a name that nobody can have listed.
  const sly = list('bl.spamcop.net', { '1.0.0.127': { rcode: 'NXDOMAIN' }, '*': ['127.0.0.2'] });
  assert.match(short((await check(t, 'bl.spamcop.net', [sly], [ip4])).results)[0] ?? '', /zone-unhealthy: .*invented/);
});

failure('F10b', 'when most lists begin to list an address at once, the resolver is doubted for 6 hours', async (t) => {
  let lying = false;
  const zones = ['a.test', 'b.test', 'c.test', 'd.test'];
  const script = ({ name, type }: { readonly name: string; readonly type: string }): DnsReaction | undefined =>
    type === 'A' && (name.startsWith('2.0.0.127.') || (lying && name.startsWith('10.2.0.192.')))
      ? { records: ['127.0.0.2'] }
      : undefined;
  const server = await createLab(t).scriptedDns({ script });
  const watched = build({ resolver: '127.0.0.1:' + server.port, zones });
  await watched.round();
  lying = true;
  for (let n = 0; n < 11; n += 1) await watched.round(hour / 2);
  assert.deepEqual(
    watched.told(),
    zones.map((zone) => '192.0.2.10 ' + zone + ' 1 0'),
  );
  assert.equal(watched.points('dnsbl_target').at(-1)?.fields['doubtful'], 1);
  for (let n = 0; n < 4; n += 1) await watched.round(hour / 2);
  assert.deepEqual(
    watched.told(),
    zones.map((zone) => '192.0.2.10 ' + zone + ' 1 2'),
  );
  assert.equal(watched.points('dnsbl_target').at(-1)?.fields['doubtful'], 0);
});

failure('F13', 'the invented name of a self-test is a host name', async (t) => {
  let seed = 7;
  const random = (): number => (seed = (seed * 16_807) % 0x7fffffff) / 0x7fffffff;
  for (let n = 0; n < 500; n += 1) assert.match(randomLabel(random), /^[a-z][a-z0-9]{15}$/);
  const strict = list('bl.test', healthy4);
  const { results } = await check(
    t,
    'bl.test',
    [(query) => (/^[a-z0-9.]+$/.test(query.name) ? strict(query) : { rcode: 'SERVFAIL' })],
    [ip4],
  );
  assert.deepEqual(short(results), ['192.0.2.10 clean']);
});

failure('F15', 'a list of domains is tested with names', async (t) => {
  for (const zone of ['dbl.spamhaus.org', 'uribl.spameatingmonkey.net']) {
    const names = list(zone, { test: ['127.0.1.2'], 'dbltest.com': ['127.0.1.2'] });
    const { results, queries } = await check(
      t,
      zone,
      [(query) => (/^\d/.test(query.name) ? { records: ['127.0.1.255'] } : names(query))],
      [domain],
    );
    assert.deepEqual(short(results), ['example.org clean']);
    assert.ok(queries.flat().some(({ name }) => name === 'invalid.' + zone));
  }
});

failure('F16', 'a list that holds 127.0.0.1 on purpose is healthy, any other is not', async (t) => {
  const entries = { ...healthy4, '1.0.0.127': ['127.0.0.1'], '10.2.0.192': ['127.0.0.2'] };
  const zone = 'hostkarma.junkemailfilter.com';
  assert.deepEqual(short((await check(t, zone, [list(zone, entries)], [ip4])).results), ['192.0.2.10 listed: black']);
  const other = await check(
    t,
    'psbl.surriel.com',
    [list('psbl.surriel.com', { ...entries, '1.0.0.127': ['127.0.0.2'] })],
    [ip4],
  );
  assert.equal(other.results[0]?.state, 'zone-unhealthy');
});

failure('F17', 'a list that fails for months is asked ever more rarely, and seen again when it is back', async (t) => {
  let dead = true;
  const script = list('dead.test', healthy4);
  const alive = list('bl.test', healthy4);
  const server = await createLab(t).scriptedDns({
    script: (query) => (query.name.endsWith('bl.test') ? alive(query) : dead ? { rcode: 'SERVFAIL' } : script(query)),
  });
  const watched = build({ resolver: '127.0.0.1:' + server.port, zones: ['dead.test', 'bl.test'] });
  const asked = (zone: string) =>
    server.queries.filter(({ name }) => name.startsWith('10.2.') || name.startsWith('2.0.0.127.' + zone)).length;
  const deadAsked = () => server.queries.filter(({ name }) => name === '2.0.0.127.dead.test').length;
  for (let n = 0; n < 100; n += 1) await watched.round(hour / 2);
  assert.ok(asked('bl.test') >= 100);
  assert.ok(deadAsked() >= 5 && deadAsked() <= 20, deadAsked() + ' questions in 100 rounds');
  assert.deepEqual(watched.told(), ['192.0.2.10 bl.test 0 0', '192.0.2.10 dead.test 3 0']);
  dead = false;
  for (let n = 0; n < 9; n += 1) await watched.round(hour / 2);
  assert.deepEqual(watched.told(), ['192.0.2.10 bl.test 0 0', '192.0.2.10 dead.test 0 0']);
});

failure('F20', 'an infected device behind the line of the site is a warning', async (t) => {
  const zone = 'zen.spamhaus.org';
  const server = await createLab(t).scriptedDns({
    script: list(zone, { ...healthy4, '10.2.0.192': ['127.0.0.4', '127.0.0.10'] }),
  });
  const watched = build({ resolver: '127.0.0.1:' + server.port, zones: [zone] });
  let findings = await watched.round();
  for (let n = 0; n < 2; n += 1) findings = await watched.round(hour / 2);
  assert.deepEqual(watched.told(), ['192.0.2.10 zen.spamhaus.org 1 2']);
  assert.match(findings[0]?.remedy ?? '', /infected device in the network .* or the last holder of this address/);
});

failure('F24', 'the policy list is expected for a line that relays, and a warning for one that does not', async (t) => {
  const zone = 'zen.spamhaus.org';
  const server = await createLab(t).scriptedDns({ script: list(zone, { ...healthy4, '10.2.0.192': ['127.0.0.11'] }) });
  const lists = { resolver: '127.0.0.1:' + server.port, zones: [zone] };
  const relaying = build(lists);
  for (let n = 0; n < 3; n += 1) await relaying.round(hour / 2);
  assert.deepEqual(relaying.told(), ['192.0.2.10 zen.spamhaus.org 0 1']);
  const direct = build({ ...lists, relaying: false });
  for (let n = 0; n < 3; n += 1) await direct.round(hour / 2);
  assert.deepEqual(direct.told(), ['192.0.2.10 zen.spamhaus.org 1 2']);
});
