// `npm run bench:send:crash -- [--quick] [--json FILE] [SCENARIO ...]`: the send room is killed at each checkpoint and at any
// time, its power cut, its disk filled and broken, its clock moved, its index deleted, between clients that never give up and
// a real postfix, and Postfix beside it. Ends with 1 when a mail that was answered 250 is lost, or doubled without account.
import { writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { renderTable } from '../bench/table.ts';
import type { Case } from '../bench/verdict.ts';
import { createLab } from '../lab/lab.ts';
import type { Lab } from '../lab/lab.ts';
import type { Postfix } from '../lab/postfix.ts';
import { installPackages, missingPackages } from '../lab/packages.ts';
import { comparePostfix } from './send-postfix.ts';
import { judge, scenarios } from './send-scenarios.ts';
import { createSite } from './send-site.ts';

const comparison = 'Postfix';

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: { quick: { type: 'boolean', default: false }, json: { type: 'string' } },
    allowPositionals: true,
  });
  if (process.getuid?.() !== 0)
    throw new Error('Cannot begin: postfix and mount need root, expected to be run as root');
  const missing = missingPackages(['dovecot-core', 'openssl', 'postfix']);
  if (missing.length > 0) installPackages(missing);
  const wanted = (name: string): boolean => positionals.length === 0 || positionals.some((part) => name.includes(part));
  const cases: Case[] = [];
  const tell = (one: Case): void => {
    cases.push(one);
    process.stdout.write(
      (one.holds ? 'holds  ' : 'MISSED ') + one.name + ': doubled ' + one.ours + ', ' + one.note + '\n',
    );
  };
  for (const scenario of scenarios.filter(({ name }) => wanted(name))) {
    tell(
      await inLab(async (lab, relay) => {
        const state = await mkdtemp(join(lab.dir, 'state-'));
        return judge(scenario, createSite({ lab, relay, state, port: await lab.freePort() }), values.quick);
      }),
    );
  }
  if (wanted(comparison))
    tell(await inLab((lab, relay) => comparePostfix({ lab, relay, deaths: values.quick ? 3 : 20 })));
  process.stdout.write('\n' + renderTable(cases));
  if (values.json !== undefined) writeFileSync(values.json, JSON.stringify({ cases }, null, 2) + '\n');
  return cases.length > 0 && cases.every(({ holds }) => holds) ? 0 : 1;
}

/** A lab and a relay of its own for each: what arrives there is of this scenario alone. */
async function inLab(play: (lab: Lab, relay: Postfix) => Promise<Case>): Promise<Case> {
  const ends: (() => Promise<void>)[] = [];
  const lab = createLab({ after: (work) => void ends.push(work) });
  try {
    const relay = await lab.postfix({
      role: 'relay',
      domains: ['world.test'],
      users: { 'relay-user': 'relay-password' },
      main: { smtpd_tls_auth_only: 'no' },
    });
    return await play(lab, relay);
  } finally {
    for (const end of ends) await end();
  }
}

process.exitCode = await main();
