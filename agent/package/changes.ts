// What CHANGELOG.md says of one version. Pure.
import { UserError } from '#shared/failure.ts';

/** The section without its heading. Throws UserError when there is none, or nothing in it. */
export function changesOf(changelog: string, version: string): string {
  const sections = changelog.split(/^## /m).slice(1);
  const found = sections.filter((section) => section.split(/[\s(]/, 1)[0] === version);
  const [section = ''] = found;
  const text = section.slice(section.indexOf('\n') + 1).trim();
  if (found.length === 1 && section.includes('\n') && text !== '') return text;
  const state = found.length === 0 ? 'no section' : found.length > 1 ? found.length + ' sections' : 'an empty section';
  throw new UserError(
    'Cannot release ' + version + ': CHANGELOG.md has ' + state + ' for it, expected one: ## ' + version + ' (DATE)',
  );
}
