// What the page is handed: it asks the agent through the table of commands, as the command line does, and changes the
// configuration through the one writer.
import type { CommandTable } from '../control/commands.ts';
import type { Settings } from '../settings.ts';
import type { Frame } from './layout.ts';
import type { PageRequest } from './request.ts';
import type { Session } from './sessions.ts';
import type { Reader } from './words.ts';

/** What one look at a server found; `expected` and `remedy` are empty when all is well. */
export type Trial = {
  readonly level: 'ok' | 'note' | 'warning' | 'error';
  readonly found: string;
  readonly expected: string;
  readonly remedy: string;
};
export type TryOut = (options: {
  readonly kind: 'mailbox' | 'relay' | 'local' | 'submission';
  /** Options as they would stand in the configuration, not checked yet. */
  readonly entry: Readonly<Record<string, unknown>>;
  /** place: whether such a server answers there; login: with a login. */
  readonly stage: 'place' | 'login';
  /** Absent: the stored one. */
  readonly password?: string;
}) => Promise<Trial>;

/** Resolves with the refresh token; throws LoginError or UserError. Ends with the agent. */
export type DeviceLogin = (options: {
  readonly kind: 'mailbox' | 'relay';
  readonly entry: Readonly<Record<string, unknown>>;
  /** Where a person goes, and what they type there. */
  readonly show: (prompt: { readonly url: string; readonly code: string }) => void;
}) => Promise<string>;
export type DeviceJob = {
  state: 'waiting' | 'done' | 'failed';
  problem: string;
  prompt: { readonly url: string; readonly code: string } | undefined;
  readonly home: string;
};

export type LogLine = { readonly at: number; readonly level: string; readonly text: string };

export type PageWork = {
  readonly commands: CommandTable;
  readonly settings: Settings;
  /** Bounded in time; never throws for what a server does. */
  readonly tryOut: TryOut;
  readonly deviceLogin: DeviceLogin;
  /** Those that are under way, and whose end nobody has seen yet. */
  readonly devices: Map<string, DeviceJob>;
  /** An error that is no person's doing, for the log. */
  readonly failed: (error: unknown) => void;
  /** Runs the command line in this process, with the configuration of this agent: what it has and the table has not. */
  readonly commandLine: (args: readonly string[]) => Promise<{ readonly code: number; readonly out: string }>;
  /** The newest first. */
  readonly logLines: () => readonly LogLine[];
  readonly usersFile: string;
  readonly stateFolder: string;
  readonly changePassword: (old: string, fresh: string, address: string) => Promise<void>;
  readonly endOtherSessions: (kept: Session) => void;
  /** Of the certificate that browsers see. */
  readonly fingerprint: () => string;
  readonly version: string;
};

/** One request of somebody who is logged in. */
export type Visit = Frame & { readonly request: PageRequest; readonly reader: Reader };
