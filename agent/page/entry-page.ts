// The pages of one entry: its form, trying it, saving it, removing it. Promises: nothing is saved that the agent would refuse;
// a stored password is never sent to another server, or as another user, than it was stored for.
import { OptionError } from '#shared/config.ts';
import type { Path } from '#shared/config-problems.ts';
import { UserError } from '#shared/failure.ts';
import { isRecord } from '#shared/json.ts';
import { valueAt } from '../settings.ts';
import type { Change, Edit, SettingsState } from '../settings.ts';
import { applyChange } from './apply.ts';
import { hintsOf, knownPlace, passwordField } from './entries.ts';
import type { Entry } from './entries.ts';
import { editsOf, entryOf, fieldOf } from './form.ts';
import type { Values } from './form.ts';
import { field, form } from './form-view.ts';
import type { Said, Saids } from './form-view.ts';
import { html } from './html.ts';
import type { Content } from './html.ts';
import { danger, page, token } from './layout.ts';
import { RequestError, redirect } from './request.ts';
import type { PageAnswer } from './request.ts';
import type { Visit, PageWork, Trial } from './work.ts';

type Place = {
  readonly entry: Entry;
  readonly state: SettingsState;
  /** Its options as typed; undefined for a new one. */
  readonly raw: unknown;
  /** Where they stand, or will stand. */
  readonly path: Path;
  readonly id: string | undefined;
};

const hasLogin = ({ kind }: Entry): boolean => kind === 'mailbox' || kind === 'relay';

/** `id` undefined: a new one. Throws RequestError when there is none of that name. */
function find(work: PageWork, entry: Entry, id: string | undefined): Place {
  const state = work.settings.read();
  if (!entry.list) return { entry, state, raw: state.raw, path: [], id: undefined };
  const list = valueAt(state.raw, entry.base);
  const items: readonly unknown[] = Array.isArray(list) ? list : [];
  if (id === undefined) return { entry, state, raw: undefined, path: [...entry.base, items.length], id };
  const index = items.findIndex((item) => isRecord(item) && item['id'] === id);
  if (index < 0) throw new RequestError(404, 'there is no ' + entry.kind + ' ' + JSON.stringify(id));
  return { entry, state, raw: items[index], path: [...entry.base, index], id };
}

export function showEntry(work: PageWork, visit: Visit, entry: Entry, id?: string, more: Content = ''): PageAnswer {
  const place = find(work, entry, id);
  return draw(visit, place, shownValues(place), {}, 200, more);
}

function shownValues({ entry, raw }: Place): Values {
  return Object.assign({}, ...entry.parts.map((part) => part.show(raw))) as Values; // each part shows texts
}

export async function postEntry(work: PageWork, visit: Visit, entry: Entry, id?: string): Promise<PageAnswer> {
  const { form: sent } = visit.request;
  const place = find(work, entry, id);
  const values: Values = { ...shownValues(place), ...Object.fromEntries(sent) };
  switch (sent.get('action')) {
    case 'check':
      return json({ fields: problemsOf(work, visit, place, values), fill: fillOf(entry, values) });
    case 'place':
      return json({ trial: await tryOut(work, visit, place, values, 'place') });
    case 'login': {
      const trial = await tryOut(work, visit, place, values, 'login');
      // A script asks for the answer alone, a plain form for the page.
      return isScript(visit) ? json({ trial }) : draw(visit, place, values, { login: trial }, 200);
    }
    default:
      return save(work, visit, place, values);
  }
}

const isScript = ({ request }: Visit): boolean => request.header('sec-fetch-dest') === 'empty';

const json = (value: unknown): PageAnswer => ({ status: 200, type: 'application/json', body: JSON.stringify(value) });

const fillOf = (entry: Entry, values: Values): unknown =>
  entry.kind === 'mailbox' || entry.kind === 'relay' ? knownPlace(entry.kind, values['preset'] ?? '') : undefined;

function changeOf({ entry, state, raw, path, id }: Place, values: Values): Change {
  const edits: Edit[] = [];
  if (entry.list && id === undefined)
    edits.push({ kind: 'add', path: entry.base, value: entryOf(entry.parts, values) });
  else {
    const kept = entry.parts.filter((part) => !part.fields.some((one) => entry.once.includes(one.name)));
    edits.push(...editsOf(entry.list ? kept : entry.parts, values, raw, path));
  }
  const password = values['password'] ?? '';
  if (hasLogin(entry) && password !== '') {
    const name = entry.kind + '-' + (values['id'] ?? id ?? 'new').slice(0, 60);
    edits.push({ kind: 'secret', path: [...path, 'password'], text: password, name });
  }
  // The first relay has to have mail: where the local server hands it in.
  if (entry.kind === 'relay' && state.raw['submission'] === undefined)
    edits.push({ kind: 'set', path: ['submission'], value: { port: 2_525 } });
  return { edits, version: state.version };
}

/** What is wrong with what was typed, by field. */
function problemsOf(work: PageWork, visit: Visit, place: Place, values: Values): Saids {
  const own = ownProblems(visit, place, values);
  // A password that is not typed yet would hide what else is wrong.
  const typed = 'password' in own && place.id === undefined ? { ...values, password: 'not typed yet' } : values;
  try {
    work.settings.preview(changeOf(place, typed));
    return own;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { ...saidsOf(visit, place, error), ...own };
  }
}

/** What the schema allows and the page does not. */
function ownProblems({ reader }: Visit, { entry, raw, id }: Place, values: Values): Saids {
  const { say } = reader;
  const saids: Record<string, Said> = {};
  if (entry.kind === 'mailbox' && id === undefined && (values['firstRun'] ?? '') === '')
    saids['firstRun'] = { level: 'error', text: say('Please choose: nobody but you can know.') };
  if (!hasLogin(entry) || (values['password'] ?? '') !== '') return saids;
  if (id === undefined) saids['password'] = { level: 'error', text: say('Please type the password.') };
  else if (valueAt(raw, ['password']) !== undefined && isMoved({ entry, raw }, values))
    saids['password'] = {
      level: 'error',
      text: say('Server or login name are others than before: please type the password again.'),
    };
  return saids;
}

function isMoved({ entry, raw }: Pick<Place, 'entry' | 'raw'>, values: Values): boolean {
  const parts = entry.parts.filter((part) => part.fields.some((one) => entry.place.includes(one.name)));
  return editsOf(parts, values, raw, []).length > 0;
}

function saidsOf({ reader }: Visit, { entry, path }: Place, error: UserError): Saids {
  if (!(error instanceof OptionError)) return { '': { level: 'error', text: error.message } };
  const saids: Record<string, Said> = {};
  for (const problem of error.problems) {
    const inside = path.every((step, index) => step === problem.path[index]);
    const own = inside ? problem.path.slice(path.length) : undefined;
    const isPassword = own?.[0] === 'password';
    const name = own && (isPassword ? 'password' : fieldOf(entry.parts, own));
    const { found, expected } = problem;
    const text = reader.say('found {found}, expected {expected}', { found, expected });
    if (name === undefined) saids[''] ??= { level: 'error', text: problem.path.join('.') + ': ' + text };
    else saids[name] ??= { level: 'error', text };
  }
  return saids;
}

async function save(work: PageWork, visit: Visit, place: Place, values: Values): Promise<PageAnswer> {
  const { entry } = place;
  const { say } = visit.reader;
  const sent = visit.request.form.get('version');
  const problems = problemsOf(work, visit, place, values);
  if (Object.keys(problems).length > 0) {
    const general: Said = problems[''] ?? { level: 'error', text: say('Not saved: please look at the marked fields.') };
    return draw(visit, place, values, { ...problems, '': general }, 422);
  }
  const change = { ...changeOf(place, values), version: sent ?? place.state.version };
  return (await changeOrSay(work, visit, place, change, values)) ?? redirect(entry.home);
}

/** Undefined when it is done; else the form again, with why not. */
async function changeOrSay(
  work: PageWork,
  visit: Visit,
  place: Place,
  change: Change,
  values: Values,
): Promise<PageAnswer | undefined> {
  const { say } = visit.reader;
  try {
    const problem = await applyChange(work, visit, change);
    if (problem === undefined) return undefined;
    const text = say('Not saved, the agent cannot use it: {problem}', { problem });
    return draw(visit, place, values, { '': { level: 'error', text } }, 409);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return draw(visit, place, values, saidsOf(visit, place, error), 409);
  }
}

export async function removeEntry(work: PageWork, visit: Visit, entry: Entry, id: string): Promise<PageAnswer> {
  const place = find(work, entry, id);
  const { state, path } = place;
  const change: Change = { edits: [{ kind: 'remove', path }], version: state.version };
  return (await changeOrSay(work, visit, place, change, shownValues(place))) ?? redirect(entry.home);
}

async function tryOut(
  work: PageWork,
  visit: Visit,
  place: Place,
  values: Values,
  stage: 'place' | 'login',
): Promise<Said> {
  const { entry, raw, id } = place;
  const { say } = visit.reader;
  const typed = values['password'] ?? '';
  const base = isRecord(raw) && entry.list ? raw : {};
  const shape = entry.list ? entryOf(entry.parts, values) : entryOf(localOnly(entry), values);
  const tried: Readonly<Record<string, unknown>> = { ...base, ...shape };
  if (stage === 'login' && hasLogin(entry) && typed === '') {
    if (id === undefined) return { level: 'error', text: say('Please type the password.') };
    if (isMoved(place, values))
      return {
        level: 'error',
        text: say('Server or login name are others than before: please type the password again.'),
      };
  }
  const trial = await work.tryOut({
    kind: entry.kind,
    entry: tried,
    stage,
    ...(typed === '' ? {} : { password: typed }),
  });
  return saidOf(visit, trial);
}

/** The options under `local`, as an entry of its own. */
function localOnly(entry: Entry): Entry['parts'] {
  return entry.parts.map((part) => ({
    ...part,
    writes: (values) =>
      part.writes(values).flatMap(({ path, value }) => (path[0] === 'local' ? [{ path: path.slice(1), value }] : [])),
  }));
}

function saidOf({ reader }: Visit, { level, found, expected, remedy }: Trial): Said {
  const text =
    expected === '' ? found : reader.say('found {found}, expected {expected}', { found, expected }) + '. ' + remedy;
  return { level: level === 'note' ? 'ok' : level, text };
}

function draw(
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
  const secret = valueAt(raw, ['password']);
  const env = valueAt(secret, ['env']);
  if (valueAt(raw, ['oauth']) !== undefined)
    return html`<p class="muted">${reader.say('Logs in with OAuth2; its token is renewed by the agent.')}</p>`;
  if (typeof env === 'string')
    return html`<p class="muted">
      ${reader.say('The password stands in the environment variable {name}.', { name: env })}
    </p>`;
  const hint = id === undefined ? {} : ({ hint: 'Empty: the stored one stays.' } as const);
  return field(reader, { ...passwordField, ...hint }, {}, saids);
}
