// From what was typed to a change of the configuration, and what is wrong with it by field. Writes nothing.
import { OptionError } from '#shared/config.ts';
import { UserError } from '#shared/failure.ts';
import { valueAt } from '../settings.ts';
import type { Change, Edit } from '../settings.ts';
import { hasLogin, isMoved, usesOauth } from './entry-place.ts';
import type { Place } from './entry-place.ts';
import { editsOf, entryOf, fieldOf } from './form.ts';
import type { Values } from './form.ts';
import type { Said, Saids } from './form-view.ts';
import type { PageWork, Visit } from './work.ts';

/** `token`: a fresh refresh token. */
export function changeOf({ entry, state, raw, path, id }: Place, values: Values, token?: string): Change {
  const edits: Edit[] = [];
  if (entry.list && id === undefined)
    edits.push({ kind: 'add', path: entry.base, value: entryOf(entry.parts, values) });
  else {
    const kept = entry.parts.filter((part) => !part.fields.some((one) => entry.once.includes(one.name)));
    edits.push(...editsOf(entry.list ? kept : entry.parts, values, raw, path));
  }
  const password = values['password'] ?? '';
  const name = entry.kind + '-' + (values['id'] ?? id ?? 'new').slice(0, 60);
  if (usesOauth(entry, values)) edits.push(...oauthEdits(path, raw, values, name, token));
  else if (hasLogin(entry) && password !== '') {
    if (valueAt(raw, ['oauth']) !== undefined) edits.push({ kind: 'remove', path: [...path, 'oauth'] });
    edits.push({ kind: 'secret', path: [...path, 'password'], text: password, name });
  }
  // The first relay has to have mail: where the local server hands it in.
  if (entry.kind === 'relay' && state.raw['submission'] === undefined)
    edits.push({ kind: 'set', path: ['submission'], value: { port: 2_525 } });
  return { edits, version: state.version };
}

function oauthEdits(path: Place['path'], raw: unknown, values: Values, name: string, token?: string): readonly Edit[] {
  const clientId = (values['clientId'] ?? '').trim();
  const edits: Edit[] = [{ kind: 'set', path: [...path, 'oauth', 'clientId'], value: clientId }];
  if (valueAt(raw, ['password']) !== undefined) edits.push({ kind: 'remove', path: [...path, 'password'] });
  const known = valueAt(raw, ['oauth', 'refreshToken']) !== undefined;
  if (token !== undefined || !known)
    edits.push({
      kind: 'secret',
      path: [...path, 'oauth', 'refreshToken'],
      text: token ?? 'none yet',
      name: name + '-token',
    });
  return edits;
}

/** What is wrong with what was typed, by field. */
export function problemsOf(work: PageWork, visit: Visit, place: Place, values: Values): Saids {
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
  if (!hasLogin(entry) || usesOauth(entry, values) || (values['password'] ?? '') !== '') return saids;
  const hadToken = valueAt(raw, ['oauth']) !== undefined;
  if (id === undefined || hadToken) saids['password'] = { level: 'error', text: say('Please type the password.') };
  else if (valueAt(raw, ['password']) !== undefined && isMoved({ entry, raw }, values))
    saids['password'] = {
      level: 'error',
      text: say('Server or login name are others than before: please type the password again.'),
    };
  return saids;
}

export function saidsOf({ reader }: Visit, { entry, path }: Place, error: UserError): Saids {
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
