// The files of the page. In the program itself: the agent is one file on the NAS.

export const icon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><rect width="64" height="64" rx="14" fill="#0b5c8a"/><path d="M12 20h40v18H12z" fill="#fff"/><path d="M12 20l20 12 20-12" fill="none" stroke="#0b5c8a" stroke-width="3"/><path d="M8 44c6 5 10 5 16 0s10-5 16 0 10 5 16 0v8H8z" fill="#7fd0f0"/></svg>`;

export const css = `:root {
  --text: #1c2733; --muted: #556270; --line: #d5dce3; --back: #f2f5f8; --surface: #fff; --accent: #0b5c8a;
  --ok: #1a7242; --warning: #8a5600; --error: #b3261e; --warnback: #fff4dc; --okback: #e4f5ea; --errback: #fdeceb;
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; color: var(--text); background: var(--back);
}
@media (prefers-color-scheme: dark) {
  :root { --text: #e6ebf0; --muted: #a3b0bd; --line: #3a4550; --back: #14191f; --surface: #1d242c; --accent: #7cc4ee;
    --ok: #71cf97; --warning: #f0bd62; --error: #ff9d95; --warnback: #3a2d10; --okback: #12301f; --errback: #3f1a18; }
}
* { box-sizing: border-box; }
body { margin: 0; overflow-wrap: anywhere; }
header { display: flex; flex-wrap: wrap; align-items: center; gap: 8px 16px; padding: 10px 20px 0; background: var(--surface); border-bottom: 1px solid var(--line); }
.brand { display: flex; align-items: center; gap: 10px; margin-right: auto; color: inherit; font-weight: 700; text-decoration: none; }
.brand small { color: var(--muted); font-weight: 400; }
nav { display: flex; flex-wrap: wrap; width: 100%; gap: 0 4px; }
nav a { padding: 8px 12px; color: var(--text); text-decoration: none; border-bottom: 3px solid transparent; }
nav a[aria-current] { border-color: var(--accent); font-weight: 650; }
nav a:hover { border-color: var(--line); }
main { max-width: 1060px; margin: 0 auto; padding: 16px 20px 40px; }
main.narrow { max-width: 420px; }
footer { padding: 0 20px 30px; text-align: center; }
h1 { font-size: 1.5rem; margin: 12px 0 16px; } h2 { font-size: 1.12rem; margin: 28px 0 10px; }
a { color: var(--accent); } p { max-width: 46em; }
.skip { position: absolute; left: -999px; } .skip:focus { left: 8px; top: 8px; background: var(--surface); padding: 8px; z-index: 1; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.card, table, dl, .form { background: var(--surface); border: 1px solid var(--line); border-radius: 10px; }
.card { padding: 6px 18px 16px; margin: 14px 0; } .card.error { border-left: 6px solid var(--error); } .card.warning { border-left: 6px solid var(--warning); }
table { width: 100%; border-collapse: separate; border-spacing: 0; overflow: hidden; }
th, td { min-width: 4.5em; padding: 9px 14px; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
tbody tr:last-child td { border-bottom: 0; } th { color: var(--muted); font-size: .85rem; font-weight: 600; }
dl { margin: 0; padding: 4px 16px; } dl > div { display: grid; grid-template-columns: minmax(7em, 13em) minmax(0, 1fr); gap: 2px 14px; padding: 7px 0; border-bottom: 1px solid var(--line); }
dl > div:last-child { border: 0; } dt { color: var(--muted); } dd { margin: 0; }
.light { display: inline-flex; gap: 8px; align-items: baseline; } .light::before { content: ""; flex: none; width: 10px; height: 10px; border-radius: 50%; background: var(--muted); }
.light.ok::before { background: var(--ok); } .light.warning::before { background: var(--warning); border-radius: 2px; } .light.error::before { background: var(--error); border-radius: 2px; transform: rotate(45deg); }
.light.error { color: var(--error); }
.notice { padding: 10px 14px; border-radius: 8px; max-width: none; } .notice.ok { background: var(--okback); } .notice.warning { background: var(--warnback); } .notice.error { background: var(--errback); }
ul.troubles { margin: 8px 0; padding-left: 20px; }
button, .button { font: inherit; padding: 8px 16px; border: 1px solid var(--accent); border-radius: 8px; background: var(--surface); color: var(--accent); cursor: pointer; text-decoration: none; display: inline-block; }
button.main, .button.main { background: var(--accent); color: var(--surface); font-weight: 650; } button.plain { border-color: transparent; } button.danger { border-color: var(--error); color: var(--error); }
form.inline { display: inline-block; margin: 2px 6px 2px 0; } .row { display: flex; flex-wrap: wrap; gap: 10px; align-items: center; margin: 16px 0; }
.form { padding: 6px 20px 18px; margin-top: 14px; } fieldset { border: 0; margin: 18px 0 0; padding: 0; min-width: 0; } legend { font-weight: 650; padding: 0; font-size: 1.05rem; }
.field { margin: 14px 0 0; } .field > label, .field > .label { display: block; font-weight: 600; } .field .hint { color: var(--muted); font-size: .9rem; margin: 2px 0 4px; max-width: 46em; }
.field > label.choice, .choice { display: block; margin: 4px 0; font-weight: 400; } .choice input { margin-right: 8px; width: 1.1em; height: 1.1em; vertical-align: -0.15em; }
input:not([type=radio], [type=checkbox]), select, textarea { font: inherit; width: 100%; max-width: 28em; padding: 8px 10px; color: inherit; background: var(--back); border: 1px solid var(--muted); border-radius: 7px; }
input[type=number], input[type=date] { max-width: 11em; } textarea { min-height: 4.5em; }
[aria-invalid=true] { border-color: var(--error) !important; border-width: 2px !important; }
.said { margin: 4px 0 0; font-size: .92rem; min-height: 0; } .said.error { color: var(--error); } .said.ok { color: var(--ok); } .said.warning { color: var(--warning); } .said.busy { color: var(--muted); }
.said.ok::before, .said.error::before, .said.warning::before, .said.busy::before { content: "\\25cf  "; } .said.ok::before { content: "\\2713  "; } .said.error::before { content: "\\2715  "; }
details { margin: 16px 0; } summary { cursor: pointer; color: var(--accent); } details.danger summary { color: var(--error); }
pre { white-space: pre-wrap; background: var(--surface); border: 1px solid var(--line); border-radius: 10px; padding: 14px; font-size: .88rem; overflow-x: auto; }
code, .mono { font-family: ui-monospace, Consolas, monospace; } .secret { font-size: 1.2rem; user-select: all; }
.log td { font-size: .9rem; } th, td a, .light, button, .log td:first-child { overflow-wrap: normal; } .log td:first-child, .log .light { white-space: nowrap; } .muted { color: var(--muted); }
@media (max-width: 700px) {
  header { padding: 10px 14px 0; } main { padding: 12px 14px 40px; } nav { flex-wrap: nowrap; overflow-x: auto; } nav a { white-space: nowrap; }
  thead { position: absolute; left: -9999px; } table, tbody, tr, td { display: block; width: 100%; } tr { padding: 8px 0; border-bottom: 1px solid var(--line); } tbody tr:last-child { border: 0; }
  td { min-width: 0; border: 0; padding: 4px 14px; display: grid; grid-template-columns: 8.5em 1fr; gap: 10px; } td::before { content: attr(data-label); color: var(--muted); font-size: .85rem; } td > * { grid-column: 2; } td[data-label=""]::before { content: none; } td[data-label=""] { display: block; }
  dl > div { grid-template-columns: minmax(0, 1fr); }
}
`;

/** Works on what the server has written: without it every form still works, with a button. */
export const script = `'use strict';
const part = { headers: { 'x-part': '1' } };
// The state looks again by itself, but never under the hands of a person.
const main = document.querySelector('main[data-path]');
const live = main && /^\\/(?:queue|quarantine|log|device\\/.*)?$/.test(main.dataset.path);
async function look() {
  const busy = main.contains(document.activeElement) && document.activeElement !== document.body;
  if (document.hidden || busy || main.querySelector('details[open], .notice')) return;
  const answer = await fetch(location.pathname + location.search, part);
  if (answer.redirected) { location.reload(); return; }
  if (!answer.ok) return;
  const next = new DOMParser().parseFromString(await answer.text(), 'text/html').querySelector('main');
  if (next && next.innerHTML !== main.innerHTML) main.replaceChildren(...next.childNodes);
}
if (live) setInterval(() => look().catch(() => {}), 5000);
// Each entry is looked at while it is typed: what is wrong with it, and whether somebody answers there.
for (const form of document.querySelectorAll('form[data-check]')) {
  const stages = { check: null, place: null, login: null };
  const say = (name, said) => {
    const place = form.querySelector('[data-said="' + name + '"]');
    if (!place) return;
    place.textContent = said ? said.text : '';
    place.className = 'said ' + (said ? said.level : '');
    for (const input of form.elements) if (input.name === name) input.setAttribute('aria-invalid', String(Boolean(said && said.level === 'error')));
  };
  const touched = new Set();
  async function ask(stage) {
    if (stages[stage]) stages[stage].abort();
    const own = (stages[stage] = new AbortController());
    const body = new URLSearchParams(new FormData(form));
    body.set('action', stage);
    if (stage !== 'check') say(stage, { level: 'busy', text: form.dataset.busy });
    const answer = await fetch(form.getAttribute('action'), { method: 'POST', body, signal: own.signal });
    if (answer.redirected || !answer.headers.get('content-type').startsWith('application/json')) return location.reload();
    const found = await answer.json();
    if (own.signal.aborted) return;
    if (stage === 'check') for (const place of form.querySelectorAll('[data-said]')) {
      const name = place.dataset.said;
      if (name !== 'place' && name !== 'login' && (touched.has(name) || found.all)) say(name, found.fields[name]);
    }
    else say(stage, found.trial);
    if (found.fill) for (const [name, value] of Object.entries(found.fill)) {
      const input = form.elements[name];
      if (input && 'placeholder' in input) input.placeholder = value;
    }
  }
  const later = new Map();
  const soon = (stage, ms) => {
    clearTimeout(later.get(stage));
    later.set(stage, setTimeout(() => ask(stage).catch((error) => { if (error.name !== 'AbortError') say(stage, { level: 'error', text: String(error.message) }); }), ms));
  };
  const shown = () => {
    for (const block of form.querySelectorAll('[data-when]')) {
      const [name, value] = block.dataset.when.split('=');
      block.hidden = new FormData(form).get(name) !== value;
    }
  };
  shown();
  const of = (kind, input) => (form.dataset[kind] || '').split(' ').includes(input.name);
  form.addEventListener('input', (event) => {
    touched.add(event.target.name);
    shown();
    soon('check', 400);
    if (of('place', event.target)) soon('place', 900);
  });
  form.addEventListener('change', (event) => {
    if (!of('login', event.target)) return;
    const values = new FormData(form);
    if (!values.get('clientId') && form.dataset.login.split(' ').every((name) => values.get(name) || form.dataset.known === '1')) soon('login', 200);
  });
  form.addEventListener('click', (event) => {
    if (event.target.name !== 'action' || event.target.value !== 'login') return;
    event.preventDefault();
    soon('login', 0);
  });
}
`;
