import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { pino } from 'pino';
import type { Clock } from '#shared/clock.ts';
import { UserError } from '#shared/failure.ts';
import { createMeter } from '#shared/meter.ts';
import type { Point } from '#shared/meter.ts';
import { createProbe } from '../../../agent/probe/probe.ts';
import type { ProbeOptions } from '../../../agent/probe/probe.ts';
import { createLab } from '../../lab/lab.ts';
import type { DnsQuery, DnsReaction } from '../../lab/scripted-dns.ts';
import { waitFor } from '../../lab/wait.ts';

const key = 'abcdefghij1234567890klmnop';
type Dnsbl = ProbeOptions['config']['dnsbl'];
const standard: Dnsbl = { zones: ['bl.test'], addresses: ['192.0.2.10'], domains: [], intervalSeconds: 1_800 };

/** Time passes only by next(); every sleep is recorded. */
function createManualClock(): { readonly clock: Clock; readonly sleeps: number[]; readonly next: () => void } {
  const sleeps: number[] = [];
  let wake = () => {};
  const sleep: Clock['sleep'] = (ms, signal) => {
    sleeps.push(ms);
    return new Promise((resolve) => {
      wake = resolve;
      if (signal?.aborted === true) resolve();
      signal?.addEventListener('abort', () => resolve(), { once: true });
    });
  };
  return { clock: { now: () => 1_000, monotonic: () => 0, sleep }, sleeps, next: () => wake() };
}

function build(dnsbl: Partial<Dnsbl>, lines: string[] = []) {
  const manual = createManualClock();
  const points: Point[] = [];
  const probe = createProbe({
    config: { dnsbl: { ...standard, ...dnsbl } },
    meter: createMeter({ clock: manual.clock, sink: (point) => points.push(point) }),
    clock: manual.clock,
    random: () => 0.75,
    log: pino({ level: 'info' }, { write: (line) => void lines.push(line) }),
    dns: { timeoutMs: 150 },
  });
  return { ...manual, points, probe, lines };
}

async function startList(t: TestContext, script: (query: DnsQuery) => DnsReaction | undefined) {
  const server = await createLab(t).scriptedDns({ script });
  return { server, resolver: server.host + ':' + server.port };
}

/** A probe that is still running when its test fails would keep the whole file running. */
function stopAfter(t: TestContext): AbortController {
  const stop = new AbortController();
  t.after(() => stop.abort());
  return stop;
}

test('a round says a gauge for each target and list, and again in the next round', async (t) => {
  let listed = false;
  const { resolver } = await startList(t, ({ name, type }) => {
    const known = name.startsWith('2.0.0.127.') || (listed && name.startsWith('10.2.0.192.'));
    return known && type === 'A' ? { records: ['127.0.0.2'] } : undefined;
  });
  const { probe, points, sleeps, next, lines } = build({ resolver, zones: ['bl.test', 'bl2.test'] });
  const stop = stopAfter(t);
  const running = probe.run(stop.signal);
  await waitFor('the first round to end', () => sleeps.length === 1);
  const said = (from: number) =>
    points
      .slice(from)
      .map((point) => [point.tags['target'], point.tags['zone'], point.fields['state']].join(' '))
      .toSorted();
  assert.deepEqual(said(0), ['192.0.2.10 bl.test 0', '192.0.2.10 bl2.test 0']);
  listed = true;
  next();
  await waitFor('the second round to end', () => sleeps.length === 2);
  assert.deepEqual(said(2), ['192.0.2.10 bl.test 1', '192.0.2.10 bl2.test 1']);
  assert.deepEqual(
    probe.results().map((result) => result.state),
    ['listed', 'listed'],
  );
  assert.equal(points.at(-1)?.fields['reason'], 'listed');
  next();
  await waitFor('the third round to end', () => sleeps.length === 3);
  assert.equal(lines.length, 4, 'what did not change is not logged again');
  assert.deepEqual(sleeps, [1_890_000, 1_890_000, 1_890_000], 'the interval, 5 % late by the chance given');
  stop.abort();
  await running;
});

test('a stop in the middle of a round ends at once and says nothing about the list', async (t) => {
  const { resolver, server } = await startList(t, () => 'silence');
  const { probe, points } = build({ resolver });
  const stop = stopAfter(t);
  const running = probe.run(stop.signal);
  await waitFor('a question', () => server.queries.length > 0);
  stop.abort();
  await running;
  assert.deepEqual(points, []);
  assert.deepEqual(probe.results(), []);
});

test('a key never shows in log, gauges or results', async (t) => {
  const { resolver } = await startList(t, ({ name, type }) => {
    if (type === 'TXT') return { records: ['see ' + key] };
    return name.startsWith('1.0.0.127.') ? undefined : { records: ['127.0.0.2'] };
  });
  const { probe, points, sleeps, lines } = build({ resolver, zones: [key + '.zen.dq.spamhaus.net'] });
  const stop = stopAfter(t);
  const running = probe.run(stop.signal);
  await waitFor('the round to end', () => sleeps.length === 1);
  stop.abort();
  await running;
  assert.equal(points.length, 1);
  assert.ok(lines.length > 0);
  assert.doesNotMatch(JSON.stringify([points, probe.results(), lines]), new RegExp(key, 'i'));
});

test('nothing to ask, or nobody to ask it of, is no work', async () => {
  const signal = AbortSignal.timeout(5_000);
  await build({ zones: [] }).probe.run(signal);
  await build({ addresses: [] }).probe.run(signal);
  assert.equal(signal.aborted, false);
});

test('an address that no list can know is told at the start', () => {
  const { lines } = build({ addresses: ['192.168.1.10'] });
  assert.match(lines.join(''), /"target":"192\.168\.1\.10".*not a public address/);
});

test('wrong options refuse with option, what was found and what was expected', () => {
  const cases: [Partial<Dnsbl>, RegExp][] = [
    [
      { resolver: 'dns.example' },
      /^Cannot use option probe\.dnsbl\.resolver: found "dns\.example", expected ADDRESS, /,
    ],
    [
      { addresses: ['nas.example'] },
      /^Cannot use option probe\.dnsbl\.addresses: found "nas\.example", expected an IPv4 or IPv6 address/,
    ],
    [
      { domains: ['192.0.2.1'] },
      /^Cannot use option probe\.dnsbl\.domains: found "192\.0\.2\.1", expected a domain such as example\.org/,
    ],
    [{ zones: ['bl.test', 'BL.test.'] }, /^Cannot use option probe\.dnsbl\.zones: found bl\.test for the second time/],
    [
      { zones: ['dnsbl.sorbs.net'] },
      /^Cannot use block list dnsbl\.sorbs\.net: shut down in June 2024.*take it out of probe\.dnsbl\.zones/,
    ],
    [{ zones: ['list.dnswl.org'] }, /lists good senders/],
  ];
  for (const [options, expected] of cases)
    assert.throws(
      () => build(options),
      (error) => error instanceof UserError && expected.test(error.message),
    );
});
