// Active alerts and the collector's own troubles, on top of everything.

import { badge, el, show, timeAgo } from './dom.js';
import { plural, severityLooks } from './words.js';

const shownAtOnce = 4;
/** @param {import('./live.js').AlertItem} alert */
const keyOf = (alert) => alert.tenant + '/' + alert.agent;
const order = ['critical', 'warning', 'info'];

/**
 * @param {HTMLElement} node
 * @param {import('./live.js').Picture} picture
 * @param {string | undefined} agent TENANT/AGENT: its own alerts first
 * @param {{ all: boolean }} choice
 */
export function showNotices(node, picture, agent, choice) {
  const sorted = [...picture.alerts].sort((a, b) => order.indexOf(a.severity) - order.indexOf(b.severity));
  const alerts = agent === undefined ? sorted : sorted.filter((alert) => keyOf(alert) === agent);
  const elsewhere = agent === undefined ? 0 : picture.alertCount - alerts.length;
  show(node, [alerts, picture.problems, picture.alertCount, elsewhere, choice.all], () => {
    const visible = choice.all ? alerts : alerts.slice(0, shownAtOnce);
    const total = agent === undefined ? picture.alertCount : alerts.length;
    const again = () => showNotices(node, picture, agent, choice);
    return [
      ...picture.problems.map(({ part, problem }) =>
        notice('bad', badge(severityLooks['critical']), 'The collector itself is not well: ' + part, problem, null),
      ),
      ...visible.map(alertNotice),
      alerts.length > shownAtOnce ? toggle(total - visible.length, choice, again) : null,
      elsewhere > 0
        ? el('p', { class: 'elsewhere' }, el('a', { href: '#/' }, plural(elsewhere, 'alert') + ' elsewhere'))
        : null,
    ];
  });
}

/** @param {import('./live.js').AlertItem} alert */
function alertNotice(alert) {
  const look = severityLooks[alert.severity];
  const title = el(
    'a',
    { href: '#/agent/' + encodeURIComponent(alert.tenant) + '/' + encodeURIComponent(alert.agent) },
    alert.title,
  );
  return notice(look?.tone ?? 'warn', badge(look), title, alert.text, alert.since);
}

/**
 * @param {string} tone
 * @param {HTMLElement} mark
 * @param {string | HTMLElement} title
 * @param {string} text
 * @param {string | null} since
 */
function notice(tone, mark, title, text, since) {
  const when = since === null ? null : el('span', { class: 'muted when' }, 'since ', timeAgo(since));
  const body = text === '' ? null : el('p', { class: 'text' }, text);
  return el('article', { class: 'notice ' + tone }, el('h2', {}, mark, ' ', title), when, body);
}

/**
 * @param {number} hidden
 * @param {{ all: boolean }} choice
 * @param {() => void} again
 */
function toggle(hidden, choice, again) {
  const words = choice.all ? 'Show fewer alerts' : 'Show ' + plural(hidden, 'more alert');
  const button = el('button', { type: 'button', class: 'quiet' }, words);
  button.addEventListener('click', () => {
    choice.all = !choice.all;
    again();
    const next = document.querySelector('#notices button');
    if (next instanceof HTMLElement) next.focus();
  });
  return button;
}
