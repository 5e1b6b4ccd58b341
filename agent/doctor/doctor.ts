// Looks at everything that a configuration names, one thing after the other in the order of the report, several at once.
// Promises: fetches, deletes and sends nothing; one login each; a thing that cannot be looked at is a finding, not an end.
import { hostname } from 'node:os';
import type { Clock } from '#shared/clock.ts';
import type { Loaded } from '#shared/config.ts';
import type { Path } from '#shared/config-problems.ts';
import { UserError, describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import { readPem } from '#shared/pem.ts';
import { resolveAccount } from '../accounts/resolve.ts';
import { openSecretSource } from '../accounts/source.ts';
import type { SourceOptions } from '../accounts/source.ts';
import { findFileProblems, findOpenSecrets } from '../config-files.ts';
import type { AgentConfig } from '../config.ts';
import { loginOf } from '../config.ts';
import type { Endpoint } from '../net/socket.ts';
import { resolveRelay } from '../send/relay/relay-options.ts';
import { tryCertificate, tryOwnCertificate } from './certificate.ts';
import { endpointAt } from './check.ts';
import type { Check, Common, Placed } from './check.ts';
import { doubtful, well, wrong } from './finding.ts';
import type { Finding, Trial } from './finding.ts';
import { tryClock, tryDisk, tryNode, tryPort, tryState } from './machine.ts';
import { tryMailbox } from './mailbox.ts';
import { tryName } from './names.ts';
import { tryBroker, tryClamd, tryGreeting, tryRspamd } from './others.ts';
import { tryRelay } from './smtp.ts';
import { checkLocalServer } from './local-server.ts';
import { readUsers, usersFileOf } from '../users/users-file.ts';
import { checkLists } from './lists.ts';

/** What an agent that runs says of itself. */
export type Running = {
  readonly accounts: readonly { readonly id: string; readonly up: boolean; readonly lastRoundAt: number }[];
  readonly troubles: readonly string[];
};
export type DoctorOptions = {
  readonly loaded: Loaded<AgentConfig>;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Of agent.db, what this program can read. */
  readonly schemaVersion: number;
  readonly nodeVersion: string;
  /** Undefined when no agent runs. */
  readonly running: Running | undefined;
  /** HOST or HOST:PORT; undefined: the clock is not compared. */
  readonly timeServer: string | undefined;
  /** Hands one real mail to the local server, to this address. */
  readonly mailTo?: string;
  /** Of the disk; for tests. */
  readonly freeBytes?: number;
  /** Told as they are known, in the order of the report. */
  readonly onFinding?: (finding: Finding) => void;
};

const atOnce = 4;

export async function examine(options: DoctorOptions): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  const tell = (finding: Finding): void => {
    findings.push(finding);
    options.onFinding?.(finding);
  };
  const checks = listChecks(options);
  const results: Promise<readonly Finding[]>[] = [];
  let running = 0;
  const waiting: (() => void)[] = [];
  const inTurn = async (check: Check): Promise<readonly Finding[]> => {
    if (running >= atOnce) await new Promise<void>((resolve) => waiting.push(resolve));
    running += 1;
    try {
      return await runCheck(check, options.loaded);
    } finally {
      running -= 1;
      waiting.shift()?.();
    }
  };
  for (const check of checks) results.push(inTurn(check));
  for (const result of results) for (const finding of await result) tell(finding);
  return findings;
}

async function runCheck(check: Check, loaded: Loaded<AgentConfig>): Promise<readonly Finding[]> {
  const place = (path: Path): string => (path.length === 0 ? '' : loaded.place(path));
  const made = (trial: Trial, path: Path, name: string): Finding => {
    const { option, ...rest } = trial;
    return { check: name, place: trial.level === 'ok' ? '' : place([...path, ...option]), ...rest };
  };
  try {
    const seen = await check.look();
    if (seen === undefined) return [];
    if (!Array.isArray(seen)) return [made(seen as Trial, check.path, check.name)]; // Array.isArray() does not narrow readonly
    return (seen as readonly Placed[]).map(({ name, path, trial }) => made(trial, path, name ?? check.name));
  } catch (error) {
    if (error instanceof UserError) return findingsOfRefusal(error, check.name);
    const trial = wrong({ found: describe(error), expected: 'to be looked at', remedy: 'see docs/troubleshooting.md' });
    return [made(trial, check.path, check.name)];
  }
}

/** `FILE:LINE: option NAME: found X, expected Y`, a line each. */
export function findingsOfRefusal(error: UserError, check: string): readonly Finding[] {
  return error.message.split('\n').map((line) => {
    const [, place = '', found = line, expected = ''] =
      /^(.*?: option [^:]*|[^:]*:\d+): found ([^]*), expected ([^]*)$/.exec(line) ?? [];
    const remedy = 'correct the configuration, then: mailferry config check';
    return { check, level: 'error', place, found, expected, remedy };
  });
}

function listChecks(options: DoctorOptions): readonly Check[] {
  const { loaded, running, timeServer } = options;
  const common: Common = { ...options, hostname: hostname() };
  const { value: config } = loaded;
  const folder = loaded.path(config.state);
  return [
    { name: 'node', path: [], look: async () => tryNode(options.nodeVersion) },
    { name: 'files', path: [], look: async () => lookAtFiles(loaded) },
    { name: 'state', path: [], look: async () => tryState(folder, options.schemaVersion) },
    { name: 'disk', path: [], look: async () => tryDisk(folder, options.freeBytes) },
    ...(timeServer === undefined
      ? []
      : [{ name: 'clock', path: [], look: () => tryClock(timeServer, options.clock.now) }]),
    ...listNames(common),
    ...checkLocalServer(common, options.mailTo),
    ...config.accounts.map((account, index) => mailboxCheck(common, index, account, running)),
    ...config.accounts.flatMap((account, index) => wakeCheck(common, index, account)),
    ...config.relays.map((relay, index) => relayCheck(common, index, relay)),
    ...listSubmission(common, running !== undefined),
    ...listScanners(common),
    ...checkLists(common),
    ...listReport(common),
    ...(running === undefined ? [] : [{ name: 'agent', path: [], look: async () => lookAtAgent(running) }]),
  ];
}

function lookAtFiles(loaded: Loaded<AgentConfig>): readonly Placed[] | Trial {
  const refused = findFileProblems(loaded);
  const [first] = refused;
  // The others come with their own checks, which need them.
  if (first !== undefined)
    throw refused.length === 1 ? first : new UserError(refused.map((one) => one.message).join('\n'));
  const open = findOpenSecrets(loaded);
  if (open.length === 0) return well('every secret and certificate that the configuration names can be read');
  return open.map(({ path, file }) => ({
    path,
    trial: doubtful({
      found: file + ' can be read by other users of this machine',
      expected: 'a file for the user of the agent alone',
      remedy: 'chmod 600 ' + file,
    }),
  }));
}

function lookAtAgent({ troubles }: Running): Trial | readonly Placed[] {
  if (troubles.length === 0) return well('it runs and has nothing to complain about');
  return troubles.map((trouble) => ({
    path: [],
    trial: wrong({ found: trouble, expected: 'none', remedy: 'mailferry status; docs/troubleshooting.md' }),
  }));
}

function listNames({ loaded, signal }: Common): readonly Check[] {
  const { accounts, relays, local } = loaded.value;
  const places = [
    ...accounts.map((account, index) => ({ path: ['accounts', index], ...resolveAccount(account) })),
    ...relays.map((relay, index) => ({ path: ['relays', index], ...resolveRelay(relay) })),
    ...(local === undefined ? [] : [{ path: ['local'], host: local.host, port: local.port }]),
  ];
  const seen = new Set<string>();
  return places.flatMap((place) => {
    if (seen.has(place.host)) return [];
    seen.add(place.host);
    return [{ name: 'dns', path: place.path, look: () => tryName(place, { signal }) }];
  });
}

function secretOf(common: Common, path: Path, account: SourceOptions['account']) {
  const { loaded, clock, log } = common;
  return openSecretSource({ loaded, path, account, clock, log }).read;
}

type Account = AgentConfig['accounts'][number];

function mailboxCheck(common: Common, index: number, account: Account, running: Running | undefined): Check {
  const { loaded, clock, signal } = common;
  const path = ['accounts', index];
  return {
    name: 'mailbox ' + account.id,
    path,
    async look() {
      const { minIntervalSeconds, ...place } = resolveAccount(account);
      const endpoint = endpointAt(loaded, path, { ...account, ...place });
      const state = running?.accounts.find((one) => one.id === account.id);
      // Where the provider counts logins, ours would cost the agent its next round.
      if (minIntervalSeconds > 60 && state?.up === true)
        return well(
          'not tried: the agent was there lately and all was well; the provider allows one login in ' +
            Math.ceil(minIntervalSeconds / 60) +
            ' min',
        );
      const { user, auth } = account;
      const secret = secretOf(common, path, account);
      const trial = await tryMailbox({
        endpoint,
        user,
        secret,
        ...(auth === undefined ? {} : { auth }),
        clock,
        signal,
      });
      return withCertificate(trial, endpoint, signal);
    },
  };
}

function wakeCheck({ loaded, signal }: Common, index: number, { id, idle }: Account): readonly Check[] {
  if (idle === undefined) return [];
  const path = ['accounts', index, 'idle'];
  const look = async () => tryGreeting(endpointAt(loaded, path, idle), /^\* (?:OK|PREAUTH)/, 'an IMAP server', signal);
  return [{ name: 'wake ' + id, path, look }];
}

function relayCheck(common: Common, index: number, relay: AgentConfig['relays'][number]): Check {
  const { loaded, clock, log, signal } = common;
  const path = ['relays', index];
  return {
    name: 'relay ' + relay.id,
    path,
    async look() {
      const endpoint = endpointAt(loaded, path, { ...relay, ...resolveRelay(relay) });
      const { user, auth, name = common.hostname } = relay;
      const secret =
        auth === 'none' ? () => Promise.reject(new Error('no login')) : secretOf(common, path, loginOf(relay));
      const trial = await tryRelay({ endpoint, user, auth, name, secret, clock, log, signal });
      return withCertificate(trial, endpoint, signal);
    },
  };
}

/** What is well today may end within days. */
async function withCertificate(trial: Trial, endpoint: Endpoint, signal: AbortSignal): Promise<Trial> {
  if (trial.level !== 'ok' || endpoint.tls !== 'implicit') return trial;
  return (await tryCertificate(endpoint, signal)) ?? trial;
}

function listSubmission(common: Common, ours: boolean): readonly Check[] {
  const { loaded, signal } = common;
  const { submission } = loaded.value;
  if (submission === undefined) return [];
  const { host, port, implicitPort, localLogin, tls } = submission;
  const path = ['submission'];
  const greets = { imap: /^\* (?:OK|PREAUTH)/, pop3: /^\+OK/, smtp: /^220/ } as const;
  return [
    { name: 'users', path, look: async () => lookAtUsers(loaded, submission) },
    { name: 'port ' + port, path, look: () => tryPort(host, port, ['port'], ours) },
    ...(implicitPort === undefined
      ? []
      : [{ name: 'port ' + implicitPort, path, look: () => tryPort(host, implicitPort, ['implicitPort'], ours) }]),
    ...(typeof tls !== 'object'
      ? []
      : [
          {
            name: 'certificate',
            path: ['submission', 'tls'],
            look: async () => tryOwnCertificate(loaded, tls.certFile, common.clock.now()),
          },
        ]),
    ...(localLogin === undefined
      ? []
      : [
          {
            name: 'login server',
            path: ['submission', 'localLogin'],
            look: async () =>
              tryGreeting(
                endpointAt(loaded, ['submission', 'localLogin'], localLogin),
                greets[localLogin.protocol],
                'a mail server (' + localLogin.protocol + ')',
                signal,
              ),
          },
        ]),
  ];
}

async function lookAtUsers(
  loaded: Loaded<AgentConfig>,
  { users, localLogin, trusted = [] }: NonNullable<AgentConfig['submission']>,
): Promise<Trial> {
  const stored = await readUsers(usersFileOf(loaded.path(loaded.value.state)));
  const count = users.length + stored.length + trusted.length;
  if (localLogin !== undefined) return well('whoever has a login at ' + localLogin.host + ' may hand in mail');
  if (count > 0) return well(count + ' may hand in mail');
  return doubtful({
    option: ['users'],
    found: 'nobody may hand in mail',
    expected: 'at least one user, or the relay dialog of the mail server',
    remedy: 'mailferry user relay-dialog makes the account for the mail server, mailferry user add one for a person',
  });
}

function listScanners({ loaded }: Common): readonly Check[] {
  const { rspamd, clamd } = loaded.value.check ?? {};
  const checks: Check[] = [];
  if (rspamd !== undefined) {
    const path = ['check', 'rspamd'];
    const { url, caFile } = rspamd;
    checks.push({
      name: 'rspamd',
      path,
      look: async () =>
        tryRspamd({ url, ...(caFile === undefined ? {} : { ca: readPem(loaded, [...path, 'caFile'], caFile) }) }),
    });
  }
  if (clamd !== undefined) {
    const { socket, host = '127.0.0.1', port } = clamd;
    const place = socket === undefined ? { host, port } : { path: socket };
    checks.push({ name: 'clamd', path: ['check', 'clamd'], look: () => tryClamd(place) });
  }
  return checks;
}

function listReport({ loaded }: Common): readonly Check[] {
  const { report, tenant, agent } = loaded.value;
  if (report === undefined) return [];
  const path = ['report'];
  const look = async (): Promise<Trial> =>
    tryBroker({
      url: report.url,
      user: report.user ?? tenant + '/' + agent,
      password: loaded.secret([...path, 'password'], report.password),
      ...(report.caFile === undefined ? {} : { ca: readPem(loaded, [...path, 'caFile'], report.caFile) }),
      address: { tenant, agent },
    });
  return [{ name: 'report', path, look }];
}
