import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { TSchema } from 'typebox';
import { parseConfig } from '#shared/config.ts';
import { alertRules } from '#shared/alert-rules.ts';
import { agentSchema } from '../../agent/config.ts';
import { collectorSchema } from '../../collector/config.ts';

const page = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8');
const rows = page.split('\n').filter((line) => line.startsWith('| `') || line.startsWith('### '));
const programs: readonly (readonly [string, TSchema])[] = [
  ['agent', agentSchema],
  ['collector', collectorSchema],
];

test('docs/configuration.md is what the schemas say', () => {
  const script = fileURLToPath(new URL('../../docs/write-configuration.ts', import.meta.url));
  const { status, stderr } = spawnSync(process.execPath, [script, '--check'], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
});

for (const [name, schema] of programs) {
  test('every option of the ' + name + ', however deep, is on the page with its meaning', () => {
    const options = findOptions(schema);
    assert.ok(options.length > 30);
    for (const { path, help } of options) {
      const last = path.slice(path.lastIndexOf('.') + 1);
      assert.ok(help.length > 5, path + ' has no meaning');
      assert.ok(page.includes(help), path);
      const ends = [last + '` |', '.' + last + '` |'];
      assert.ok(
        rows.some((row) => row === '### ' + last || ends.some((end) => row.includes(end) && row.includes(help))),
        path,
      );
    }
  });
}

test('there is one row or section an option', () => {
  const shown = rows.filter((row) => !/^\| `[a-z]+(?:-[a-z]+)+` /.test(row)); // but for the rules
  assert.equal(shown.length, findOptions(agentSchema).length + findOptions(collectorSchema).length);
});

test('every alert rule is on the page', () => {
  for (const rule of alertRules) assert.ok(page.includes('| `' + rule.id + '` | ' + rule.severity + ' |'));
});

test('the examples of the README are accepted by the schemas', () => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const examples = [...readme.matchAll(/```yaml\n([\s\S]*?)```/g)].map((match) => match[1] ?? '');
  assert.equal(examples.length, 2);
  const [agent, collector] = examples;
  const accepted = parseConfig({ file: 'agent.yaml', text: agent ?? '', schema: agentSchema }).value;
  assert.equal(accepted.accounts.length, 1);
  assert.equal(
    parseConfig({ file: 'collector.yaml', text: collector ?? '', schema: collectorSchema }).value.web.port,
    8_420,
  );
});

type Found = { readonly path: string; readonly help: string };

/** Walks otherwise than the page does: every `properties` key anywhere in the schema. A secret counts as one option. */
function findOptions(schema: unknown, path = ''): readonly Found[] {
  if (Array.isArray(schema)) return schema.flatMap((part) => findOptions(part, path));
  if (typeof schema !== 'object' || schema === null || ('hidden' in schema && schema.hidden === true)) return [];
  return Object.entries(schema).flatMap(([key, value]) => {
    if (key !== 'properties') return findOptions(value, path);
    const entries = Object.entries<unknown>(value as Readonly<Record<string, unknown>>); // JSON Schema: an object of schemas
    return entries.flatMap(([name, child]) => {
      const own = path + '.' + name;
      const help = typeof child === 'object' && child !== null && 'help' in child ? String(child.help) : '';
      return [{ path: own, help }, ...findOptions(child, own)];
    });
  });
}
