// The estate of 60 lists: who says what is true, in which time.
import { systemClock } from '#shared/clock.ts';
import { createDns } from '../../agent/probe/dns.ts';
import { createDnsbl } from '../../agent/probe/dnsbl.ts';
import type { DnsblResult } from '../../agent/probe/dnsbl.ts';
import { addressTarget } from '../../agent/probe/names.ts';
import { openZone } from '../../agent/probe/zones.ts';
import { runCheckRbl } from './check-rbl.ts';
import type { DnsblAround } from './dnsbl-cases.ts';
import { estate, listed, startFront } from './list-estate.ts';
import type { Truth } from './list-estate.ts';
import { figure } from './verdict.ts';
import type { Case } from './verdict.ts';

const unusable = ['error', 'refused', 'zone-unhealthy'];

function read(result: DnsblResult): Truth | undefined {
  if (unusable.includes(result.state)) return 'unusable';
  if (result.state === 'listed') return 'listed';
  return result.state === 'clean' ? (result.class === 'policy' ? 'policy' : 'clean') : undefined;
}

async function runOurs(port: number): Promise<{ readonly results: readonly DnsblResult[]; readonly seconds: number }> {
  const dns = createDns({ resolvers: [{ address: '127.0.0.1', port, family: 4 }] });
  const dnsbl = createDnsbl({ dns, clock: systemClock });
  const targets = estate.addresses.flatMap((address) => addressTarget(address) ?? []);
  const zones = estate.zones.map((zone) => openZone(zone));
  const began = performance.now();
  const signal = new AbortController().signal;
  const results = (await Promise.all(zones.map((zone) => dnsbl.check(zone, targets, signal)))).flat();
  return { results, seconds: (performance.now() - began) / 1_000 };
}

export async function estateCase({ lab, tell, upstreamPort }: DnsblAround): Promise<readonly Case[]> {
  const { port } = await startFront(lab, { upstreamPort });
  const ours = await runOurs(port);
  const wrong = ours.results.filter((result) => read(result) !== estate.truth(result.target, result.zone));
  const count = estate.zones.length * estate.addresses.length;
  for (const { target, zone, state } of wrong) tell('ours is wrong: ' + target + ' at ' + zone + ' ' + state);
  tell('ours: ' + count + ' verdicts, ' + wrong.length + ' wrong, ' + ours.seconds.toFixed(1) + ' s');
  const theirs = await runCheckRbl({ port, address: listed, zones: estate.zones });
  tell('check_rbl, one address: ' + firstLine(theirs.text) + ', ' + theirs.seconds.toFixed(1) + ' s');
  const theirWrong = estate.zones.filter((zone) => {
    const truth = estate.truth(listed, zone);
    const says = theirs.blacklisted.includes(zone);
    // What it does not name it counts as well; the policy list may be counted either way.
    return truth === 'policy' ? false : truth === 'unusable' || says !== (truth === 'listed');
  });
  const blind = await runCheckRbl({ port, address: listed, zones: estate.silent, more: ['--query-timeout=2'] });
  tell('check_rbl, dead and failing lists alone: ' + firstLine(blind.text) + ', exit code ' + blind.code);
  const peers = { check_rbl: theirWrong.length };
  return [
    {
      ...figure({
        name: '2 addresses x 60 lists: wrong verdicts',
        unit: 'of ' + count,
        ours: wrong.length + (count - ours.results.length),
        bar: { kind: 'at-most', value: 0 },
        note: 'check_rbl: of 60, one address: ' + theirs.blacklisted.length + ' named, 1 true',
      }),
      peers,
    },
    {
      ...figure({
        name: '2 addresses x 60 lists: time',
        unit: 's',
        ours: ours.seconds,
        bar: { kind: 'at-most', value: 5 },
        note: 'check_rbl: one address; only dead and failing lists: exit code ' + blind.code,
      }),
      peers: { check_rbl: Number(theirs.seconds.toFixed(1)) },
    },
  ];
}

function firstLine(text: string): string {
  return (text.split('\n')[0] ?? '').slice(0, 160);
}
