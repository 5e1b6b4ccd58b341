// The two texts about the page say the same, their example is a configuration, and what they quote is really said.
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseAgentConfig } from '../../agent/config.ts';
import { places } from '../../agent/page/layout.ts';
import { readerOf } from '../../agent/page/words.ts';

const root = join(import.meta.dirname, '..', '..');
const texts = {
  en: readFileSync(join(root, 'docs', 'page.md'), 'utf8'),
  de: readFileSync(join(root, 'docs', 'page.de.md'), 'utf8'),
} as const;

test('both languages have the same sections, tables and examples', () => {
  const shape = (text: string): readonly string[] =>
    text.split('\n').flatMap((line) => {
      if (line.startsWith('#')) return ['heading ' + /^#+/.exec(line)?.[0]];
      if (/^(?:\||- )/.test(line)) return [line.slice(0, 1)];
      return /^(?:page:|  \w|```)/.test(line) ? [line] : [];
    });
  assert.deepEqual(shape(texts.de), shape(texts.en));
});

test('each page of the main menu is described by its name, in order', () => {
  for (const language of ['en', 'de'] as const) {
    const { say } = readerOf(language);
    const table = texts[language].split('\n').filter((line) => line.startsWith('| '));
    const rows = table.slice(1, places.length + 1).map((line) => /^\| ([^|]+) \|/.exec(line)?.[1]);
    assert.deepEqual(
      rows,
      places.map(([, word]) => say(word)),
    );
  }
});

test('the example is a configuration, and what is quoted is said by the page or the agent', () => {
  for (const [language, text] of Object.entries(texts)) {
    const [, example = ''] = /```yaml\n([\s\S]*?)```/.exec(text) ?? [];
    const { value } = parseAgentConfig('agent.yaml', 'tenant: acme\nagent: nas-1\nstate: state\n' + example);
    assert.deepEqual([value.page?.host, value.page?.port], ['127.0.0.1', 8_421]);
    const said = globSync('agent/{page,settings}/*.ts', { cwd: root })
      .concat('agent/settings.ts')
      .map((file) => readFileSync(join(root, file), 'utf8'))
      .join('\n');
    const quotes = [...text.matchAll(/[“„"]([^"“”„]+)["“”]/g)].map(([, quote = '']) => quote);
    assert.equal(quotes.length, 6, language);
    for (const quote of quotes) assert.ok(said.includes(quote), quote);
  }
});
