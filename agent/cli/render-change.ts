// What the collector proposes and has asked for, for people.
import type { Static } from 'typebox';
import type { auditSchema, changeListSchema } from '../control/change-commands.ts';
import { alignColumns, clean, showTime } from './table.ts';

export function renderChanges({ proposals }: Static<typeof changeListSchema>, now: number): readonly string[] {
  if (proposals.length === 0) return ['No change is proposed.'];
  return proposals.flatMap(({ id, at, expires, note, lines }) => [
    clean(id) + '  proposed ' + showTime(at, now) + ', to be answered by ' + new Date(expires).toISOString(),
    ...(note === '' ? [] : ['  ' + clean(note)]),
    ...lines.map((line) => '  ' + clean(line)),
    '  mailferry change accept ' + clean(id) + '  or  mailferry change reject ' + clean(id),
  ]);
}

export function renderAudit({ entries }: Static<typeof auditSchema>, now: number): readonly string[] {
  if (entries.length === 0) return ['The collector has asked for nothing.'];
  return alignColumns(
    entries.map(({ at, name, arguments: given, outcome, text }) => [
      showTime(at, now),
      clean(name) + (given === '{}' ? '' : ' ' + clean(given)),
      clean(outcome),
      clean(text),
    ]),
  );
}
