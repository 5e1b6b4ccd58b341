// The page: the address decides what is shown, the live feed keeps it fresh.

import { createAgentView } from './agent.js';
import { showNotices } from './alerts.js';
import { ageTimes, el, icon, show } from './dom.js';
import { createFleetView } from './fleet.js';
import { connectLive } from './live.js';
import { duration } from './words.js';

/** @param {string} id */
const byId = (id) => document.getElementById(id) ?? document.body;
const main = byId('view');
const choice = { all: false };

const picture = connectLive((changed) => update(changed));
/** @type {{ node: HTMLElement, title: string, agent?: string, update: (changed?: ReadonlySet<string>) => void, setRange?: (id: string) => void, close: () => void }} */
let view = createFleetView(picture);
let path = '';

/** `#/` or `#/agent/TENANT/ID?range=24h`. */
function route() {
  const [wanted = '', query = ''] = location.hash.slice(1).split('?');
  const parts = /^\/agent\/([^/]+)\/([^/]+)$/.exec(wanted);
  if (wanted !== path || main.firstElementChild !== view.node) {
    const isFirst = main.firstElementChild === null || main.firstElementChild.tagName === 'NOSCRIPT';
    view.close();
    path = wanted;
    view = parts === null ? createFleetView(picture) : createAgentView(picture, decode(parts[1]), decode(parts[2]));
    main.replaceChildren(view.node);
    window.scrollTo(0, 0);
    // After a click on a link the reader is told where it led.
    if (!isFirst) view.node.querySelector('h1')?.focus({ preventScroll: true });
  }
  view.setRange?.(new URLSearchParams(query).get('range') ?? '');
  update();
}

/** @param {string | undefined} part */
function decode(part) {
  try {
    return decodeURIComponent(part ?? '');
  } catch {
    return part ?? '';
  }
}

/** @param {ReadonlySet<string>} [changed] keys of the agents with news; without it everything is new */
function update(changed) {
  showConnection();
  const alerts = picture.alertCount === 0 ? '' : '(' + picture.alertCount + ') ';
  document.title = alerts + view.title + ' · mailferry';
  showNotices(byId('notices'), picture, view.agent, choice);
  view.update(changed);
}

function showConnection() {
  const { connection } = picture;
  document.documentElement.classList.toggle('lost', connection === 'lost');
  const forSeconds = connection === 'lost' ? Math.floor((Date.now() - picture.lostAt) / 1_000) : 0;
  show(byId('connection'), connection, () => {
    if (connection === 'live') return [el('span', { class: 'badge good' }, icon('dot'), 'live')];
    if (connection === 'connecting') return [el('span', { class: 'badge idle' }, icon('half'), 'connecting…')];
    return [el('span', { class: 'badge bad' }, icon('ring'), 'reconnecting…')];
  });
  // Apart from the state, which is read out: a count of seconds must not be.
  const age = forSeconds < 2 ? '' : 'what you see is ' + duration(forSeconds) + ' old';
  show(byId('age'), age, () => [age]);
}

window.addEventListener('hashchange', route);
setInterval(() => {
  ageTimes();
  showConnection();
}, 1_000);
route();
