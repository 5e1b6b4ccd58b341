// The agent's answers about mails and accounts, read for showing. What is missing (an older agent) is shown as nothing;
// only what has no id at all is not shown.
import { Type } from 'typebox';
import { Check } from 'typebox/value';
import { agentStatusSchema } from '../control/agent-status.ts';
import type { AgentStatus } from '../control/agent-status.ts';

export type Recipient = {
  readonly address: string;
  readonly state: string;
  readonly attempts: number;
  /** Wall clock, milliseconds since 1970; 0 when there will be no try. */
  readonly nextAt: number;
  readonly lastReply: string;
};
export type Mail = {
  readonly id: string;
  readonly sender: string;
  readonly acceptedAt: number;
  readonly sizeBytes: number;
  readonly state: string;
  readonly problem: string;
  readonly recipients: readonly Recipient[];
};

export function readMail(value: unknown): Mail | undefined {
  if (!isRecord(value) || typeof value['id'] !== 'string') return undefined;
  const recipients = listOf(value['recipients']).map(readRecipient);
  const states = [...new Set(recipients.map((recipient) => recipient.state))];
  return {
    id: value['id'],
    sender: textOf(value['sender']),
    acceptedAt: numberOf(value['acceptedAt']),
    sizeBytes: numberOf(value['sizeBytes']),
    state: textOf(value['state']) || states.join(', '),
    problem: textOf(value['problem']),
    recipients,
  };
}

export function readMails(value: unknown): { readonly total: number; readonly entries: readonly Mail[] } | undefined {
  if (!isRecord(value) || !Array.isArray(value['entries'])) return undefined;
  const entries = listOf(value['entries']).flatMap((entry) => readMail(entry) ?? []);
  return { total: numberOf(value['total']), entries };
}

const fetchedSchema = Type.Object({ accounts: agentStatusSchema.properties.accounts });

export function readFetched(value: unknown): { readonly accounts: AgentStatus['accounts'] } | undefined {
  return Check(fetchedSchema, value) ? value : undefined;
}

/** What the agent says a person should look at. */
export function readTroubles(value: unknown): readonly string[] {
  return isRecord(value) ? listOf(value['troubles']).map(textOf) : [];
}

function readRecipient(value: unknown): Recipient {
  const record = isRecord(value) ? value : {};
  return {
    address: textOf(record['address']),
    state: textOf(record['state']),
    attempts: numberOf(record['attempts']),
    nextAt: numberOf(record['nextAt']),
    lastReply: textOf(record['lastReply']),
  };
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
function numberOf(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}
function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
