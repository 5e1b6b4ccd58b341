// `mailferry doctor`: looks at everything that the configuration names and says what helps. Exit codes: 0 nothing is wrong
// (warnings are told), 1 something is, 2 the configuration cannot be used.
import { Command } from 'commander';
import { join } from 'node:path';
import { pino } from 'pino';
import { systemClock } from '#shared/clock.ts';
import type { Loaded } from '#shared/config.ts';
import { UserError } from '#shared/failure.ts';
import { loadAgentConfig } from '../config.ts';
import type { AgentConfig } from '../config.ts';
import { examine, findingsOfRefusal } from '../doctor/doctor.ts';
import type { Running } from '../doctor/doctor.ts';
import type { Finding } from '../doctor/finding.ts';
import { standardTimeServer } from '../doctor/machine.ts';
import { stateSchema } from '../state-schema.ts';
import { isRecord } from '#shared/json.ts';
import { askAgent } from './client.ts';
import type { ExitCode, SiteCommands, Terminal } from './site.ts';
import { clean, count } from './table.ts';

type Flags = { readonly json?: boolean; readonly mail?: string | true; readonly timeServer?: string };

export function addDoctor(program: Command, site: SiteCommands): void {
  const { terminal, prepare } = site;
  const command = prepare(new Command('doctor'))
    .description(
      'Looks at every connection, login, right, name, certificate, port, disk and clock, and says what helps.',
    )
    .option('--mail [address]', 'hands one real mail to the local server, by default to the first recipient')
    .option('--time-server <host>', 'what the clock is compared with; `none` leaves that away', standardTimeServer)
    .option('--json', 'the answer as JSON');
  command.action(async () => {
    const flags = command.opts<Flags>();
    const tell = (finding: Finding): void => {
      if (flags.json !== true) terminal.out(render(finding) + '\n');
    };
    const { findings, code } = await run(site, flags, tell);
    if (flags.json === true) terminal.out(JSON.stringify({ ok: code === 0, findings }, undefined, 2) + '\n');
    else terminal.out('\n' + summarize(findings) + '\n');
    site.finish(code);
  });
  program.addCommand(command);
}

type Report = { readonly findings: readonly Finding[]; readonly code: ExitCode };

async function run(site: SiteCommands, flags: Flags, tell: (finding: Finding) => void): Promise<Report> {
  let loaded: Loaded<AgentConfig>;
  try {
    loaded = loadAgentConfig(site.configFile());
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const findings = findingsOfRefusal(error, 'configuration');
    for (const finding of findings) tell(finding);
    return { findings, code: 2 };
  }
  const findings = await diagnose(site.terminal, loaded, { ...flags, socket: site.socket(), tell });
  return { findings, code: findings.some(({ level }) => level === 'error') ? 1 : 0 };
}

export async function diagnose(
  terminal: Pick<Terminal, 'clock'>,
  loaded: Loaded<AgentConfig>,
  options: Flags & { readonly socket?: string | undefined; readonly tell?: (finding: Finding) => void },
): Promise<readonly Finding[]> {
  const { mail, timeServer = standardTimeServer, tell } = options;
  const mailTo = mail === true ? firstRecipient(loaded.value) : mail;
  return examine({
    loaded,
    clock: terminal.clock ?? systemClock,
    // What the parts would log stands in the findings.
    log: pino({ level: 'silent' }),
    signal: new AbortController().signal,
    schemaVersion: stateSchema.length,
    nodeVersion: process.versions.node,
    running: await askStatus(options.socket ?? join(loaded.path(loaded.value.state), 'agent.sock')),
    timeServer: timeServer === 'none' ? undefined : timeServer,
    ...(mailTo === undefined ? {} : { mailTo }),
    ...(tell && { onFinding: tell }),
  });
}

function firstRecipient({ accounts, operator }: AgentConfig): string {
  const first = accounts.flatMap((account) => account.recipients ?? account.multidrop?.fallback ?? [])[0] ?? operator;
  if (first !== undefined) return first;
  throw new UserError('Cannot hand a mail over: nobody is named, expected --mail ADDRESS');
}

/** Undefined when no agent runs, or none that we understand. */
async function askStatus(path: string): Promise<Running | undefined> {
  const answer = await askAgent({ path, request: { command: 'status', arguments: {} }, timeoutMs: 15_000 });
  if (answer.ok !== true || !isRecord(answer.value)) return undefined;
  const { accounts, troubles } = answer.value;
  const list = Array.isArray(accounts) ? (accounts as readonly unknown[]) : [];
  return {
    accounts: list.flatMap((one) =>
      isRecord(one)
        ? [{ id: String(one['id']), up: one['up'] === true, lastRoundAt: Number(one['lastRoundAt'] ?? 0) }]
        : [],
    ),
    troubles: Array.isArray(troubles) ? troubles.map(String) : [],
  };
}

const words = { ok: 'ok', note: 'note', warning: 'WARNING', error: 'WRONG' } as const;

function render({ level, check, place, found, expected, remedy }: Finding): string {
  const first = words[level].padEnd(9) + clean(check).padEnd(18) + ' ' + clean(found);
  const more = [
    ...(expected === '' ? [] : ['expected  ' + clean(expected)]),
    ...(place === '' || level === 'ok' ? [] : ['where     ' + clean(place)]),
    ...(remedy === '' ? [] : ['what helps  ' + clean(remedy)]),
  ];
  return [first, ...more.map((line) => ' '.repeat(11) + line)].join('\n');
}

function summarize(findings: readonly Finding[]): string {
  const of = (level: Finding['level']): number => findings.filter((finding) => finding.level === level).length;
  const [errors, warnings] = [of('error'), of('warning')];
  if (errors + warnings === 0) return 'All is well.';
  return count(errors, 'thing is wrong', 'things are wrong') + ', ' + count(warnings, 'warning', 'warnings') + '.';
}
