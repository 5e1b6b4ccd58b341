// What people ran before: fetchmail, asking the same ten mailboxes as often, and a postfix that waits.
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pass } from 'node:timers/promises';
import type { Lab } from '../lab/lab.ts';
import { waitFor } from '../lab/wait.ts';
import { password } from './mailbox.ts';
import { accounts } from './nas-site.ts';
import type { Office } from './nas-site.ts';
import { treeCpuSeconds, treeMemoryMb } from './process-tree.ts';
import { figure } from './verdict.ts';
import type { Case } from './verdict.ts';

/** As often as the agent asks by default. */
const intervalSeconds = 15;

export async function measurePeers(options: {
  readonly lab: Lab;
  readonly office: Office;
  readonly seconds: number;
  readonly tell: (line: string) => void;
}): Promise<readonly Case[]> {
  const { lab, office, seconds, tell } = options;
  const pid = await startFetchmail(lab, office);
  const roots = { fetchmail: pid, postfix: office.relay.pid() };
  await firstRound(office);
  const before = { fetchmail: treeCpuSeconds(roots.fetchmail), postfix: treeCpuSeconds(roots.postfix) };
  await pass(seconds * 1_000);
  return (['fetchmail', 'postfix'] as const).flatMap((name) => {
    const memory = treeMemoryMb(roots[name]);
    const cpu = ((treeCpuSeconds(roots[name]) - before[name]) / seconds) * 100;
    tell(name + ': ' + memory.toFixed(1) + ' MB, ' + cpu.toFixed(2) + ' % CPU');
    return [
      told(name + ', memory, idle', 'MB', name, memory, 'PSS of all its processes'),
      told(name + ', CPU, idle', '% of a core', name, cpu, ''),
    ];
  });
}

/** It knows none of the mails that are there, and takes them all. */
async function firstRound(office: Office): Promise<void> {
  let seen = -1;
  await waitFor(
    'the first round of fetchmail to be over',
    async () => {
      const counted = await office.local.count();
      const still = counted === seen;
      seen = counted;
      return still;
    },
    { timeoutMs: 300_000, everyMs: 20_000 },
  );
}

function told(name: string, unit: string, peer: string, value: number, note: string): Case {
  return { ...figure({ name, unit, ours: null, note }), peers: { [peer]: Number(value.toPrecision(3)) }, holds: true };
}

async function startFetchmail(lab: Lab, office: Office): Promise<number> {
  const { provider, local } = office;
  const file = join(lab.dir, 'fetchmailrc');
  const polls = accounts.map((user) =>
    [
      "poll '" + provider.host + "' service " + provider.pop3s + ' protocol POP3 no dns uidl',
      "user '" + user + "' password '" + password + "' is '" + user + "' here",
      "ssl sslcertfile '" +
        provider.caFile +
        "' sslcommonname 'localhost' keep no rewrite smtphost '" +
        local.host +
        '/' +
        local.smtp +
        "'",
    ].join(' '),
  );
  await writeFile(file, ['set no bouncemail', ...polls, ''].join('\n'), { mode: 0o600 });
  await chmod(file, 0o600);
  const child = await lab.run({
    name: 'fetchmail',
    command: 'fetchmail',
    args: [
      '--nodetach',
      '--fetchmailrc',
      file,
      '--pidfile',
      join(lab.dir, 'fetchmail.pid'),
      '--daemon',
      String(intervalSeconds),
    ],
    env: { HOME: lab.dir, FETCHMAILHOME: lab.dir, LC_ALL: 'C' },
    ready: () => true,
  });
  return child.pid;
}
