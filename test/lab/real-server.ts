// A real server of the lab that can be stopped and started again on the same port with the same files.
import type { Child } from './child.ts';

export type RealServer = {
  /** Does nothing when it runs. */
  readonly start: () => Promise<void>;
  /** TERM, then KILL. Does nothing when it does not run. */
  readonly stop: () => Promise<void>;
  /** KILL at once: what a crash of the server would leave. */
  readonly crash: () => Promise<void>;
  /** Everything it wrote since the first start. */
  readonly log: () => string;
  /** Process id of the running server. Throws when it does not run. */
  readonly pid: () => number;
};

export function createRealServer(options: {
  readonly name: string;
  readonly launch: () => Promise<Child>;
  readonly readLog: () => string;
}): RealServer {
  let running: Child | undefined;
  const end = async (graceMs?: number): Promise<void> => {
    const child = running;
    running = undefined;
    await child?.stop(graceMs);
  };
  return {
    start: async () => {
      if (running !== undefined && running.exit() === undefined) return;
      running = await options.launch();
    },
    stop: () => end(),
    crash: () => {
      running?.kill('SIGKILL');
      return end(0);
    },
    log: options.readLog,
    pid: () => {
      if (running === undefined) throw new Error('Cannot tell the process of ' + options.name + ': it does not run');
      return running.pid;
    },
  };
}
