// The two texts for people with a NAS say the same, and quote what the package really says.
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pagePort, submissionPort } from '../../agent/package/spk/info.ts';

const root = join(import.meta.dirname, '..', '..');
const texts = {
  en: readFileSync(join(root, 'docs', 'synology.md'), 'utf8'),
  de: readFileSync(join(root, 'docs', 'synology.de.md'), 'utf8'),
};

test('both languages have the same sections, tables, commands, paths and ports', () => {
  const shape = (text: string): readonly string[] =>
    text.split('\n').flatMap((line) => {
      if (line.startsWith('#')) return ['heading ' + /^#+/.exec(line)?.[0]];
      if (line.startsWith('|')) return ['row'];
      return /^(?:sudo |```)/.test(line) ? [line] : [];
    });
  assert.deepEqual(shape(texts.de), shape(texts.en));
  for (const text of Object.values(texts)) {
    for (const port of [pagePort, submissionPort]) assert.ok(text.includes(String(port)), String(port));
    for (const path of ['/var/packages/mailferry/home', '/var/packages/mailferry/var/state', 'agent.yaml.state'])
      assert.ok(text.includes(path), path);
  }
});

test('what they quote is what the scripts and the agent say', () => {
  const said = globSync('{agent/package/spk/files/scripts/*,agent/known-state.ts}', { cwd: root })
    .map((file) => readFileSync(join(root, file), 'utf8'))
    .join('\n');
  for (const [language, text] of Object.entries(texts)) {
    const quotes = [...text.matchAll(/^\| [“„"](.+?)["“”] /gm)].map(([, quote = '']) => quote);
    assert.equal(quotes.length, 4, language);
    for (const quote of quotes) {
      const [words = ''] = quote.split(/ (?:FILE|DATEI):/); // a placeholder
      assert.ok(words !== '' && said.includes(words), words);
    }
  }
});
