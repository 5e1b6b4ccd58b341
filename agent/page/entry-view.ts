// The form of one entry as a page.
import { valueAt } from '../settings.ts';
import { hintsOf, knownPlace, passwordField } from './entries.ts';
import { hasLogin } from './entry-place.ts';
import type { Place } from './entry-place.ts';
import type { Values } from './form.ts';
import { field, form } from './form-view.ts';
import type { Saids } from './form-view.ts';
import { html } from './html.ts';
import type { Content } from './html.ts';
import { danger, page, token } from './layout.ts';
import type { PageAnswer } from './request.ts';
import type { Visit } from './work.ts';

export function draw(
  visit: Visit,
  place: Place,
  values: Values,
  saids: Saids,
  status: number,
  more: Content = '',
): PageAnswer {
  const { reader, session } = visit;
  const { say } = reader;
  const { entry, state, id, raw } = place;
  const isNew = entry.list && id === undefined;
  const title = titleOf(visit, place);
  const fill: Readonly<Record<string, string>> =
    entry.kind === 'mailbox' || entry.kind === 'relay' ? knownPlace(entry.kind, values['preset'] ?? '') : {};
  const shown = entry.parts.flatMap((part) => part.fields).filter((one) => isNew || !entry.once.includes(one.name));
  const fields: Content[] = shown.flatMap((one) => {
    const known = fill[one.name];
    const own = field(reader, known === undefined ? one : { ...one, placeholder: known }, values, saids);
    return one.name === 'user' && hasLogin(entry) ? [own, password(visit, place, saids)] : [own];
  });
  const hints = hintsOf(values['preset'] ?? '');
  const drawn = form(reader, {
    action: entry.list ? entry.home + '/' + (id ?? '+') : visit.request.path,
    hidden: html`${token(session)}<input type="hidden" name="version" value="${state.version}" />`,
    fields: [
      ...fields,
      hints.length > 0 &&
        html`<ul class="hint" lang="en">
          ${hints.map((hint) => html`<li>${hint}</li>`)}
        </ul>`,
    ],
    ...(entry.kind === 'submission'
      ? {}
      : {
          tests: {
            place: entry.place.filter((name) => name !== 'user'),
            login: hasLogin(entry) ? ['user', 'password'] : [],
            known: raw !== undefined && !isNew,
          },
        }),
    saids,
    submit: isNew ? say('Add') : say('Save'),
  });
  const gone =
    entry.list &&
    !isNew &&
    danger(
      session,
      entry.home + '/' + id + '/remove',
      say('Remove'),
      say('The entry and its stored password go. Mails at the provider and in the queue stay where they are.'),
      say('Remove for good'),
    );
  return { status, type: 'text/html; charset=utf-8', body: page(visit, title, more, drawn, gone) };
}

function titleOf({ reader }: Visit, { entry, id }: Place): string {
  const { say } = reader;
  if (entry.kind === 'local') return say('Local server');
  if (entry.kind === 'submission') return say('Where mail is handed in');
  const isMailbox = entry.kind === 'mailbox';
  if (id === undefined) return isMailbox ? say('New mailbox') : say('New relay');
  return (isMailbox ? say('Mailbox') : say('Relay')) + ' ' + id;
}

function password({ reader }: Visit, { raw, id }: Place, saids: Saids): Content {
  const { say } = reader;
  const secret = valueAt(raw, ['password']);
  const env = valueAt(secret, ['env']);
  if (typeof env === 'string')
    return html`<p class="muted">${say('The password stands in the environment variable {name}.', { name: env })}</p>`;
  const hasToken = valueAt(raw, ['oauth']) !== undefined;
  const hint = id === undefined || hasToken ? {} : ({ hint: 'Empty: the stored one stays.' } as const);
  const typed = field(reader, { ...passwordField, ...hint }, {}, saids);
  if (!hasToken) return typed;
  return [
    html`<p class="muted">
      ${say('Logs in with OAuth2; its token is renewed by the agent.')}
      <button name="action" value="device">${say('Log in again')}</button>
    </p>`,
    typed,
  ];
}
