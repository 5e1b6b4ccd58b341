// Tries what is typed on the page before it is saved: whether such a server answers, whether the login is taken. Promises: one
// look is bounded in time and few run at once; logins that are tried by hand do not become so many that a provider locks the
// mailbox; what a server does is a finding, never an error.
import { hostname } from 'node:os';
import type { Clock } from '#shared/clock.ts';
import type { Loaded, Secret } from '#shared/config.ts';
import { isRecord } from '#shared/json.ts';
import { UserError } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import { findPreset } from './accounts/presets.ts';
import type { Server } from './accounts/presets.ts';
import type { LoginSecret } from './accounts/secret.ts';
import type { AgentConfig } from './config.ts';
import { doubtful, well, wrong } from './doctor/finding.ts';
import { tryMailbox } from './doctor/mailbox.ts';
import { tryGreeting } from './doctor/others.ts';
import { tryLocal, tryRelay } from './doctor/smtp.ts';
import type { Endpoint } from './net/socket.ts';
import type { Trial, TryOut } from './page/work.ts';
import { endpointOf } from './room-base.ts';

const limitMs = 25_000;
const maxAtOnce = 2;
/** Logins of one user at one server in ten minutes. */
const maxLogins = 6;
const windowMs = 600_000;
const maxRemembered = 200;

type Options = Parameters<TryOut>[0];
/** `loaded`: as it stands in the file now. */
type Tools = { readonly loaded: () => Loaded<AgentConfig>; readonly clock: Clock; readonly log: Log };

export function createTryOut(tools: Tools): TryOut {
  const { clock } = tools;
  const logins = new Map<string, number[]>();
  let running = 0;

  function mayLogIn({ kind, entry }: Options): boolean {
    const key = [kind, entry['preset'], entry['host'], entry['user']].map(String).join(' ');
    const now = clock.monotonic();
    const past = (logins.get(key) ?? []).filter((at) => now - at < windowMs);
    if (past.length >= maxLogins) return false;
    logins.delete(key);
    logins.set(key, [...past, now]);
    const [oldest] = logins.keys();
    if (logins.size > maxRemembered && oldest !== undefined) logins.delete(oldest);
    return true;
  }

  return async (options) => {
    if (running >= maxAtOnce)
      return doubtful({ found: 'other tests still run', expected: 'few at once', remedy: 'try again in a moment' });
    if (options.stage === 'login' && hasLogin(options) && !mayLogIn(options))
      return doubtful({
        found: maxLogins + ' logins were tried in ten minutes',
        expected: 'fewer, or the provider locks the mailbox',
        remedy: 'wait some minutes',
      });
    running += 1;
    try {
      return await look(tools, options);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      return wrong({ found: error.message, expected: 'options that fit', remedy: 'mend the marked fields first' });
    } finally {
      running -= 1;
    }
  };
}

const hasLogin = ({ kind }: Options): boolean => kind === 'mailbox' || kind === 'relay';

async function look(tools: Tools, options: Options): Promise<Trial> {
  switch (options.kind) {
    case 'mailbox':
      return lookAtMailbox(tools, options);
    case 'relay':
      return lookAtRelay(tools, options);
    case 'local':
      return lookAtLocal(tools, options);
    case 'submission':
      return well('');
  }
}

/** What was typed, else what the preset knows, else what is usual. Throws UserError. */
function placeOf(
  { loaded }: Tools,
  path: string,
  entry: Options['entry'],
  known: Server | undefined,
  usual: Omit<Server, 'host'>,
): Endpoint {
  const { host = known?.host, port = known?.port ?? usual.port, tls = known?.tls ?? usual.tls } = entry;
  const { caFile, serverName, pins } = entry;
  if (typeof host !== 'string' || !/^[A-Za-z0-9._:-]+$/.test(host)) throw new UserError('no server is named');
  if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65_535)
    throw new UserError('the port is none');
  if (tls !== 'none' && tls !== 'starttls' && tls !== 'implicit') throw new UserError('the encryption is none');
  return endpointOf(loaded(), [path], {
    host,
    port,
    tls,
    ...(typeof caFile === 'string' && { caFile }),
    ...(typeof serverName === 'string' && { serverName }),
    ...(Array.isArray(pins) && { pins: pins.map(String) }),
  });
}

const presetOf = ({ entry }: Options) => findPreset(typeof entry['preset'] === 'string' ? entry['preset'] : undefined);
const userOf = ({ entry }: Options): string => (typeof entry['user'] === 'string' ? entry['user'] : '');

/** The typed password, else the stored one. Throws UserError. */
function secretOf({ loaded }: Tools, { entry, password }: Options): () => Promise<LoginSecret> {
  if (password !== undefined) return async () => ({ kind: 'password', password });
  const stored = readSecretShape(entry['password']);
  if (stored === undefined) throw new UserError('no password is stored');
  const read = loaded().secret(['password'], stored);
  return async () => ({ kind: 'password', password: read });
}

function readSecretShape(value: unknown): Secret | undefined {
  if (!isRecord(value)) return undefined;
  if (typeof value['file'] === 'string') return { file: value['file'] };
  return typeof value['env'] === 'string' ? { env: value['env'] } : undefined;
}

async function lookAtMailbox(tools: Tools, options: Options): Promise<Trial> {
  const { clock } = tools;
  const endpoint = placeOf(tools, 'accounts', options.entry, presetOf(options)?.pop3.value, {
    port: 995,
    tls: 'implicit',
  });
  const signal = AbortSignal.timeout(limitMs);
  // A token belongs to the agent that runs: asking for another one here could make its own worthless.
  if (options.stage === 'place' || options.entry['oauth'] !== undefined)
    return tryGreeting(endpoint, /^\+OK/, 'a POP3 server', signal);
  return tryMailbox({ endpoint, user: userOf(options), secret: secretOf(tools, options), clock, signal });
}

async function lookAtRelay(tools: Tools, options: Options): Promise<Trial> {
  const { clock, log } = tools;
  const endpoint = placeOf(tools, 'relays', options.entry, presetOf(options)?.smtp.value, {
    port: 587,
    tls: 'starttls',
  });
  const common = {
    endpoint,
    user: userOf(options),
    name: hostname(),
    clock,
    log,
    signal: AbortSignal.timeout(limitMs),
  };
  if (options.stage === 'place' || options.entry['oauth'] !== undefined)
    return tryRelay({ ...common, auth: 'none', secret: () => Promise.reject(new UserError('no login')) });
  return tryRelay({ ...common, auth: 'auto', secret: secretOf(tools, options) });
}

/** Whether it takes mail for those who get some: fetched mail, and notes. */
async function lookAtLocal(tools: Tools, options: Options): Promise<Trial> {
  const { loaded, clock, log } = tools;
  const { entry } = options;
  const endpoint = placeOf(tools, 'local', { host: '127.0.0.1', tls: 'none', ...entry }, undefined, {
    port: 25,
    tls: 'starttls',
  });
  const { accounts, operator } = loaded().value;
  const all = [
    ...accounts.flatMap((account) => account.recipients ?? []),
    ...(operator === undefined ? [] : [operator]),
  ];
  const { server, recipients } = await tryLocal({
    endpoint,
    protocol: entry['protocol'] === 'lmtp' ? 'lmtp' : 'smtp',
    recipients: [...new Set(all)].slice(0, 20),
    name: hostname(),
    clock,
    log,
    signal: AbortSignal.timeout(limitMs),
  });
  return recipients[0]?.trial ?? server;
}
