// What a person reads: short, aligned, without colours. Takes what the agent answered, checked against the schema.
import { Check } from 'typebox/value';
import {
  adoptedSchema,
  agentStatusSchema,
  fetchedSchema,
  queueEntrySchema,
  queueListSchema,
  reloadedSchema,
} from '../control/answers.ts';
import { droppedSchema, heldListSchema, heldMailSchema, releasedSchema } from '../control/answers.ts';
import { checkedSchema, flushedSchema, queueChangeSchema } from '../control/answers.ts';
import type { AgentStatus, Reloaded } from '../control/answers.ts';
import type { CommandName } from '../control/commands.ts';
import { auditSchema, changeListSchema, decidedSchema, keySchema } from '../control/change-commands.ts';
import { renderAudit, renderChanges } from './render-change.ts';
import { renderChecked } from './render-check.ts';
import { renderDropped, renderHeld, renderQuarantine, renderReleased } from './render-quarantine.ts';
import { renderMail, renderQueue } from './render-queue.ts';
import { renderChange, renderFlushed } from './render-queue-change.ts';
import { alignColumns, clean, count, showDuration, showSize, showTime } from './table.ts';

/** Undefined when the answer does not have the shape that this version knows. */
export function renderAnswer(command: CommandName, value: unknown, now: number): readonly string[] | undefined {
  switch (command) {
    case 'status':
      return Check(agentStatusSchema, value) ? renderStatus(value, now) : undefined;
    case 'check':
      return Check(checkedSchema, value) ? renderChecked(value) : undefined;
    case 'queue list':
      return Check(queueListSchema, value) ? renderQueue(value, now) : undefined;
    case 'queue show':
      return Check(queueEntrySchema, value) ? renderMail(value, now) : undefined;
    case 'adopt':
      return Check(adoptedSchema, value) ? [renderAdopted(value.was)] : undefined;
    case 'reload':
      return Check(reloadedSchema, value) ? renderReloaded(value) : undefined;
    case 'queue hold':
    case 'queue release':
    case 'queue retry':
    case 'queue drop':
      return Check(queueChangeSchema, value) ? renderChange(command, value) : undefined;
    case 'queue flush':
      return Check(flushedSchema, value) ? renderFlushed(value) : undefined;
    case 'confirm':
    case 'fetch':
      return Check(fetchedSchema, value) ? renderAccounts(value.accounts, now) : undefined;
    case 'quarantine list':
      return Check(heldListSchema, value) ? renderQuarantine(value, now) : undefined;
    case 'quarantine show':
      return Check(heldMailSchema, value) ? renderHeld(value, now) : undefined;
    case 'quarantine release':
      return Check(releasedSchema, value) ? renderReleased(value) : undefined;
    case 'change list':
      return Check(changeListSchema, value) ? renderChanges(value, now) : undefined;
    case 'change accept':
      return Check(decidedSchema, value) ? ['The configuration is ' + clean(value.text ?? 'written') + '.'] : undefined;
    case 'change reject':
      return Check(decidedSchema, value) ? ['Rejected; the collector is told.'] : undefined;
    case 'key':
      return Check(keySchema, value) ? [clean(value.publicKey), 'fingerprint ' + clean(value.fingerprint)] : undefined;
    case 'audit':
      return Check(auditSchema, value) ? renderAudit(value, now) : undefined;
    case 'quarantine drop':
      return Check(droppedSchema, value) ? renderDropped(value) : undefined;
  }
}

function renderReloaded({ changes, reopened }: Reloaded): readonly string[] {
  if (changes.length === 0) return ['Nothing has changed.'];
  const what = reopened.includes('all')
    ? 'all rooms were'
    : reopened.join(' and ') + (reopened.length > 1 ? ' were' : ' was');
  return [...changes, ...(reopened.length === 0 ? [] : ['Taken up: ' + what + ' opened anew.'])];
}

function renderStatus(status: AgentStatus, now: number): readonly string[] {
  const { relays, queue, local, report } = status;
  const head =
    status.tenant + '/' + status.agent + '  version ' + status.version + ', up ' + showDuration(status.uptimeSeconds);
  const facts: (readonly [string, string])[] = [];
  if (local !== null) facts.push(['local', local.problem === '' ? 'ok' : local.problem]);
  const { quarantine = null, scanners = [] } = status;
  if (quarantine !== null && quarantine.count > 0) facts.push(['quarantine', showQuarantine(quarantine)]);
  for (const { name, problem } of scanners) facts.push(['check by ' + name, problem === '' ? 'ok' : problem]);
  for (const relay of relays) facts.push(['relay ' + relay.id, showRelay(relay)]);
  const { submission = null } = status;
  if (submission !== null) facts.push(['submission', showSubmission(submission)]);
  if (queue !== null) facts.push(['queue', showQueue(queue)]);
  if (report !== null) facts.push(['report', showReport(report)]);
  return [
    clean(head),
    ...section('', alignColumns(facts)),
    ...section('', renderAccounts(status.accounts, now)),
    ...section('', renderBlockLists(status.dnsbl, now)),
  ];
}

function showRelay({ budget, problem, standIn, up, waits = '' }: AgentStatus['relays'][number]): string {
  const { mails, recipients } = budget ?? {};
  const left = [
    ...(mails === undefined ? [] : [mails + ' mails']),
    ...(recipients === undefined ? [] : [recipients + ' recipients']),
  ];
  return [
    stateOf(up, problem),
    ...(waits === '' ? [] : [waits]),
    ...(left.length === 0 ? [] : ['left of its limits: ' + left.join(', ')]),
    ...(standIn === undefined ? [] : [standIn + ' sends in its place']),
  ].join('; ');
}

function renderAdopted(was: string): string {
  return was === '' ? 'Nothing was held.' : 'Adopted; mail moves from now on. It was held because ' + was + '.';
}

/** A mailbox that is well may have something to tell. */
function noteOf({ hint = '', wake = '' }: AgentStatus['accounts'][number]): string {
  const wakeNote = wake === '' || wake === 'ok' ? '' : 'no wake: ' + wake;
  return [hint, wakeNote]
    .filter((text) => text !== '')
    .map((text) => ', ' + text)
    .join('');
}

function section(title: string, lines: readonly string[]): readonly string[] {
  if (lines.length === 0) return [];
  return title === '' ? ['', ...lines] : ['', title, ...lines];
}

function stateOf(up: boolean, problem: string): string {
  if (problem !== '') return problem;
  return up ? 'ok' : 'not tried yet';
}

function showSubmission(submission: NonNullable<AgentStatus['submission']>): string {
  const { host, port, implicitPort, certificate } = submission;
  const ports = host + ':' + port + (implicitPort === undefined ? '' : ' and ' + implicitPort + ' (TLS)');
  if (certificate === undefined) return ports + ', without TLS';
  const until = new Date(certificate.validUntil).toISOString().slice(0, 10);
  return ports + ', certificate until ' + until + ', SHA-256 ' + certificate.fingerprint;
}

function showQueue(queue: NonNullable<AgentStatus['queue']>): string {
  if (queue.depth === 0 && queue.held === 0) return 'empty';
  const parts = [count(queue.depth, 'mail'), 'oldest ' + showDuration(queue.oldestSeconds)];
  if (queue.held > 0) parts.push(queue.held + ' held');
  if (queue.unknown > 0) parts.push(queue.unknown + ' without a known outcome');
  return parts.join(', ');
}

function showQuarantine(quarantine: NonNullable<AgentStatus['quarantine']>): string {
  const { bytes, oldestSeconds } = quarantine;
  return count(quarantine.count, 'mail') + ' (' + showSize(bytes) + ', oldest ' + showDuration(oldestSeconds) + ')';
}

function showReport(report: NonNullable<AgentStatus['report']>): string {
  const parts = [report.connected ? 'connected' : 'not connected'];
  if (report.batches > 0)
    parts.push(
      count(report.batches, 'batch', 'batches') +
        ' wait (' +
        showSize(report.bytes) +
        ', oldest ' +
        showDuration(report.oldestSeconds) +
        ')',
    );
  if (report.dropped > 0) parts.push(count(report.dropped, 'point') + ' dropped, the outbox was full');
  return parts.join(', ');
}

function renderAccounts(accounts: AgentStatus['accounts'], now: number): readonly string[] {
  if (accounts.length === 0) return [];
  const rows = accounts.map((account) => [
    account.id,
    String(account.backlog),
    String(account.kept),
    showTime(account.lastRoundAt, now),
    account.paused ? ('paused ' + account.problem).trim() : stateOf(account.up, account.problem) + noteOf(account),
  ]);
  return alignColumns([['MAILBOX', 'WAITING', 'KEPT', 'LAST ROUND', 'STATE'], ...rows], [1, 2]);
}

function renderBlockLists(results: AgentStatus['dnsbl'], now: number): readonly string[] {
  if (results.length === 0) return [];
  const rows = results.map((result) => [
    result.target,
    result.zone,
    showTime(result.checkedAt, now),
    result.state + (result.reason === '' ? '' : ': ' + result.reason),
  ]);
  return alignColumns([['ADDRESS OR DOMAIN', 'BLOCK LIST', 'CHECKED', 'STATE'], ...rows]);
}
