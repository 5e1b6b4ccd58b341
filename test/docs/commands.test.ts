import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { commandSpecs } from '../../agent/control/commands.ts';
import type { CommandSpec } from '../../agent/control/commands.ts';
import { maxRequestBytes } from '../../agent/control/protocol.ts';

const page = readFileSync(new URL('../../docs/commands.md', import.meta.url), 'utf8');
const specs: readonly (readonly [string, CommandSpec])[] = Object.entries(commandSpecs);

/** The row that the page must have for a command. */
function rowOf(name: string, spec: CommandSpec): string {
  const required: readonly string[] = spec.arguments.required ?? [];
  const words = Object.keys(spec.arguments.properties).map((argument) =>
    required.includes(argument) ? '<' + argument + '>' : '[' + argument + ']',
  );
  return (
    '| `' + ['mailferry', name, ...words].join(' ') + '` | ' + spec.help + ' | ' + (spec.readOnly ? 'no' : 'yes') + ' |'
  );
}

test('docs/commands.md has exactly the commands of the table, with help and arguments', () => {
  const rows = page.split('\n').filter((line) => line.startsWith('| `mailferry '));
  assert.deepEqual(
    rows,
    specs.map(([name, spec]) => rowOf(name, spec)),
  );
  for (const [, spec] of specs) {
    for (const [argument, schema] of Object.entries(spec.arguments.properties)) {
      assert.ok('description' in schema && typeof schema.description === 'string');
      assert.match(page, new RegExp('- `[<\\[]' + argument + '[>\\]]`: '));
      assert.ok(page.includes(': ' + schema.description + '\n'), argument);
    }
  }
});

test('docs/commands.md names the limit of a request', () => {
  assert.ok(page.includes(maxRequestBytes / 1_024 + ' KiB'));
});

test('only what is marked so changes something', () => {
  const changing = specs.filter(([, spec]) => !spec.readOnly).map(([name]) => name);
  for (const name of ['fetch', 'quarantine release', 'quarantine drop']) assert.ok(changing.includes(name), name);
  for (const name of changing) assert.doesNotMatch(name, /list|show|status/);
});
