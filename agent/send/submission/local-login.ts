// Passwords checked by the local mail server, so that users hand in mail with those they have there. Promise: so few wrong
// ones are passed on that the server never locks this machine out (rule of safety 8), whatever clients try and however many
// at once; a right one is believed for a bounded time without asking again; a wrong one is not asked twice.
import { createHmac, randomBytes } from 'node:crypto';
import type { Clock } from '#shared/clock.ts';
import type { Log } from '#shared/log.ts';
import type { Endpoint } from '../../net/socket.ts';
import { asciiAddress } from './access.ts';
import type { Checked } from './accounts.ts';
import { askServer } from './local-login-server.ts';
import type { Rights } from './rights.ts';
import type { LocalLoginOptions, SubmissionOptions } from './submission-options.ts';

export type LocalLoginSetup = { readonly config: LocalLoginOptions; readonly endpoint: Endpoint };
export type LocalLogin = {
  readonly check: (name: string, password: string, address: string) => Promise<Checked>;
};

const windowMs = 600_000;
const timeoutMs = 15_000;
const maxCached = 1_000;
/** What a login name can be so that an address can be made of it; no separator of a master user, no control characters. */
const plainName = /^[A-Za-z0-9._+-]{1,64}(?:@[A-Za-z0-9.-]{1,200})?$/;

type Verdict = 'right' | 'wrong';
type Known = { readonly verdict: Verdict; readonly until: number };

export function createLocalLogin(options: {
  readonly setup: LocalLoginSetup;
  readonly submission: Pick<SubmissionOptions, 'limits'>;
  readonly clock: Clock;
  readonly log: Log;
  /** Replaced in tests. */
  readonly ask?: typeof askServer;
}): LocalLogin {
  const { clock, log, setup } = options;
  const { config } = setup;
  const ask = options.ask ?? askServer;
  const secret = randomBytes(32);
  const known = new Map<string, Known>();
  const asking = new Map<string, Promise<Checked>>();
  const budget = createBudget(config.failuresPerTenMinutes, clock);

  function recall(key: string): Verdict | undefined {
    const found = known.get(key);
    if (found === undefined) return undefined;
    if (found.until > clock.monotonic()) return found.verdict;
    known.delete(key);
    return undefined;
  }

  function remember(key: string, verdict: Verdict): void {
    const [oldest] = known.keys();
    if (known.size >= maxCached && oldest !== undefined) known.delete(oldest);
    const ms = verdict === 'right' ? config.cacheSeconds * 1_000 : windowMs;
    known.set(key, { verdict, until: clock.monotonic() + ms });
  }

  async function question(
    key: string,
    rights: Rights,
    name: string,
    password: string,
    address: string,
  ): Promise<Checked> {
    const place = await budget.take(address);
    if (place === undefined) {
      log.warn({ user: rights.user, address }, 'the password was not passed on: too many wrong ones lately');
      return { ok: false, why: 'later', known: false };
    }
    const { protocol } = config;
    const login = { user: name, password };
    const answer = await ask({ protocol, endpoint: setup.endpoint, login, clock, log, timeoutMs });
    // What is not clear counts as a failure that the server has counted.
    place.settle(answer.verdict === 'right');
    if (answer.verdict === 'trouble') {
      log.error({ problem: answer.problem }, 'the local mail server could not be asked for a password');
      return { ok: false, why: 'trouble', known: false };
    }
    remember(key, answer.verdict);
    return answer.verdict === 'right' ? { ok: true, rights } : { ok: false, why: 'wrong', known: false };
  }

  return {
    async check(name, password, address) {
      const rights = rightsOf(config, options.submission.limits ?? {}, name);
      // A line end in a password would be a command of its own.
      if (rights === undefined || /[\u0000-\u001f\u007f]/.test(password) || password.length > 512)
        return { ok: false, why: 'wrong', known: false };
      const key = createHmac('sha256', secret)
        .update(JSON.stringify([name, password]))
        .digest('base64');
      const before = recall(key);
      if (before === 'right') return { ok: true, rights };
      if (before === 'wrong') return { ok: false, why: 'wrong', known: false };
      // Ten sessions that log in at once with the same password are one question.
      const running =
        asking.get(key) ?? question(key, rights, name, password, address).finally(() => asking.delete(key));
      asking.set(key, running);
      return running;
    },
  };
}

/** Undefined when no address can be made of the name. */
function rightsOf(config: LocalLoginOptions, standard: SubmissionOptions['limits'], name: string): Rights | undefined {
  if (!plainName.test(name)) return undefined;
  const domains = config.domains.map(
    (domain) =>
      asciiAddress('x@' + domain)
        ?.slice(2)
        .toLowerCase() ?? domain,
  );
  const at = name.lastIndexOf('@');
  const own =
    at < 0
      ? domains.map((domain) => name + '@' + domain)
      : domains.includes(name.slice(at + 1).toLowerCase())
        ? [name]
        : [];
  const more = config.more.filter((one) => one.name === name).flatMap(({ senders }) => senders);
  // Servers take a name in any letters: it is one account all the same, with one limit.
  return { user: name.toLowerCase(), senders: [...own, ...more], limits: { ...standard, ...config.limits } };
}

type Place = { readonly settle: (right: boolean) => void };
type Used = { readonly address: string; at: number; settled: boolean };

/**
 * Of all failures in ten minutes one address may use up half: a stranger must not keep all others out. A question on its way
 * takes a place as if it had failed; who finds the places taken by such questions waits for their answers.
 */
function createBudget(limit: number, clock: Pick<Clock, 'monotonic'>) {
  const ofOne = Math.max(1, Math.floor(limit / 2));
  let used: Used[] = [];
  let waiting: (() => void)[] = [];
  const over = (all: readonly Used[], address: string): boolean =>
    all.length >= limit || all.filter((one) => one.address === address).length >= ofOne;

  function placeOf(one: Used): Place {
    return {
      settle(right) {
        one.settled = true;
        one.at = clock.monotonic();
        if (right) used = used.filter((other) => other !== one);
        const woken = waiting;
        waiting = [];
        for (const wake of woken) wake();
      },
    };
  }

  return {
    /** Undefined: too many were wrong. */
    async take(address: string): Promise<Place | undefined> {
      for (;;) {
        const now = clock.monotonic();
        used = used.filter(({ at, settled }) => !settled || now - at < windowMs);
        if (
          over(
            used.filter(({ settled }) => settled),
            address,
          )
        )
          return undefined;
        if (!over(used, address)) break;
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
      const one: Used = { address, at: clock.monotonic(), settled: false };
      used.push(one);
      return placeOf(one);
    },
  };
}
