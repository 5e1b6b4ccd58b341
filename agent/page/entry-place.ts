// Where an entry of the configuration stands, and what a form over it shows.
import type { Path } from '#shared/config-problems.ts';
import { isRecord } from '#shared/json.ts';
import { valueAt } from '../settings.ts';
import type { SettingsState } from '../settings.ts';
import type { Entry } from './entries.ts';
import { editsOf } from './form.ts';
import type { Values } from './form.ts';
import { RequestError } from './request.ts';
import type { PageWork } from './work.ts';

export type Place = {
  readonly entry: Entry;
  readonly state: SettingsState;
  /** Its options as typed; undefined for a new one. */
  readonly raw: unknown;
  /** Where they stand, or will stand. */
  readonly path: Path;
  readonly id: string | undefined;
};

export const hasLogin = ({ kind }: Entry): boolean => kind === 'mailbox' || kind === 'relay';

/** `id` undefined: a new one. Throws RequestError when there is none of that name. */
export function findPlace(work: PageWork, entry: Entry, id: string | undefined): Place {
  const state = work.settings.read();
  if (!entry.list) return { entry, state, raw: state.raw, path: [], id: undefined };
  const list = valueAt(state.raw, entry.base);
  const items: readonly unknown[] = Array.isArray(list) ? list : [];
  if (id === undefined) return { entry, state, raw: undefined, path: [...entry.base, items.length], id };
  const index = items.findIndex((item) => isRecord(item) && item['id'] === id);
  if (index < 0) throw new RequestError(404, 'there is no ' + entry.kind + ' ' + JSON.stringify(id));
  return { entry, state, raw: items[index], path: [...entry.base, index], id };
}

export function shownValues({ entry, raw }: Place): Values {
  return Object.assign({}, ...entry.parts.map((part) => part.show(raw))) as Values; // each part shows texts
}

/** Other server, other user: what was stored is not for them. */
export function isMoved({ entry, raw }: Pick<Place, 'entry' | 'raw'>, values: Values): boolean {
  const parts = entry.parts.filter((part) => part.fields.some((one) => entry.place.includes(one.name)));
  return editsOf(parts, values, raw, []).length > 0;
}

/** Logs in with a token, which a person gets on a page of the provider. */
export const usesOauth = (entry: Entry, values: Values): boolean =>
  hasLogin(entry) && (values['clientId'] ?? '').trim() !== '';
/** There is none yet, or not for this server and user. */
export const needsToken = (place: Place, values: Values): boolean =>
  usesOauth(place.entry, values) &&
  (valueAt(place.raw, ['oauth', 'refreshToken']) === undefined || isMoved(place, values));
