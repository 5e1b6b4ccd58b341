// What the collector knows of one agent, as the page, the API and the alerts see it.
import type { Point } from '#shared/meter.ts';

export type AgentState = 'online' | 'stale' | 'offline';

export type AgentView = {
  readonly tenant: string;
  readonly id: string;
  readonly state: AgentState;
  /** Wall clock of the collector at the last message of the agent, milliseconds since 1970; 0 when never. */
  readonly lastSeenAt: number;
  /** Monotonic milliseconds since the last message, or since the collector started when there was none in this run. */
  readonly silentMs: number;
  /** Its machine was switched off as planned, and has not been heard since. */
  readonly plannedOff?: boolean;
  readonly version: string;
  /** By how much its clock was ahead of ours when it connected, where that is too much; behind when negative. */
  readonly clockAheadMs?: number;
  /** Mails since the agent is known, summed from mail_in (delivered) and mail_out (sent); survives restarts. */
  readonly mailIn: { readonly count: number };
  readonly mailOut: { readonly count: number };
  readonly queue: { readonly count: number; readonly oldestSeconds: number };
  /** Last point of every gauge series of the agent. */
  readonly readings: readonly Point[];
};
