// Composition root of the agent: state, identity, rooms, control, and their end.
import { join } from 'node:path';
import { neverCrash } from '#shared/checkpoint.ts';
import type { Reached } from '#shared/checkpoint.ts';
import { systemClock } from '#shared/clock.ts';
import type { Clock } from '#shared/clock.ts';
import type { Loaded } from '#shared/config.ts';
import { UserError } from '#shared/failure.ts';
import { createLifecycle } from '#shared/lifecycle.ts';
import type { Lifecycle } from '#shared/lifecycle.ts';
import type { Log } from '#shared/log.ts';
import { checkNow } from './check-command.ts';
import type { AgentConfig } from './config.ts';
import { createHold } from './hold.ts';
import type { Hold } from './hold.ts';
import { createIdentity, readMarks } from './identity.ts';
import type { Identity } from './identity.ts';
import type { LogLine } from './page/work.ts';
import { createKnownState } from './known-state.ts';
import { createReloading } from './reloading.ts';
import type { Reloaded } from './reloading.ts';
import { followRemote } from './remote-setup.ts';
import type { FollowedRemote } from './remote-setup.ts';
import { closeRooms, openHeld, openRooms } from './rooms.ts';
import type { Ground, Reopen, Rooms } from './rooms.ts';
import { countQueued, openState } from './state.ts';
import { forgetStopReason } from './stop-reason.ts';

export type AgentOptions = {
  readonly loaded: Loaded<AgentConfig>;
  readonly log: Log;
  readonly version: string;
  readonly clock?: Clock;
  /** Even chance in [0, 1). */
  readonly random?: () => number;
  /** Fault tests end the process here. */
  readonly reached?: Reached;
  /** Of the page: the last lines of the log, the newest first. */
  readonly logLines?: () => readonly LogLine[];
};

export type Agent = {
  /**
   * Resolves when every room runs; a room's network trouble does not stop the start. Waits for a state folder that was there
   * before; resolves then too when it is stopped. Throws UserError on wrong options.
   */
  readonly start: () => Promise<void>;
  /** Reads the configuration again; see reloading.ts. Throws UserError when it cannot be used, or when nothing runs. */
  readonly reload: () => Promise<Reloaded>;
  /** Idempotent, bounded. */
  readonly stop: () => Promise<void>;
};

/** One step closes all rooms, each of which has its own limit. */
const stepMs = 20_000;

export function createAgent(options: AgentOptions): Agent {
  const { loaded, log } = options;
  const clock = options.clock ?? systemClock;
  const startedAt = clock.monotonic();
  const lifecycle = createLifecycle({ log, stepTimeoutMs: stepMs });
  let reload = (): Promise<Reloaded> =>
    Promise.reject(new UserError('Cannot read the configuration again: the agent has not started yet'));

  async function start(): Promise<void> {
    const folder = loaded.path(loaded.value.state);
    const known = createKnownState({ configFile: loaded.file, folder, clock, log });
    await known.wait(lifecycle.signal);
    if (lifecycle.signal.aborted) return;
    const state = openState(folder);
    lifecycle.onStop('state', state.close);
    known.remember();
    forgetStopReason(folder);
    const rooms: Rooms = {};
    const ground: Omit<Ground, 'lifecycle' | 'remote'> = {
      loaded,
      config: loaded.value,
      clock,
      random: options.random ?? Math.random,
      log,
      reached: options.reached ?? neverCrash,
      state,
      version: options.version,
      onDoubt: (reason) => hold.doubt(reason),
    };
    const followed = followRemote(ground, (reply) => rooms.telemetry?.reply(reply));
    const identity = createIdentity({
      db: state.db,
      marks: readMarks(state.folder),
      now: clock.now,
      queued: () => countQueued(state.db),
    });
    let reopen: Reopen | undefined;
    const baseOf = (inside: Lifecycle): Ground => {
      const now = reloading.current();
      followed.take(now.value);
      const remote = followed.current();
      return { ...ground, loaded: now, config: now.value, lifecycle: inside, ...(remote && { remote }) };
    };
    const hold = createHold({
      identity,
      log,
      async openRooms(inside) {
        const base = baseOf(inside);
        reopen = await openRooms(base, rooms);
        keepAlive(base, identity);
      },
      openHeld: (inside, reason) => openHeld(baseOf(inside), rooms, reason),
      onClosed() {
        reopen = undefined;
        closeRooms(rooms);
      },
    });
    const reloading = createReloading({ loaded, hold, reopen: () => reopen, log });
    reload = reloading.reload;
    lifecycle.onStop('rooms', hold.stop);
    await hold.open();
    const { logLines = () => [] } = options;
    await openControl(
      { ...ground, lifecycle },
      { version: options.version, startedAt, rooms, hold, reload, logLines, remote: followed },
    );
    const { tenant, agent } = loaded.value;
    log.info({ tenant, agent, version: options.version }, 'agent started');
  }

  return {
    async start() {
      try {
        await start();
      } catch (error) {
        await lifecycle.stop();
        throw error;
      }
    },
    reload: () => reload(),
    stop: () => lifecycle.stop(),
  };
}

/** Notes once a day that this state is in use (rule of safety 4). */
function keepAlive(base: Ground, identity: Identity): void {
  const { clock, lifecycle } = base;
  const run = async (): Promise<void> => {
    while (!lifecycle.signal.aborted) {
      identity.alive();
      await clock.sleep(3_600_000, lifecycle.signal);
    }
  };
  const running = run();
  lifecycle.onStop('alive', () => running);
}

async function openControl(
  base: Ground,
  info: {
    readonly version: string;
    readonly startedAt: number;
    readonly rooms: Rooms;
    readonly hold: Hold;
    readonly reload: () => Promise<Reloaded>;
    readonly logLines: () => readonly LogLine[];
    readonly remote: FollowedRemote;
  },
): Promise<void> {
  const { rooms } = info;
  const { createControl } = await import('./control/control.ts');
  const { createCommands } = await import('./control/commands.ts');
  const { config, clock } = base;
  const commands = createCommands({
    status: () => ({
      tenant: config.tenant,
      agent: config.agent,
      version: info.version,
      hold: info.hold.reason(),
      uptimeSeconds: Math.floor((clock.monotonic() - info.startedAt) / 1_000),
      accounts: rooms.receive?.status() ?? [],
      relays: rooms.send?.relays() ?? [],
      submission: rooms.send?.submission() ?? null,
      queue: rooms.send?.queue.summary() ?? null,
      dnsbl: rooms.probe?.results() ?? [],
      report: rooms.telemetry?.health() ?? null,
      proposed: info.remote.current()?.work.changes.list().length ?? 0,
      local: rooms.local === undefined ? null : { problem: rooms.local.problem() ?? '' },
      quarantine: rooms.receive?.quarantine.summary() ?? null,
      scanners: rooms.receive?.scanners() ?? [],
    }),
    queueList: () => rooms.send?.queue.list() ?? [],
    queueShow: (id) => rooms.send?.queue.show(id),
    queue: () => rooms.send?.desk(),
    check: (what, now) => checkNow(rooms, what, now, base.lifecycle.signal),
    fetch: async (account) => (await rooms.receive?.fetchNow(account)) ?? [],
    quarantine: () => rooms.receive?.quarantine,
    confirm: async (account, answer) => (await rooms.receive?.confirm(account, answer)) ?? [],
    adopt: info.hold.adopt,
    changes: () => info.remote.current()?.work,
    reload: info.reload,
  });
  info.remote.open(commands);
  const control = createControl({
    path: join(base.state.folder, 'agent.sock'),
    commands,
    log: base.log.child({ room: 'control' }),
  });
  base.lifecycle.onStop('control', control.stop);
  await control.start();
  if (config.page === undefined) return;
  const { openPage } = await import('./page-setup.ts');
  await openPage({ base, page: config.page, commands, logLines: info.logLines });
}
