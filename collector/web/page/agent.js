// One agent: figures, charts, mailboxes, relay, block lists.

import { createChart } from './charts.js';
import { badge, el, serverNow, show, timeAgo } from './dom.js';
import { accountsTable, agentFacts, dnsblTable, relayTable } from './readings.js';
import { fetchData, ranges } from './series.js';
import { agentLooks, count, decimal, duration, plural } from './words.js';

const detailsEveryMs = 30_000;
const holdRemedy =
  'Decide which machine is to be used and run “mailferry adopt” there; stop the agent on every other one.';

/**
 * @param {import('./live.js').Picture} picture
 * @param {string} tenant
 * @param {string} id
 */
export function createAgentView(picture, tenant, id) {
  const key = tenant + '/' + id;
  const ended = new AbortController();
  const parts = {
    state: el('p', { class: 'summary' }),
    tiles: el('div', { class: 'tiles' }),
    hold: el('p', { class: 'notice warn', hidden: '' }),
    trouble: el('p', { class: 'notice warn', hidden: '' }),
    accounts: el('div', {}),
    relay: el('div', {}),
    dnsbl: el('div', {}),
    agent: el('div', {}),
  };
  const choice = el('nav', { class: 'ranges', 'aria-label': 'Time range of the charts' });
  const charts = createCharts();
  const known = el(
    'div',
    {},
    parts.hold,
    parts.tiles,
    parts.trouble,
    el('div', { class: 'top' }, el('h2', {}, 'Over time'), choice),
    el('div', { class: 'charts' }, ...charts.nodes),
    section('Mailboxes', parts.accounts),
    section('Relay', parts.relay),
    section('Block lists', parts.dnsbl),
    section('The agent itself', parts.agent),
  );
  const unknown = el('div', { class: 'empty', hidden: '' });
  const node = el(
    'section',
    {},
    el('nav', { class: 'crumbs', 'aria-label': 'You are here' }, el('a', { href: '#/' }, '← All agents')),
    el(
      'div',
      { class: 'top' },
      el('h1', { tabindex: '-1' }, el('span', { class: 'tenant' }, tenant + ' / '), id),
      parts.state,
    ),
    known,
    unknown,
  );
  let range = ranges[0];
  const details = createLoop(detailsEveryMs, ended.signal, loadDetails);
  const series = createLoop(10_000, ended.signal, loadSeries);

  async function loadDetails() {
    const answer = await fetch('/api/agents/' + encodeURIComponent(tenant) + '/' + encodeURIComponent(id), {
      signal: ended.signal,
    });
    if (!answer.ok) return;
    /** @type {import('./readings.js').Details} */
    const found = await answer.json();
    show(parts.accounts, found.accounts, () => [accountsTable(found.accounts)]);
    show(parts.relay, found.relay, () => [relayTable(found.relay)]);
    show(parts.dnsbl, found.dnsbl, () => [dnsblTable(found.dnsbl)]);
    show(parts.agent, [found.agent, found.version, found.quarantine], () => [agentFacts(found)]);
  }

  async function loadSeries() {
    const wanted = range;
    if (wanted === undefined || !picture.agents.has(key)) return;
    try {
      const data = await fetchData(tenant, id, wanted, serverNow(), ended.signal);
      if (wanted !== range) return;
      charts.set(data, wanted);
      parts.trouble.hidden = true;
    } catch (error) {
      if (ended.signal.aborted) return;
      parts.trouble.hidden = false;
      parts.trouble.textContent =
        'The charts are not up to date: ' + (error instanceof Error ? error.message : String(error));
    }
  }

  /** @param {ReadonlySet<string>} [changed] */
  function update(changed) {
    const item = picture.agents.get(key);
    known.hidden = item === undefined;
    unknown.hidden = item !== undefined;
    if (item === undefined) {
      show(unknown, picture.complete, () => [
        picture.complete
          ? el('p', {}, 'No agent ' + key + ' has ever reported to this collector. The address may be mistyped.')
          : el('p', {}, 'Asking the collector…'),
      ]);
      return;
    }
    show(parts.state, [item.state, item.lastSeenAt], () => [
      badge(agentLooks[item.state]),
      el('span', { class: 'muted' }, 'last heard ', timeAgo(item.lastSeenAt)),
    ]);
    parts.hold.hidden = item.hold === '';
    show(parts.hold, item.hold, () => ['No mail moves here: ' + item.hold + '. ' + holdRemedy]);
    show(parts.tiles, [item.recent, item.mailIn, item.mailOut, item.queue, item.held], () => tiles(item));
    if (changed === undefined || changed.has(key)) details.soon();
    series.start();
  }

  return {
    node,
    title: key,
    agent: key,
    update,
    /** @param {string} wanted id of a range */
    setRange(wanted) {
      range = ranges.find((one) => one.id === wanted) ?? ranges[0];
      show(choice, range?.id, () =>
        ranges.map((one) =>
          el(
            'a',
            { href: '#/agent/' + key + '?range=' + one.id, 'aria-current': one === range ? 'true' : undefined },
            one.name,
          ),
        ),
      );
      series.every(range?.everyMs ?? 10_000);
    },
    close() {
      ended.abort();
      charts.close();
    },
  };
}

/** @param {string} title @param {HTMLElement} body */
function section(title, body) {
  return el('section', { class: 'part' }, el('h2', {}, title), body);
}

/** @param {import('./live.js').AgentItem} item */
function tiles(item) {
  const { recent, queue } = item;
  /** @param {readonly number[] | undefined} values */
  const day = (values) => (values === undefined ? '…' : count(values.reduce((sum, value) => sum + value, 0)));
  /** @param {number} total @param {number} bad @param {string} word */
  const since = (total, bad, word) => [
    el('span', {}, count(total) + ' in all'),
    bad > 0 ? el('span', { class: 'bad' }, count(bad) + ' ' + word) : null,
  ];
  const delay = recent?.delaySeconds ?? null;
  return [
    tile('Mail in, 24 h', day(recent?.mailIn), since(item.mailIn.count, recent?.quarantined ?? 0, 'quarantined')),
    tile('Mail out, 24 h', day(recent?.mailOut), since(item.mailOut.count, recent?.failed ?? 0, 'failed')),
    tile('Delivery delay, 24 h', delay === null ? '–' : duration(delay), [
      delay === null ? 'no mail told its delay' : 'mean, provider to mailbox',
    ]),
    tile('Queue', queue.count === 0 ? 'empty' : plural(queue.count, 'mail'), [
      queue.count === 0 ? 'nothing waits to be sent' : 'oldest ' + duration(queue.oldestSeconds),
      item.held > 0 ? el('span', { class: 'warn' }, count(item.held) + ' held for a person') : null,
    ]),
  ];
}

/** @param {string} title @param {string} value @param {readonly import('./dom.js').Child[]} notes */
function tile(title, value, notes) {
  return el(
    'div',
    { class: 'tile' },
    el('h3', {}, title),
    el('p', { class: 'figure' }, value),
    el('p', { class: 'muted notes' }, ...notes),
  );
}

function createCharts() {
  const flow = createChart({
    title: 'Mail per minute',
    lines: [
      { label: 'in, upwards', colour: 'in', kind: 'bars' },
      { label: 'out, downwards', colour: 'out', kind: 'bars', mirrored: true },
    ],
    format: decimal,
    least: 0.1,
    empty: 'No mail moved in this time.',
  });
  const delay = createChart({
    title: 'Delivery delay',
    lines: [
      { label: 'mean', colour: 'in', kind: 'line' },
      { label: 'slowest mail', colour: 'slow', kind: 'line', dash: [5, 4] },
    ],
    format: duration,
    least: 1,
    steps: [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400, 604_800],
    empty: 'No mail told its delay in this time.',
  });
  const queue = createChart({
    title: 'Queue depth',
    lines: [{ label: 'mails', colour: 'out', kind: 'steps' }],
    format: count,
    least: 3,
    steps: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 50_000, 100_000],
    empty: 'The agent said nothing of its queue in this time.',
  });
  const all = [flow, delay, queue];
  return {
    nodes: all.map((chart) => chart.node),
    /** @param {import('./series.js').Data} data @param {import('./series.js').Range} range */
    set(data, range) {
      const minutes = range.step / 60;
      /** @param {readonly number[]} values */
      const total = (values) => count(values.reduce((sum, value) => sum + value, 0));
      /** @param {readonly (number | null)[]} values */
      const peak = (values) => Math.max(0, ...values.map((value) => value ?? 0));
      flow.set(
        data.times,
        [data.mailIn.map((value) => value / minutes), data.mailOut.map((value) => value / minutes)],
        total(data.mailIn) + ' in, ' + total(data.mailOut) + ' out in the last ' + range.words,
      );
      const slowest = peak(data.delayMax);
      delay.set(data.times, [data.delayMean, data.delayMax], slowest === 0 ? '' : 'slowest mail ' + duration(slowest));
      const deepest = peak(data.depth);
      const oldest = deepest === 0 ? '' : ', oldest waited ' + duration(peak(data.oldest));
      queue.set(data.times, [data.depth], 'at most ' + plural(deepest, 'mail') + oldest);
    },
    close() {
      for (const chart of all) chart.close();
    },
  };
}

/**
 * Does the work again and again, one at a time; `soon` asks for it earlier, though not more often than every two seconds.
 * @param {number} firstEveryMs
 * @param {AbortSignal} signal
 * @param {() => Promise<void>} work
 */
function createLoop(firstEveryMs, signal, work) {
  let everyMs = firstEveryMs;
  let busy = false;
  let again = false;
  let lastAt = -Infinity;
  let started = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  async function run() {
    clearTimeout(timer);
    if (signal.aborted) return;
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    again = false;
    lastAt = performance.now();
    try {
      if (!document.hidden) await work();
    } catch {
      // The line at the top says whether the collector answers; the next turn tries again.
    }
    busy = false;
    if (!signal.aborted) timer = setTimeout(() => void run(), again ? pauseMs() : everyMs);
  }
  const pauseMs = () => Math.max(0, lastAt + 2_000 - performance.now());
  document.addEventListener('visibilitychange', () => void (started && !document.hidden && run()), { signal });

  return {
    start() {
      if (started) return;
      started = true;
      void run();
    },
    soon() {
      started = true;
      again ||= busy;
      if (busy) return;
      clearTimeout(timer);
      timer = setTimeout(() => void run(), pauseMs());
    },
    /** @param {number} ms */
    every(ms) {
      everyMs = ms;
      if (started) void run();
    },
  };
}
