import assert from 'node:assert/strict';
import { test } from 'node:test';
import { composeCatalogue } from '../../../agent/package/catalogue.ts';
import { changesOf } from '../../../agent/package/changes.ts';
import { writeTar } from '../../../agent/package/spk/tar.ts';

const changelog = `# Changelog

## 0.10.0 (unreleased)

Ten.

## 0.1.0 (2026-11-25)

- First.
- Second: ## is no heading here.

## 0.0.9

`;

test('the changes of a version are its section, without what stands before and behind', () => {
  assert.equal(changesOf(changelog, '0.1.0'), '- First.\n- Second: ## is no heading here.');
  assert.equal(changesOf(changelog, '0.10.0'), 'Ten.');
});

test('a version that the changelog does not tell of, or only names, is not released', () => {
  const cases: readonly (readonly [version: string, text: string, state: string])[] = [
    ['0.2.0', changelog, 'no section'],
    ['0.1', changelog, 'no section'],
    ['0.0.9', changelog, 'an empty section'],
    ['1.0.0', '', 'no section'],
    ['1.0.0', '## 1.0.0', 'an empty section'],
    ['1.0.0', '## 1.0.0\n\na\n\n## 1.0.0 (again)\n\nb\n', '2 sections'],
  ];
  for (const [version, text, state] of cases) {
    const message = `Cannot release ${version}: CHANGELOG.md has ${state} for it, expected one: ## ${version} (DATE)`;
    assert.throws(() => changesOf(text, version), { name: 'UserError', message });
  }
});

test('a package that does not say what the catalogue must know is refused', () => {
  const spk = writeTar([{ name: 'INFO', mode: 0o644, data: Buffer.from('package="mailferry"\n') }]);
  assert.throws(() => composeCatalogue({ spk, name: 'a.spk', url: '', changes: '' }), {
    name: 'UserError',
    message: 'Cannot make the catalogue: INFO of a.spk has no version',
  });
});
