// The frame of every page: head, navigation, notice. No script or style stands in it: the content policy allows none.
import { html } from './html.ts';
import type { Content, Html } from './html.ts';
import type { Session } from './sessions.ts';
import type { Reader, Word } from './words.ts';

export type Frame = {
  readonly reader: Reader;
  readonly session: Session;
  /** Names the site in the head. */
  readonly site: string;
  readonly path: string;
};

export const places: readonly (readonly [string, Word])[] = [
  ['/', 'State'],
  ['/mailboxes', 'Mailboxes'],
  ['/sending', 'Sending'],
  ['/local', 'Local server'],
  ['/queue', 'Queue'],
  ['/quarantine', 'Quarantine'],
  ['/log', 'Log'],
  ['/commands', 'Commands'],
  ['/settings', 'Settings'],
];

export function page(frame: Frame, title: string, ...content: readonly Content[]): string {
  const { reader, session, site, path } = frame;
  const { say } = reader;
  const isHere = (place: string): boolean => (place === '/' ? path === '/' : path.startsWith(place));
  const { notice } = session;
  session.notice = undefined;
  const header = html`<header>
    <a class="brand" href="/"><img src="/icon.svg" alt="" width="28" height="28" />mailferry <small>${site}</small></a>
    <form method="post" action="/logout">${token(session)}<button class="plain">${say('Log out')}</button></form>
    <nav aria-label="${say('Main menu')}">
      ${places.map(([place, word]) => html`<a href="${place}" ${isHere(place) ? here : undefined}>${say(word)}</a> `)}
    </nav>
  </header>`;
  const said = notice && html`<p class="notice ${notice.level}" role="status">${notice.text}</p>`;
  return document(
    reader,
    title,
    html`${header}
      <main id="main" data-path="${path}">
        ${said}
        <h1>${title}</h1>
        ${[...content]}
      </main>
      ${foot(reader, path)}`,
  );
}

const here = html`aria-current="page"`;

export function document({ language, say }: Reader, title: string, body: Html): string {
  return html`<!doctype html>
    <html lang="${language}">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${title} &ndash; mailferry</title>
        <link rel="icon" href="/icon.svg" type="image/svg+xml" />
        <link rel="stylesheet" href="/page.css" />
        <script src="/page.js" defer></script>
      </head>
      <body>
        <a class="skip" href="#main">${say('To the content')}</a>
        ${body}
      </body>
    </html>`.text;
}

export function foot({ language }: Reader, path: string): Html {
  const [other, name] = language === 'de' ? (['en', 'English'] as const) : (['de', 'Deutsch'] as const);
  return html`<footer>
    <a href="/language?to=${other}&amp;from=${encodeURIComponent(path)}" lang="${other}">${name}</a>
  </footer>`;
}

export function token(session: Session): Html {
  return html`<input type="hidden" name="token" value="${session.token}" />`;
}

/** One button that does one thing. */
export function button(
  session: Session,
  action: string,
  label: string,
  values: Readonly<Record<string, string>> = {},
  kind = '',
): Html {
  const hidden = Object.entries(values).map(
    ([name, value]) => html`<input type="hidden" name="${name}" value="${value}" />`,
  );
  return html`<form class="inline" method="post" action="${action}">
    ${token(session)}${hidden}<button class="${kind}">${label}</button>
  </form>`;
}

/** A thing that cannot be undone is asked twice. */
export function danger(session: Session, action: string, label: string, warning: string, confirm: string): Html {
  return html`<details class="danger">
    <summary>${label}</summary>
    <p>${warning}</p>
    ${button(session, action, confirm, {}, 'danger')}
  </details>`;
}

/** What the agent says about itself is English. */
export const told = (text: string): Html => html`<span lang="en">${text}</span>`;

export type Cell = Content;
/** On a phone each row is a card, and each cell says what it is. */
export function table(heads: readonly string[], rows: readonly (readonly Cell[])[]): Html {
  return html`<div class="table">
    <table>
      <thead>
        <tr>
          ${heads.map((head) => html`<th scope="col">${head}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (row) =>
            html`<tr>
              ${row.map((cell, index) => html`<td data-label="${heads[index] ?? ''}">${cell}</td>`)}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

export function facts(rows: readonly (readonly [string, Content])[]): Html {
  return html`<dl>
    ${rows.map(
      ([name, value]) =>
        html`<div>
          <dt>${name}</dt>
          <dd>${value}</dd>
        </div>`,
    )}
  </dl>`;
}

export type Light = 'ok' | 'warning' | 'error' | 'none';
export const light = (level: Light, text: Content): Html => html`<span class="light ${level}">${text}</span>`;
