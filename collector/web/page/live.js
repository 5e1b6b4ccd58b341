// The live feed: what is known, and whether it is fresh. Connects again by itself, sooner when the page is looked at.

import { setServerTime } from './dom.js';

/**
 * @typedef {{ tenant: string, id: string, state: string, lastSeenAt: string | null, mailIn: { count: number },
 *   mailOut: { count: number }, queue: { count: number, oldestSeconds: number }, accounts: number, held: number,
 *   hold: string, quarantine: number,
 *   failing: { count: number, accounts: { account: string, problem: string }[], relays: { relay: string, problem: string }[] },
 *   dnsbl: Record<'clean' | 'listed' | 'refused' | 'error' | 'zone-unhealthy', number>,
 *   recent: null | { from: number, stepSeconds: number, mailIn: number[], mailOut: number[], quarantined: number,
 *     failed: number, delaySeconds: number | null } }} AgentItem
 * @typedef {{ id: string, tenant: string, agent: string, severity: string, title: string, since: string | null, text: string }} AlertItem
 * @typedef {{ connection: 'connecting' | 'live' | 'lost', lostAt: number, complete: boolean, agents: Map<string, AgentItem>,
 *   alerts: AlertItem[], alertCount: number, problems: { part: string, problem: string }[] }} Picture
 */

const silenceMs = 40_000;

/**
 * @param {(changed: ReadonlySet<string>) => void} onChange keys of the agents that changed, TENANT/AGENT
 * @returns {Picture}
 */
export function connectLive(onChange) {
  /** @type {Picture} */
  const picture = {
    connection: 'connecting',
    lostAt: 0,
    complete: false,
    agents: new Map(),
    alerts: [],
    alertCount: 0,
    problems: [],
  };
  /** @type {WebSocket | undefined} */
  let socket;
  let tries = 0;
  let heardAt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  function connect() {
    clearTimeout(timer);
    const mine = new WebSocket((location.protocol === 'https:' ? 'wss://' : 'ws://') + location.host + '/live');
    socket = mine;
    heardAt = Date.now();
    mine.addEventListener('message', (event) => {
      if (socket !== mine) return;
      heardAt = Date.now();
      receive(JSON.parse(String(event.data)));
    });
    mine.addEventListener('close', () => {
      if (socket === mine) lose();
    });
  }

  function lose() {
    socket?.close();
    socket = undefined;
    if (picture.connection !== 'lost') picture.lostAt = Date.now();
    picture.connection = 'lost';
    onChange(new Set());
    const waitMs = Math.min(15_000, 500 * 2 ** tries) * (0.5 + Math.random() / 2);
    tries += 1;
    timer = setTimeout(() => void retry(), waitMs);
  }

  /** An ordinary request first: it lets the browser log in again, which a WebSocket cannot. */
  async function retry() {
    try {
      await fetch('/api/alerts', { signal: AbortSignal.timeout(10_000) });
    } catch {
      // the socket will tell
    }
    connect();
  }

  /** @param {any} message from our own collector */
  function receive(message) {
    setServerTime(Date.parse(message.at));
    /** @type {Set<string>} */
    const changed = new Set();
    if (message.type === 'overview') {
      picture.alerts = message.alerts;
      picture.alertCount = message.alertCount;
      picture.problems = message.problems;
    } else if (message.type === 'agents') {
      if (message.first) picture.agents.clear();
      for (const item of message.items) {
        picture.agents.set(item.tenant + '/' + item.id, item);
        changed.add(item.tenant + '/' + item.id);
      }
      if (!message.more) {
        picture.complete = true;
        picture.connection = 'live';
        tries = 0;
      }
      if (message.more && !picture.complete) return;
    } else {
      return;
    }
    onChange(changed);
  }

  function hurry() {
    if (picture.connection !== 'lost' || socket !== undefined || document.hidden) return;
    tries = 0;
    clearTimeout(timer);
    void retry();
  }

  setInterval(() => {
    if (socket !== undefined && Date.now() - heardAt > silenceMs) lose();
  }, 5_000);
  window.addEventListener('online', hurry);
  document.addEventListener('visibilitychange', hurry);
  connect();
  return picture;
}
