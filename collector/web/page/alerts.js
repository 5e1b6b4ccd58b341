// Active alerts and the collector's own troubles, on top of everything.

import { badge, el, show, timeAgo } from './dom.js';
import { plural, severityLooks } from './words.js';

const shownAtOnce = 4;
const order = ['critical', 'warning', 'info'];

/**
 * @param {HTMLElement} node
 * @param {import('./live.js').Picture} picture
 * @param {string | undefined} agent TENANT/AGENT: its own alerts first
 * @param {{ all: boolean }} choice
 */
export function showNotices(node, picture, agent, choice) {
  const alerts = [...picture.alerts].sort(
    (a, b) =>
      Number(b.agent === agent) - Number(a.agent === agent) || order.indexOf(a.severity) - order.indexOf(b.severity),
  );
  const facts = [alerts, picture.problems, picture.alertCount, agent, choice.all];
  show(node, facts, () => {
    const visible = choice.all ? alerts : alerts.slice(0, shownAtOnce);
    const hidden = picture.alertCount - visible.length;
    return [
      ...picture.problems.map(({ part, problem }) =>
        notice('bad', badge(severityLooks['critical']), 'The collector itself is not well: ' + part, problem, null),
      ),
      ...visible.map(alertNotice),
      alerts.length > shownAtOnce ? toggle(hidden, choice, () => showNotices(node, picture, agent, choice)) : null,
    ];
  });
}

/** @param {import('./live.js').AlertItem} alert */
function alertNotice(alert) {
  const look = severityLooks[alert.severity];
  const title = alert.agent === null ? alert.title : el('a', { href: '#/agent/' + alert.agent }, alert.title);
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
