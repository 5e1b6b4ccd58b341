// Every `mailferry ...` that a page or a message of the agent tells people to type is a command, and every page that one
// names is there.
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { mailferry, tempFolder } from '../agent/cli/run-cli.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const files = ['README.md', ...globSync(['docs/*.md', 'agent/**/*.ts', 'shared/*.ts'], { cwd: root })];
const texts = files.map((file) => ({ file, text: readFileSync(join(root, file), 'utf8') }));

/** Names that a --help lists. */
async function listCommands(folder: string, words: readonly string[]): Promise<ReadonlySet<string>> {
  const { out } = await mailferry(folder, [...words, '--help']);
  const [, list = ''] = out.split('Commands:\n');
  return new Set([...list.matchAll(/^ {2}([a-z-]+)/gm)].map((match) => match[1] ?? ''));
}

test('every command that people are told to type is one', async (t) => {
  const folder = tempFolder(t);
  const known = await listCommands(folder, []);
  assert.ok(known.size > 10);
  const groups = new Map<string, ReadonlySet<string>>();
  const wrong: string[] = [];
  let mentioned = 0;
  for (const { file, text } of texts) {
    for (const [whole, first = '', second] of text.matchAll(
      /(?:`(?:sudo )?|npm run |: |; )mailferry (?:-- )?(?:--config [\w./-]+ )?([a-z][a-z-]+)(?: ([a-z][a-z-]+))?/g,
    )) {
      // Words of a sentence are no command line.
      if (!whole.startsWith('`') && !known.has(first)) continue;
      mentioned += 1;
      if (first === 'run') continue; // of the package: starts the agent
      if (!known.has(first)) wrong.push(file + ': ' + whole);
      if (!['queue', 'quarantine', 'user', 'config', 'change'].includes(first) || second === undefined) continue;
      const inner = groups.get(first) ?? (await listCommands(folder, [first]));
      groups.set(first, inner);
      if (!inner.has(second)) wrong.push(file + ': ' + whole);
    }
  }
  assert.deepEqual(wrong, []);
  assert.ok(mentioned > 40, 'only ' + mentioned + ' were found');
});

test('every page that a message or another page names is there', () => {
  const missing: string[] = [];
  for (const { file, text } of texts) {
    const named = [...text.matchAll(/\bdocs\/[a-z.-]+\.md\b/g)].map((match) => match[0]);
    const linked = file.startsWith('docs/')
      ? [...text.matchAll(/\]\(([a-z.-]+\.md)\)/g)].map((match) => 'docs/' + match[1])
      : [];
    for (const page of [...named, ...linked]) if (!existsSync(join(root, page))) missing.push(file + ': ' + page);
  }
  assert.deepEqual(missing, []);
});
