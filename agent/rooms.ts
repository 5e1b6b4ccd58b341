// The rooms of the agent: each is built from its options and handed what it may call.
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Reached } from '#shared/checkpoint.ts';
import type { Clock } from '#shared/clock.ts';
import type { Loaded } from '#shared/config.ts';
import type { Journal } from '#shared/journal.ts';
import { createLifecycle } from '#shared/lifecycle.ts';
import type { Lifecycle } from '#shared/lifecycle.ts';
import type { Log } from '#shared/log.ts';
import { createMeter } from '#shared/meter.ts';
import type { Meter } from '#shared/meter.ts';
import { resolveAccount } from './accounts/resolve.ts';
import type { AgentConfig } from './config.ts';
import { readAdoption } from './identity.ts';
import { isLocalAddress } from './local/local-address.ts';
import type { RememberingLocal } from './local/handed-over.ts';
import type { Probe } from './probe/probe.ts';
import type { RoundTrips } from './probe/round-trip/round-trip.ts';
import type { Schedule } from './probe/schedule.ts';
import type { Receive } from './receive/receive.ts';
import type { RelaySetup, Send } from './send/send.ts';
import { caOf, endpointOf, roomBase } from './room-base.ts';
import { takeProbes, watchOf } from './round-trips.ts';
import type { RemoteSetup } from './remote-setup.ts';
import type { State } from './state.ts';
import { readStopReason } from './stop-reason.ts';
import { setUpSubmission } from './submission-setup.ts';
import type { SilenceNote } from './telemetry/silence.ts';
import type { Telemetry } from './telemetry/telemetry.ts';
import { openTrips, openWatch } from './watch-rooms.ts';

/** What all rooms share. */
export type Base = {
  readonly loaded: Loaded<AgentConfig>;
  readonly config: AgentConfig;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly reached: Reached;
  readonly state: State;
  readonly journal: Journal;
  readonly meter: Meter;
  readonly lifecycle: Lifecycle;
  readonly version: string;
  /** What the collector may ask for; absent without a report. */
  readonly remote?: Pick<RemoteSetup, 'onCommand' | 'publicKey'>;
  /** Something shows that this state, or this identity, is in use elsewhere: no mail may move. */
  readonly onDoubt: (reason: string) => void;
};
/** Before it is known where measurements go. */
export type Ground = Omit<Base, 'journal' | 'meter'>;
export type Rooms = {
  local?: RememberingLocal;
  receive?: Receive;
  send?: Send;
  probe?: Probe;
  trips?: RoundTrips;
  watch?: Schedule;
  telemetry?: Telemetry;
};

/** The rooms that carry mail can each be opened anew while the others go on. */
export type Part = 'send' | 'receive';
/** Closes one and opens it by another configuration. Throws what opening throws; the room is closed then. */
export type Reopen = (part: Part, loaded: Loaded<AgentConfig>) => Promise<void>;

/** Opens every room that the configuration asks for; those that it does not ask for are not even loaded. */
export async function openRooms(ground: Ground, rooms: Rooms): Promise<Reopen> {
  const free = createFreeWord(ground);
  const gauges = (): void => {
    free(meter);
    sayGauges(rooms, meter);
  };
  const { journal, meter } = await openTelemetry({ ...ground, gauges }, rooms);
  const base: Base = { ...ground, journal, meter };
  if (base.config.local !== undefined) rooms.local = await openLocal(base, base.config.local);
  await openTrips(base, rooms);
  const send = createPart(base.lifecycle, base.log, 'send');
  await send.open((lifecycle) => openSend({ ...base, lifecycle }, rooms));
  const receive = createPart(base.lifecycle, base.log, 'receive');
  await receive.open((lifecycle) => openReceive({ ...base, lifecycle }, rooms));
  await openProbe(base, rooms);
  await openWatch(base, rooms);
  await rooms.telemetry?.start();
  return async (part, loaded) => {
    const next = { ...base, loaded, config: loaded.value };
    await (part === 'send' ? send : receive).close();
    delete rooms[part];
    if (part === 'send') await send.open((lifecycle) => openSend({ ...next, lifecycle }, rooms));
    else await receive.open((lifecycle) => openReceive({ ...next, lifecycle }, rooms));
  };
}

/** A lifecycle of its own inside of `outer`, as often as it is opened. */
function createPart(outer: Lifecycle, log: Log, name: string) {
  let inside: Lifecycle | undefined;
  const close = async (): Promise<void> => {
    await inside?.stop();
    inside = undefined;
  };
  outer.onStop(name, close);
  return {
    close,
    async open(work: (lifecycle: Lifecycle) => Promise<void>): Promise<void> {
      inside = createLifecycle({ log });
      try {
        await work({ ...inside, signal: AbortSignal.any([inside.signal, outer.signal]) });
      } catch (error) {
        await close();
        throw error;
      }
    },
  };
}

async function openTelemetry(
  base: Ground & { readonly gauges: () => void },
  rooms: Rooms,
): Promise<{ readonly journal: Journal; readonly meter: Meter }> {
  const { config, state, clock, log } = base;
  const { report } = config;
  if (report === undefined) {
    log.warn('no report is configured: nothing is told to a collector');
    return { journal: { ...state.journal, add: () => {} }, meter: createMeter({ clock, sink: () => {} }) };
  }
  const { createTelemetry } = await import('./telemetry/telemetry.ts');
  const telemetry = createTelemetry({
    ...reportBase(base, report),
    journal: state.journal,
    gauges: base.gauges,
    onDoubt: base.onDoubt,
    ...(base.remote && { onCommand: base.remote.onCommand, key: base.remote.publicKey }),
    tell: (note) => tellByMail(base, rooms, report, note),
    goodbye: () => readStopReason(state.folder),
  });
  base.lifecycle.onStop('telemetry', telemetry.stop);
  rooms.telemetry = telemetry;
  return { journal: state.journal, meter: telemetry.meter };
}

/** What an agent does that is held: it tells the collector. */
export async function openHeld(base: Ground, rooms: Rooms, reason: string): Promise<void> {
  const { report } = base.config;
  if (report === undefined) return;
  const { createHeldReport } = await import('./telemetry/held-report.ts');
  const telemetry = createHeldReport({ ...reportBase(base, report), reason });
  base.lifecycle.onStop('telemetry', telemetry.stop);
  rooms.telemetry = telemetry;
  await telemetry.start();
}

export function closeRooms(rooms: Rooms): void {
  delete rooms.local;
  delete rooms.receive;
  delete rooms.send;
  delete rooms.probe;
  delete rooms.trips;
  delete rooms.watch;
  delete rooms.telemetry;
}

async function tellByMail(
  base: Ground,
  rooms: Rooms,
  report: NonNullable<AgentConfig['report']>,
  note: SilenceNote,
): Promise<void> {
  const { tellOperator } = await import('./tell-operator.ts');
  const { config, state, clock, log } = base;
  const [relay] = report.tell.to.length === 0 ? [] : await resolveRelays(base);
  await tellOperator(
    {
      local: rooms.local,
      operator: config.operator,
      relay,
      to: report.tell.to,
      from: report.tell.from,
      traceId: state.traceId,
      clock,
      log: log.child({ room: 'telemetry' }),
    },
    note,
  );
}

function reportBase(base: Ground, report: NonNullable<AgentConfig['report']>) {
  const { config, loaded, clock, random, log, version } = base;
  const password = (): string => loaded.secret(['report', 'password'], report.password);
  password(); // what cannot be read refuses the start
  return {
    config: report,
    password,
    folder: base.state.folder,
    origin: loaded.place(['report']),
    ...caOf(loaded, ['report'], report),
    tenant: config.tenant,
    agent: config.agent,
    version,
    clock,
    random,
    log: log.child({ room: 'telemetry' }),
  };
}

async function openLocal(base: Base, config: NonNullable<AgentConfig['local']>): Promise<RememberingLocal> {
  const { rememberSenders } = await import('./local/handed-over.ts');
  const { createLocal } = await import('./local/local.ts');
  const endpoint = endpointOf(base.loaded, ['local'], config);
  const local = createLocal({
    config,
    endpoint,
    name: hostname(),
    clock: base.clock,
    log: base.log.child({ room: 'local' }),
  });
  base.lifecycle.onStop('local', local.close);
  return rememberSenders(local);
}

async function openSend(base: Base, rooms: Rooms): Promise<void> {
  const { config, loaded, state } = base;
  const { submission, local } = config;
  if (submission === undefined) return;
  const { createSend } = await import('./send/send.ts');
  const login = submission.localLogin;
  const setup = await setUpSubmission({
    loaded,
    submission,
    localLogin: login && endpointOf(loaded, ['submission', 'localLogin'], login),
    stateFolder: state.folder,
    clock: base.clock,
    log: base.log.child({ room: 'send' }),
  });
  const send = createSend({
    ...setup,
    relays: await resolveRelays(base),
    local: rooms.local && rooms.trips ? takeProbes(rooms.local, rooms.trips) : rooms.local,
    ...(rooms.trips && { watch: watchOf(rooms.trips) }),
    isLocal: (address) => local !== undefined && isLocalAddress(local, address),
    operator: config.operator,
    ...(rooms.local && { handedOver: rooms.local.handedOver }),
    hostname: hostname(),
    folder: join(state.folder, 'spool'),
    ...roomBase(base, 'send'),
  });
  base.lifecycle.onStop('send', send.stop);
  await send.start();
  rooms.send = send;
}

async function resolveRelays(base: Ground): Promise<readonly RelaySetup[]> {
  const { loaded, clock } = base;
  const { openSecretSource } = await import('./accounts/source.ts');
  const { loginOf, resolveRelay } = await import('./send/relay/relay-options.ts');
  const log = base.log.child({ room: 'accounts' });
  return base.config.relays.map((relay, index) => {
    const path = ['relays', index];
    const { limits, ...place } = resolveRelay(relay);
    return {
      config: relay,
      endpoint: endpointOf(loaded, path, { ...relay, ...place }),
      secret: openSecretSource({ loaded, path, account: loginOf(relay), clock, log }),
      limits,
      origin: loaded.place(path),
    };
  });
}

async function openReceive(base: Base, rooms: Rooms): Promise<void> {
  const { config, loaded, state } = base;
  if (config.accounts.length === 0 || rooms.local === undefined) return;
  const local = rooms.trips === undefined ? rooms.local : takeProbes(rooms.local, rooms.trips);
  const { createReceive } = await import('./receive/receive.ts');
  const { createLoginMemory } = await import('./accounts/login-memory.ts');
  const { openSecretSource } = await import('./accounts/source.ts');
  const accounts = config.accounts.map((account, index) => {
    const path = ['accounts', index];
    const { host, port, tls, intervalSeconds, busySeconds, minIntervalSeconds } = resolveAccount(account);
    if (intervalSeconds > account.intervalSeconds)
      base.log.warn(
        { account: account.id, preset: account.preset, intervalSeconds },
        loaded.place([...path, 'intervalSeconds']) + ': the provider allows no shorter interval, so this one is used',
      );
    return {
      config: { ...account, intervalSeconds, busySeconds },
      endpoint: endpointOf(loaded, path, { ...account, host, port, tls }),
      ...(account.idle && { wake: endpointOf(loaded, [...path, 'idle'], account.idle) }),
      password: openSecretSource({
        loaded,
        path,
        account,
        clock: base.clock,
        log: base.log.child({ room: 'accounts' }),
      }),
      minIntervalSeconds,
      origin: loaded.place(path),
    };
  });
  const check = config.check && {
    config: config.check,
    ...(config.check.rspamd?.password && {
      password: loaded.secret(['check', 'rspamd', 'password'], config.check.rspamd.password),
    }),
    ...caOf(loaded, ['check', 'rspamd'], config.check.rspamd ?? {}),
  };
  const receive = createReceive({
    accounts,
    local,
    ...(check && { check }),
    folder: state.folder,
    sessions: config.local?.sessions ?? 1,
    adoption: readAdoption(state.db),
    logins: (account) => createLoginMemory({ db: state.db, account, now: base.clock.now, log: base.log }),
    ...roomBase(base, 'receive'),
  });
  const running = receive.run(base.lifecycle.signal);
  base.lifecycle.onStop('receive', () => running);
  rooms.receive = receive;
}

async function openProbe(base: Base, rooms: Rooms): Promise<void> {
  const { dnsbl } = base.config.probe ?? {};
  if (dnsbl === undefined) return;
  const { trips } = rooms;
  const { createProbe } = await import('./probe/probe.ts');
  const { meter, clock, random, log } = roomBase(base, 'probe');
  rooms.probe = createProbe({
    config: { dnsbl },
    key: (index, secret) => base.loaded.secret(['probe', 'dnsbl', 'zones', index, 'key'], secret),
    // The address of a line changes, and who has it next is none of ours; the relay sends from all of its own.
    ...(trips && { learned: () => ({ site: trips.sighting()?.site ?? [], relay: trips.addresses('relay') }) }),
    meter,
    clock,
    random,
    log,
  });
}

/** Flushes of a held agent for each word of one that is not. */
const heldWords = 12;

/**
 * Says that this agent is not held, at once and then rarely: a held copy of it says the opposite under the same name at each
 * flush, and must not be drowned out.
 */
function createFreeWord({ clock, config }: Ground): (meter: Meter) => void {
  const pauseMs = heldWords * (config.report?.flushSeconds ?? 0) * 1_000;
  let next = -Infinity;
  return (meter) => {
    if (clock.monotonic() < next) return;
    next = clock.monotonic() + pauseMs;
    meter.say('hold', {}, { held: 0, reason: '' });
  };
}

/** Gauges that no room says by itself, told before each flush. */
function sayGauges(rooms: Rooms, meter: Meter): void {
  const { receive, send } = rooms;
  if (receive !== undefined) {
    const { count, bytes, oldestSeconds } = receive.quarantine.summary();
    meter.say('quarantine', {}, { count, bytes, oldest_seconds: oldestSeconds });
  }
  if (send === undefined) return;
  for (const { reason, count } of send.refused()) meter.say('mail_refused', { reason }, { count });
  const { depth, oldestSeconds, held, unknown } = send.queue.summary();
  meter.say('queue', {}, { depth, oldest_seconds: oldestSeconds, held, unknown });
  for (const { budget, id, problem, sessions, standIn, up, waits } of send.relays()) {
    const { mails, recipients } = budget ?? {};
    meter.say(
      'relay',
      { relay: id },
      {
        up: up ? 1 : 0,
        problem: problem || waits,
        sessions,
        stood_in: standIn === undefined ? 0 : 1,
        ...(mails === undefined ? {} : { budget_mails: mails }),
        ...(recipients === undefined ? {} : { budget_recipients: recipients }),
        ...(budget === undefined ? {} : { budget_left: Math.min(mails ?? Infinity, recipients ?? Infinity) }),
      },
    );
  }
  for (const { relay, state, ...fields } of send.queue.states()) {
    const { bytes, mails, oldestSeconds } = fields;
    meter.say('queue_state', { relay, state }, { mails, bytes, oldest_seconds: oldestSeconds });
  }
}
