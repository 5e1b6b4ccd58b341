// The fleet: one row an agent, those that need a person first.

import { badge, el, icon, show, svg, timeAgo } from './dom.js';
import { agentLooks, count, dnsblLooks, duration, plural, rank } from './words.js';

/** @typedef {import('./live.js').AgentItem} AgentItem */

const columns = [
  ['agent', 'Agent'],
  ['state', 'State'],
  ['in', 'Mail in, 24 h'],
  ['out', 'Mail out, 24 h'],
  ['delay', 'Delay'],
  ['queue', 'Queue'],
  ['lists', 'Block lists'],
];

/** @param {import('./live.js').Picture} picture */
export function createFleetView(picture) {
  const summary = el('p', { class: 'summary' });
  const search = el('input', {
    type: 'search',
    id: 'search',
    placeholder: 'Find an agent',
    'aria-label': 'Find an agent',
  });
  const head = el(
    'div',
    { role: 'row', class: 'row head' },
    ...columns.map(([key, title]) => el('span', { role: 'columnheader', class: key ?? '' }, title)),
  );
  const body = el('div', { role: 'rowgroup', class: 'rows' });
  const table = el(
    'div',
    { role: 'table', class: 'fleet', 'aria-label': 'Agents' },
    el('div', { role: 'rowgroup' }, head),
    body,
  );
  const empty = el('div', { class: 'empty' });
  const node = el(
    'section',
    {},
    el('div', { class: 'top' }, el('h1', { tabindex: '-1' }, 'Agents'), summary, search),
    table,
    empty,
  );
  /** @type {Map<string, ReturnType<typeof createRow>>} */
  const rows = new Map();
  search.addEventListener('input', () => update());

  function update() {
    const items = [...picture.agents.values()];
    const wanted = search.value.trim().toLowerCase();
    const visible = items.filter((item) => (item.tenant + '/' + item.id).includes(wanted)).sort(inOrder);
    showSummary(summary, items);
    search.hidden = items.length < 2;
    table.hidden = visible.length === 0;
    showEmpty(empty, picture, items.length, visible.length, search.value);
    for (const item of visible) {
      const key = item.tenant + '/' + item.id;
      const row = rows.get(key) ?? createRow(item);
      rows.set(key, row);
      row.update(item);
    }
    arrange(
      body,
      visible.map((item) => rows.get(item.tenant + '/' + item.id)?.node),
    );
  }

  return { node, update, title: 'Agents', close: () => {} };
}

/** Moves only what must move; a moved element loses its focus and gets it back.
 * @param {HTMLElement} body
 * @param {readonly (HTMLElement | undefined)[]} nodes */
function arrange(body, nodes) {
  const wanted = new Set(nodes);
  for (const child of Array.from(body.children)) if (!wanted.has(/** @type {HTMLElement} */ (child))) child.remove();
  const focused = document.activeElement;
  let next = body.firstElementChild;
  for (const node of nodes) {
    if (node === undefined) continue;
    if (node === next) next = next.nextElementSibling;
    else body.insertBefore(node, next);
  }
  if (focused instanceof HTMLElement && body.contains(focused)) focused.focus({ preventScroll: true });
}

/** @param {AgentItem} a @param {AgentItem} b */
function inOrder(a, b) {
  return rank(a) - rank(b) || a.tenant.localeCompare(b.tenant) || a.id.localeCompare(b.id);
}

/** @param {HTMLElement} node @param {readonly AgentItem[]} items */
function showSummary(node, items) {
  const states = ['online', 'stale', 'offline'].map((state) => items.filter((item) => item.state === state).length);
  const queued = items.reduce((sum, item) => sum + item.queue.count, 0);
  show(node, [states, queued], () => {
    if (items.length === 0) return [];
    const badges = ['online', 'stale', 'offline'].flatMap((state, index) => {
      const number = states[index] ?? 0;
      return number === 0 ? [] : [badge(agentLooks[state], count(number) + ' ' + state)];
    });
    return [
      ...badges,
      el('span', { class: 'muted' }, queued === 0 ? 'nothing queued' : plural(queued, 'mail') + ' queued'),
    ];
  });
}

/**
 * @param {HTMLElement} node
 * @param {import('./live.js').Picture} picture
 * @param {number} known
 * @param {number} visible
 * @param {string} wanted
 */
function showEmpty(node, picture, known, visible, wanted) {
  node.hidden = visible > 0;
  show(node, [picture.complete, known, wanted, visible], () => {
    if (!picture.complete) return [el('p', {}, 'Asking the collector…')];
    if (known > 0) return [el('p', {}, 'No agent has a name with “' + wanted.trim() + '” in it.')];
    return [
      el('h2', {}, 'No agent has reported yet'),
      el('p', {}, 'An agent shows up here by itself, a few seconds after it is started on its NAS.'),
      el(
        'ol',
        {},
        el(
          'li',
          {},
          'Give the agent an account at the broker: option ',
          el('code', {}, 'broker.agents'),
          ' of the collector.',
        ),
        el(
          'li',
          {},
          'Put the broker’s address into option ',
          el('code', {}, 'report.url'),
          ' of the agent, and start it.',
        ),
        el('li', {}, 'Nothing after a minute? The log of the agent says why it cannot connect.'),
      ),
    ];
  });
}

/** @param {AgentItem} first */
function createRow(first) {
  const href = '#/agent/' + encodeURIComponent(first.tenant) + '/' + encodeURIComponent(first.id);
  const name = el('a', { href, class: 'name' }, first.id);
  const cells = Object.fromEntries(columns.slice(1).map(([key, title]) => [key, cell(key ?? '', title ?? '')]));
  const problems = el('ul', { class: 'problems' });
  const agent = el('div', { role: 'rowheader', class: 'agent' }, name, el('span', { class: 'tenant' }, first.tenant));
  const node = el('div', { role: 'row', class: 'row' }, agent, ...Object.values(cells), problems);

  /** @param {AgentItem} item */
  function update(item) {
    const { recent } = item;
    fill(cells['state'], [item.state, item.lastSeenAt], () => [
      badge(agentLooks[item.state]),
      el('span', { class: 'muted' }, timeAgo(item.lastSeenAt)),
    ]);
    fill(cells['in'], [recent?.mailIn, item.mailIn], () => flow(recent?.mailIn, item.mailIn.count, 'in'));
    fill(cells['out'], [recent?.mailOut, item.mailOut], () => flow(recent?.mailOut, item.mailOut.count, 'out'));
    fill(cells['delay'], recent?.delaySeconds ?? null, () => [
      recent === null || recent.delaySeconds === null
        ? el('span', { class: 'muted', title: 'No mail of the last 24 hours told its delay.' }, '–')
        : el(
            'span',
            { class: 'big', title: 'Mean of the last 24 hours, from the provider to the mailbox' },
            duration(recent.delaySeconds),
          ),
    ]);
    fill(cells['queue'], [item.queue, item.held], () => queueWords(item));
    fill(cells['lists'], item.dnsbl, () => listWords(item));
    const words = problemWords(item);
    problems.hidden = words.length === 0;
    node.classList.toggle('loud', rank(item) === 0);
    show(problems, words, () => words.map((text) => el('li', {}, icon('cross'), el('span', {}, text))));
  }
  return { node, update };
}

/** @param {string} key @param {string} title */
function cell(key, title) {
  const value = el('div', { class: 'value' });
  const label = el('span', { class: 'label', 'aria-hidden': 'true' }, title);
  return el('div', { role: 'cell', class: key }, label, value);
}

/** @param {HTMLElement | undefined} node @param {unknown} facts @param {() => readonly import('./dom.js').Child[]} build */
function fill(node, facts, build) {
  const value = node?.lastElementChild;
  if (value) show(value, facts, build);
}

/** @param {readonly number[] | undefined} perStep @param {number} total @param {string} kind */
function flow(perStep, total, kind) {
  const title = count(total) + ' since the agent is known';
  if (perStep === undefined) return [el('span', { class: 'muted', title }, '…')];
  const sum = perStep.reduce((all, value) => all + value, 0);
  return [el('span', { class: 'big', title }, count(sum)), sparkline(perStep, kind)];
}

/** Bars of half hours. @param {readonly number[]} values @param {string} kind */
function sparkline(values, kind) {
  const peak = Math.max(1, ...values);
  const bars = values.flatMap((value, index) => {
    const height = value === 0 ? 0 : Math.max(1.5, (value / peak) * 20);
    return height === 0
      ? []
      : [svg('rect', { x: String(index * 2), y: String(21 - height), width: '1.5', height: String(height) })];
  });
  const ground = svg('rect', { x: '0', y: '21', width: String(values.length * 2), height: '1', class: 'ground' });
  const size = { viewBox: '0 0 ' + values.length * 2 + ' 22', width: '96', height: '22', preserveAspectRatio: 'none' };
  return svg('svg', { class: 'spark ' + kind, 'aria-hidden': 'true', ...size }, ground, ...bars);
}

/** @param {AgentItem} item */
function queueWords(item) {
  const { queue, held } = item;
  if (queue.count === 0 && held === 0) return [el('span', { class: 'muted' }, 'empty')];
  const old = queue.oldestSeconds > 900;
  return [
    el('span', { class: 'big' }, count(queue.count)),
    el('span', { class: old ? 'bad' : 'muted' }, 'oldest ' + duration(queue.oldestSeconds)),
    held > 0 ? el('span', { class: 'warn' }, count(held) + ' held') : null,
  ];
}

/** @param {AgentItem} item */
function listWords(item) {
  const states = /** @type {const} */ (['listed', 'refused', 'error', 'zone-unhealthy', 'clean']);
  const badges = states.flatMap((state) => {
    const number = item.dnsbl[state];
    return number === 0 ? [] : [badge(dnsblLooks[state], count(number) + ' ' + (dnsblLooks[state]?.word ?? state))];
  });
  return badges.length === 0 ? [el('span', { class: 'muted' }, 'not checked')] : badges;
}

/** @param {AgentItem} item */
function problemWords(item) {
  const { failing } = item;
  const accounts = failing.accounts.map(
    ({ account, problem }) => 'Mailbox ' + account + ' cannot be fetched' + (problem === '' ? '.' : ': ' + problem),
  );
  const more = failing.count - failing.accounts.length;
  return [
    ...(item.hold === '' ? [] : ['No mail moves here: ' + item.hold + '.']),
    ...accounts,
    ...(more > 0 ? ['And ' + plural(more, 'more mailbox', 'more mailboxes') + '.'] : []),
    ...failing.relays.map(
      ({ relay, problem }) => 'Relay ' + relay + ' does not take mail' + (problem === '' ? '.' : ': ' + problem),
    ),
    ...(item.held > 0 ? [plural(item.held, 'outgoing mail waits', 'outgoing mails wait') + ' for a person.'] : []),
    ...(item.quarantine > 0
      ? [plural(item.quarantine, 'fetched mail is', 'fetched mails are') + ' in quarantine.']
      : []),
  ];
}
