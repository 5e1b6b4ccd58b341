import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { TSchema } from 'typebox';
import { parseConfig } from '#shared/config.ts';
import { alertRules } from '#shared/alert-rules.ts';
import { agentSchema } from '../../agent/config.ts';
import { collectorSchema } from '../../collector/config.ts';
import { buildConfigurationPage, listOptions } from '../../docs/configuration-text.ts';

const page = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8');
const programs: readonly (readonly [string, TSchema])[] = [
  ['agent', agentSchema],
  ['collector', collectorSchema],
];

test('docs/configuration.md is what the schemas say', () => {
  assert.equal(page, buildConfigurationPage(), 'stale; run node docs/write-configuration.ts');
});

for (const [name, schema] of programs) {
  test('every option of the ' + name + ' is on the page, with its meaning', () => {
    const options = listOptions(schema);
    assert.ok(options.length > 30);
    for (const option of options) {
      // What has options of its own and stands at the top is a section.
      const shown = page.includes('| `' + option.path + '` |') || page.includes('\n### ' + option.path + '\n');
      assert.ok(shown, option.path);
      assert.ok(option.meaning.length > 5, option.path + ' has no meaning');
      assert.ok(page.includes(option.meaning), option.path);
    }
  });

  test('every schema property of the ' + name + ' is listed, however deep', () => {
    const paths = listOptions(schema).map((option) => option.path);
    assert.equal(new Set(paths).size, paths.length);
    const secret = /\.(?:file|env)$/; // told once for all
    const names = propertyNames(schema).filter((property) => !secret.test(property));
    assert.equal(paths.length, names.length);
  });
}

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

/** Counts properties independently of how the page walks: every `properties` key anywhere in the JSON of the schema. */
function propertyNames(schema: unknown, path = ''): readonly string[] {
  if (Array.isArray(schema)) return schema.flatMap((part) => propertyNames(part, path));
  if (typeof schema !== 'object' || schema === null) return [];
  return Object.entries(schema).flatMap(([key, value]) => {
    if (key !== 'properties') return propertyNames(value, path);
    const entries = Object.entries(value as Readonly<Record<string, unknown>>); // JSON Schema: an object of schemas
    return entries.flatMap(([name, child]) => [path + '.' + name, ...propertyNames(child, path + '.' + name)]);
  });
}
