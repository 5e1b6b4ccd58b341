// What an agent last said of its parts, as tables in plain words.

import { badge, el, timeAgo } from './dom.js';
import { bytes, count, dnsblLooks, duration, plural } from './words.js';

/**
 * @typedef {{ account: string, up: boolean, problem: string, backlog: number, kept: number, roundSeconds: number, error: string, wake: boolean | null,
 *   mailbox: { mails: number | null, bytes: number | null },
 *   parts: { connectSeconds: number | null, tlsSeconds: number | null, loginSeconds: number | null, listSeconds: number | null, firstByteSeconds: number | null },
 *   at: string | null }} Account
 * @typedef {{ relay: string, up: boolean, problem: string, stoodIn: boolean,
 *   left: { mails: number | null, recipients: number | null }, at: string | null }} Relay
 * @typedef {{ target: string, zone: string, state: string, reason: string, at: string | null }} Listing
 * @typedef {{ tenant: string, id: string, state: string, lastSeenAt: string | null, version: string, hold: string,
 *   quarantine: null | { count: number, bytes: number, oldestSeconds: number, at: string | null },
 *   queue: { count: number, oldestSeconds: number, held: number, unknown: number, at: string | null },
 *   accounts: Account[], relay: Relay[], dnsbl: Listing[],
 *   agent: null | { uptimeSeconds: number, rssBytes: number, outboxBatches: number, outboxBytes: number,
 *     outboxOldestSeconds: number, outboxDropped: number, at: string | null } }} Details
 */

const up = /** @type {const} */ ({ word: 'works', tone: 'good', icon: 'check', meaning: '' });
const down = /** @type {const} */ ({ word: 'fails', tone: 'bad', icon: 'cross', meaning: '' });

/** @param {readonly Account[]} accounts */
export function accountsTable(accounts) {
  if (accounts.length === 0) return nothing('No mailbox has been fetched yet, or none is configured.');
  return table(
    [
      ['main', 'Mailbox'],
      ['state', 'State'],
      ['number', 'Waiting at the provider'],
      ['number', 'Kept there'],
      ['when', 'Last round'],
    ],
    accounts.map((account) => [
      el('strong', {}, account.account),
      withReason(
        badge(account.up ? up : down),
        account.up ? noteOf(account) : account.problem || 'The last round failed.',
      ),
      number(account.backlog),
      el('span', { title: mailboxOf(account) }, number(account.kept)),
      el(
        'span',
        { title: partsOf(account) },
        timeAgo(account.at),
        el('span', { class: 'muted' }, ', took ' + duration(account.roundSeconds)),
      ),
    ]),
  );
}

/** @param {Account} account */
function noteOf({ wake }) {
  return wake === false ? 'New mail does not wake it; it is looked for at its interval.' : '';
}

/** @param {Account} account */
function mailboxOf({ mailbox }) {
  if (mailbox.mails === null) return undefined;
  return (
    'In the mailbox: ' + plural(mailbox.mails, 'mail') + (mailbox.bytes === null ? '' : ', ' + bytes(mailbox.bytes))
  );
}

/** Where the time of the last round went. @param {Account} account */
function partsOf({ parts }) {
  const named = [
    ['connect', parts.connectSeconds],
    ['TLS', parts.tlsSeconds],
    ['login', parts.loginSeconds],
    ['list', parts.listSeconds],
    ['first byte', parts.firstByteSeconds],
  ];
  const known = named.flatMap(([name, seconds]) =>
    typeof seconds === 'number' ? [name + ' ' + milliseconds(seconds)] : [],
  );
  return known.length === 0 ? undefined : known.join(', ');
}

/** @param {number} seconds */
function milliseconds(seconds) {
  return seconds < 1 ? Math.round(seconds * 1_000) + ' ms' : duration(seconds);
}

/** @param {readonly Relay[]} relays */
export function relayTable(relays) {
  if (relays.length === 0) return nothing('No relay has been used yet, or none is configured.');
  return table(
    [
      ['main', 'Relay'],
      ['state', 'State'],
      ['main', 'Left of its limits'],
      ['when', 'Reported'],
    ],
    relays.map((relay) => [
      el('strong', {}, relay.relay),
      withReason(badge(relay.up ? up : down), stateOf(relay)),
      el('span', {}, leftOf(relay)),
      timeAgo(relay.at),
    ]),
  );
}

/** A relay that works may have a problem all the same: its limits are used up. @param {Relay} relay */
function stateOf({ problem, stoodIn, up }) {
  const why = problem === '' && !up ? 'The last session failed.' : problem;
  return [why, stoodIn ? 'Another relay sends in its place.' : ''].filter((part) => part !== '').join(' ');
}

/** @param {Relay} relay */
function leftOf({ left }) {
  const known = [
    ...(left.mails === null ? [] : [plural(left.mails, 'mail')]),
    ...(left.recipients === null ? [] : [plural(left.recipients, 'recipient')]),
  ];
  return known.length === 0 ? 'no limit known' : known.join(', ');
}

const order = ['listed', 'error', 'zone-unhealthy', 'refused', 'clean'];

/** @param {readonly Listing[]} listings */
export function dnsblTable(listings) {
  if (listings.length === 0) return nothing('No block list has been asked yet, or none is configured.');
  const sorted = [...listings].sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state));
  return table(
    [
      ['main', 'Address or domain'],
      ['sub', 'Block list'],
      ['state', 'State'],
      ['when', 'Asked'],
    ],
    sorted.map((one) => {
      const look = dnsblLooks[one.state];
      return [
        el('strong', {}, one.target),
        one.zone,
        withReason(badge(look), one.state === 'clean' ? '' : one.reason || (look?.meaning ?? '')),
        timeAgo(one.at),
      ];
    }),
  );
}

/** @param {Details} details */
export function agentFacts(details) {
  const { agent } = details;
  if (agent === null) return nothing('The agent has said nothing of itself yet.');
  const waiting =
    agent.outboxBatches === 0
      ? 'none'
      : plural(agent.outboxBatches, 'batch', 'batches') +
        ', ' +
        bytes(agent.outboxBytes) +
        ', oldest ' +
        duration(agent.outboxOldestSeconds);
  const { quarantine } = details;
  const aside =
    quarantine === null || quarantine.count === 0
      ? 'empty'
      : plural(quarantine.count, 'mail') +
        ', ' +
        bytes(quarantine.bytes) +
        ', oldest ' +
        duration(quarantine.oldestSeconds);
  const facts = [
    ['Version', details.version || 'not told'],
    ['Running for', duration(agent.uptimeSeconds)],
    ['Memory', bytes(agent.rssBytes)],
    ['Quarantine', aside],
    ['Reports not yet delivered', waiting],
    [
      'Measurements dropped',
      agent.outboxDropped === 0 ? 'none' : count(agent.outboxDropped) + ' (its outbox was full)',
    ],
  ];
  return el(
    'dl',
    { class: 'facts' },
    ...facts.map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value))),
  );
}

/** @param {HTMLElement} mark @param {string} reason */
function withReason(mark, reason) {
  return reason === '' ? mark : el('span', {}, mark, el('span', { class: 'reason' }, reason));
}

/** @param {number} value */
function number(value) {
  return el('span', { class: value === 0 ? 'muted' : '' }, count(value));
}

/** @param {string} words */
function nothing(words) {
  return el('p', { class: 'muted nothing' }, words);
}

/**
 * On a phone each row is a small card that the kinds of the columns arrange; the roles keep it a table for a screen reader.
 * @param {readonly (readonly [kind: 'main' | 'sub' | 'state' | 'number' | 'when', title: string])[]} columns
 * @param {readonly (readonly (Node | string)[])[]} rows
 */
function table(columns, rows) {
  const heads = columns.map(([kind, title]) => el('th', { role: 'columnheader', scope: 'col', class: kind }, title));
  const lines = rows.map((cells) =>
    el(
      'tr',
      { role: 'row' },
      ...cells.map((content, index) => {
        const [kind, title] = columns[index] ?? ['sub', ''];
        return el('td', { role: 'cell', class: kind, 'data-label': title }, content);
      }),
    ),
  );
  return el(
    'table',
    { role: 'table' },
    el('thead', { role: 'rowgroup' }, el('tr', { role: 'row' }, ...heads)),
    el('tbody', { role: 'rowgroup' }, ...lines),
  );
}
