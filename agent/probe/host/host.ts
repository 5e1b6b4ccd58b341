// The machine that the agent runs on: disk, load, memory, clock, and whether the local mail server answers. What cannot be read
// is left out; a reading never stops the agent.
import { readFile, statfs } from 'node:fs/promises';
import { availableParallelism, freemem, loadavg } from 'node:os';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Clock } from '#shared/clock.ts';
import type { Meter } from '#shared/meter.ts';

export type HostOptions = {
  /** On the disk that matters: the state folder. */
  readonly folder: string;
  readonly everyMs: number;
  readonly clock: Clock;
  readonly meter: Meter;
  /** Why the local mail server is out of reach, undefined when well; absent when none is configured. */
  readonly local?: () => string | undefined;
  readonly skewSeconds: () => number | undefined;
};

/** Finer would wake an idle machine more often than all the rest of the agent. */
const resolutionMs = 200;
/** Timers are late by so much at any time. */
const toleratedJumpMs = 1_000;

export async function watchHost(options: HostOptions, signal: AbortSignal): Promise<void> {
  const { clock, everyMs } = options;
  const delays = monitorEventLoopDelay({ resolution: resolutionMs });
  delays.enable();
  try {
    let before = { now: clock.now(), monotonic: clock.monotonic() };
    await clock.sleep(Math.min(everyMs, 5_000), signal);
    while (!signal.aborted) {
      const here = { now: clock.now(), monotonic: clock.monotonic() };
      const jumpMs = here.now - before.now - (here.monotonic - before.monotonic);
      before = here;
      // The histogram holds the whole distance between two ticks, of which the resolution is no delay.
      const delayMs = Math.max(0, delays.max / 1e6 - resolutionMs);
      delays.reset();
      await sayHost(options, { jumpMs: Math.abs(jumpMs) > toleratedJumpMs ? jumpMs : 0, delayMs });
      await clock.sleep(everyMs, signal);
    }
  } finally {
    delays.disable();
  }
}

async function sayHost(
  options: HostOptions,
  { delayMs, jumpMs }: { readonly delayMs: number; readonly jumpMs: number },
): Promise<void> {
  const { folder, local, meter, skewSeconds } = options;
  const disk = await statfs(folder).catch(() => undefined);
  const skew = skewSeconds();
  const [load = NaN] = loadavg();
  meter.say(
    'host',
    {},
    {
      ...(disk && {
        disk_free_bytes: disk.bavail * disk.bsize,
        disk_free_share: disk.blocks === 0 ? 0 : disk.bavail / disk.blocks,
      }),
      load: load / availableParallelism(),
      memory_free_bytes: await readFreeMemory(),
      heap_bytes: process.memoryUsage().heapUsed,
      event_loop_delay_seconds: delayMs / 1_000,
      clock_jump_seconds: jumpMs / 1_000,
      ...(skew === undefined ? {} : { clock_skew_seconds: skew, clock_off_seconds: Math.abs(skew) }),
      ...(local === undefined ? {} : { local_up: local() === undefined ? 1 : 0 }),
    },
  );
}

/** Free memory alone is always nearly none: Linux keeps files in it that it can let go. */
async function readFreeMemory(): Promise<number> {
  const text = await readFile('/proc/meminfo', 'latin1').catch(() => '');
  const kilobytes = /^MemAvailable:\s+(\d+) kB$/m.exec(text)?.[1];
  return kilobytes === undefined ? freemem() : Number(kilobytes) * 1_024;
}
