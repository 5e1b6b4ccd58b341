// The pages of one entry: its form, trying it, saving it, removing it. Promises: nothing is saved that the agent would refuse;
// a stored password is never sent to another server, or as another user, than it was stored for.
import { UserError } from '#shared/failure.ts';
import { isRecord } from '#shared/json.ts';
import { valueAt } from '../settings.ts';
import type { Change } from '../settings.ts';
import { applyChange } from './apply.ts';
import { startDevice } from './device-page.ts';
import { knownPlace } from './entries.ts';
import type { Entry } from './entries.ts';
import { changeOf, problemsOf, saidsOf } from './entry-change.ts';
import { findPlace, hasLogin, isMoved, needsToken, shownValues, usesOauth } from './entry-place.ts';
import type { Place } from './entry-place.ts';
import { draw } from './entry-view.ts';
import { entryOf } from './form.ts';
import type { Values } from './form.ts';
import type { Said } from './form-view.ts';
import type { Content } from './html.ts';
import { redirect } from './request.ts';
import type { PageAnswer } from './request.ts';
import type { PageWork, Trial, Visit } from './work.ts';

export function showEntry(work: PageWork, visit: Visit, entry: Entry, id?: string, more: Content = ''): PageAnswer {
  const place = findPlace(work, entry, id);
  return draw(visit, place, shownValues(place), {}, 200, more);
}

export async function postEntry(work: PageWork, visit: Visit, entry: Entry, id?: string): Promise<PageAnswer> {
  const { form: sent } = visit.request;
  const place = findPlace(work, entry, id);
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

async function save(work: PageWork, visit: Visit, place: Place, values: Values): Promise<PageAnswer> {
  const { entry } = place;
  const { say } = visit.reader;
  const sent = visit.request.form.get('version');
  const problems = problemsOf(work, visit, place, values);
  if (Object.keys(problems).length > 0) {
    const general: Said = problems[''] ?? { level: 'error', text: say('Not saved: please look at the marked fields.') };
    return draw(visit, place, values, { ...problems, '': general }, 422);
  }
  const version = sent ?? place.state.version;
  // A token comes from a page of the provider; only then there is something to save.
  if (needsToken(place, values) || visit.request.form.get('action') === 'device') {
    const oauth = { ...recordAt(place.raw, 'oauth'), clientId: (values['clientId'] ?? '').trim() };
    return startDevice(work, visit, {
      kind: entry.kind === 'relay' ? 'relay' : 'mailbox',
      entry: { ...(isRecord(place.raw) ? place.raw : {}), ...entryOf(entry.parts, values), oauth },
      home: entry.home,
      // The file may have changed while somebody typed a code elsewhere.
      change: (fresh) => {
        const { version: _version, ...change } = changeOf(findPlace(work, entry, place.id), values, fresh);
        return change;
      },
    });
  }
  const change = { ...changeOf(place, values), version };
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
  const place = findPlace(work, entry, id);
  const { state, path } = place;
  const change: Change = { edits: [{ kind: 'remove', path }], version: state.version };
  return (await changeOrSay(work, visit, place, change, shownValues(place))) ?? redirect(entry.home);
}

const recordAt = (value: unknown, name: string): Readonly<Record<string, unknown>> => {
  const inner = valueAt(value, [name]);
  return isRecord(inner) ? inner : {};
};

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
  const oauth = usesOauth(entry, values) ? { oauth: {} } : {};
  const tried: Readonly<Record<string, unknown>> = { ...base, ...shape, ...oauth };
  if (stage === 'login' && hasLogin(entry) && !usesOauth(entry, values) && typed === '') {
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
