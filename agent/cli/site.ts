// What the commands share that ask no agent: where the configuration is, and how they end.
import type { Command } from 'commander';
import type { Clock } from '#shared/clock.ts';

export type ExitCode = 0 | 1 | 2 | 3;
export type Terminal = {
  readonly out: (text: string) => void;
  readonly error: (text: string) => void;
  /** Where relative paths and agent.yaml are looked for. */
  readonly folder: string;
  /** Wall clock, milliseconds since 1970. */
  readonly now: () => number;
  /** All of standard input. */
  readonly readInput?: () => Promise<string>;
  /** Waits of `login` and `doctor`; the system's when absent. */
  readonly clock?: Clock;
  /** A person sits there and can be asked. */
  readonly isInteractive?: boolean;
};

export type SiteCommands = {
  readonly terminal: Terminal;
  /** Gives a command the terminal of the program. */
  readonly prepare: (command: Command) => Command;
  /** Whole path, whether it is there or not. */
  readonly configFile: () => string;
  /** Of the agent, when --socket names one. */
  readonly socket: () => string | undefined;
  readonly finish: (code: ExitCode) => void;
};
