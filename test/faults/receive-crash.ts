// `npm run bench:receive:crash -- [--quick] [--json FILE]`: the receive room is killed, stopped, copied, cut off and starved
// between two real dovecots, beside fetchmail, getmail6 and mpop. Prints a table, ends with 1 when a mail was lost, left or
// doubled beyond what SMTP itself allows. As root: servers, and a small file system for the disk that is full.
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { installBenchPackages } from '../bench/packages.ts';
import { renderTable } from '../bench/table.ts';
import type { Case } from '../bench/verdict.ts';
import { createLab } from '../lab/lab.ts';
import { judge, scenarios } from './crash-ours.ts';
import { comparePeers, peerNames } from './crash-peers.ts';
import { createSite, localUser, password, providerUser } from './crash-site.ts';
import type { Site } from './crash-site.ts';

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: { quick: { type: 'boolean', default: false }, json: { type: 'string' } },
    allowPositionals: true,
  });
  if (process.getuid?.() !== 0)
    throw new Error('Cannot begin: dovecot and mount need root, expected to be run as root');
  installBenchPackages();
  const cases = await play(values.quick, positionals);
  process.stdout.write('\n' + renderTable(cases));
  if (values.json !== undefined) writeFileSync(values.json, JSON.stringify({ cases }, null, 2) + '\n');
  return cases.length > 0 && cases.every(({ holds }) => holds) ? 0 : 1;
}

/** `chosen`: parts of the names of scenarios, or `peers`; all when empty. */
async function play(quick: boolean, chosen: readonly string[]): Promise<readonly Case[]> {
  const seeds = quick ? 1 : 3;
  const ends: (() => Promise<void>)[] = [];
  const lab = createLab({ after: (work) => void ends.push(work) });
  const own = scenarios.map((_, index) => 's-' + index);
  const compared = ['ours', ...peerNames].flatMap((name) =>
    [0, 1, 2].flatMap((event) => Array.from({ length: seeds }, (_, seed) => ['p', name, event, seed].join('-'))),
  );
  const users = (user: (name: string) => string): Record<string, string> =>
    Object.fromEntries([...own, ...compared].map((name) => [user(name), password]));
  const cases: Case[] = [];
  try {
    const [provider, local] = await Promise.all([
      lab.dovecot({ users: users(providerUser) }),
      lab.dovecot({ users: users(localUser) }),
    ]);
    const site = (name: string): Site => createSite({ lab, provider, local, name });
    const wanted = (name: string): boolean => chosen.length === 0 || chosen.some((part) => name.includes(part));
    for (const [index, scenario] of scenarios.entries()) {
      if (!wanted(scenario.name)) continue;
      const result = await judge(scenario, site('s-' + index), quick);
      process.stdout.write((result.holds ? 'holds  ' : 'MISSED ') + scenario.name + ': ' + result.note + '\n');
      cases.push(result);
    }
    if (wanted('peers')) cases.push(...(await comparePeers({ site, seeds, mails: 60 })));
    return cases;
  } finally {
    for (const end of ends) await end();
  }
}

process.exitCode = await main();
