// The bundle from outside: the same bytes wherever it is built, nothing missing in it, every licence beside it.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { bundleName, licencesName, writeBundle } from '../../../agent/package/bundle.ts';
import { collectLicences, isAccepted, packageFolder } from '../../../agent/package/licences.ts';

const root = join(import.meta.dirname, '..', '..', '..');
const folder = mkdtempSync(join(tmpdir(), 'mailferry-bundle-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let files: readonly string[] = [];
before(async () => {
  ({ files } = await writeBundle(join(folder, 'here')));
});
const read = (name: string): string => readFileSync(join(folder, 'here', name), 'utf8');

test('the same sources give the same bytes in another place', async () => {
  const place = join(folder, 'another place');
  mkdirSync(place);
  for (const name of ['agent', 'shared', 'package.json', 'LICENSE'])
    cpSync(join(root, name), join(place, name), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(place, 'node_modules'));
  const builder = join(place, 'agent', 'package', 'bundle.ts');
  await promisify(execFile)(process.execPath, ['--preserve-symlinks', builder, join(folder, 'there')], {
    cwd: place,
    env: { ...process.env, TZ: 'Pacific/Auckland', LC_ALL: 'C' },
    timeout: 120_000,
  });
  assert.deepEqual(readdirSync(join(folder, 'there')).sort(), [...files]);
  for (const name of files)
    assert.ok(
      readFileSync(join(folder, 'there', name)).equals(readFileSync(join(folder, 'here', name))),
      name + ' differs',
    );
});

test('it is three files: the program, its map and the licences', () => {
  assert.deepEqual(files, [licencesName, bundleName, bundleName + '.map'].sort());
  assert.match(read(bundleName), /^#!\/usr\/bin\/env node\n/);
  assert.match(read(bundleName), /\n\/\/# sourceMappingURL=mailferry-agent\.mjs\.map\n$/);
});

test('it asks for modules of Node alone, and has no native ones', () => {
  const text = read(bundleName).replaceAll('\\\n', ''); // within a text a line is broken like this
  const helper = /([\w$]+)=\([\w$]+=>typeof require<"u"\?require/.exec(text)?.[1] ?? 'no helper';
  const name = '(?:require|import|' + helper.replaceAll('$', '\\$') + ')';
  const called = new RegExp('(?<![\\w$.])' + name + '\\(\\s*(["\'`])([^"\'`]+)\\1\\s*\\)', 'g');
  const asked = [
    ...[...text.matchAll(called)].map(([, , module = '']) => module),
    ...[...text.matchAll(/\bfrom\s*["']([^"'\n]+)["'];/g)].map(([, module = '']) => module),
  ];
  assert.ok(asked.includes('events'), 'the pattern finds calls: ' + helper);
  assert.ok(asked.includes('node:module'), 'the pattern finds imports');
  const known = new Set(builtinModules.flatMap((name) => [name, 'node:' + name]));
  const foreign = asked.filter((name) => !known.has(name) && !name.startsWith('node:'));
  assert.deepEqual(foreign, []);
  assert.equal(/.{0,60}\.node["'`]/.exec(text)?.[0], undefined);
});

test('it is ASCII without paths of the machine that built it, and so is its map', () => {
  for (const name of [bundleName, bundleName + '.map']) {
    const found = /.{0,60}[^\x00-\x7f].{0,20}/.exec(read(name))?.[0];
    assert.equal(found, undefined, name); // not the whole text in the message
    assert.ok(!read(name).includes(root), name + ' names where it was built');
    assert.ok(!read(name).includes(tmpdir() + '/mailferry-bundle-'), name + ' names where it was written');
  }
});

test('every line is short enough to stand in a log when something breaks in it', () => {
  const longest = read(bundleName)
    .split('\n')
    .reduce((most, line) => Math.max(most, line.length), 0);
  // A text of several sentences, or a regular expression, is not broken.
  assert.ok(longest < 8_000, 'the longest line has ' + longest + ' letters');
});

test('each package in it stands in LICENSES.txt with its licence and version', () => {
  const map = JSON.parse(read(bundleName + '.map')) as { readonly sources: readonly string[] }; // a source map
  const packages = new Set(map.sources.flatMap((source) => packageFolder(source.replace(/^late:/, '')) ?? []));
  assert.ok(packages.size > 10, 'the map names ' + packages.size + ' packages');
  const licences = read(licencesName);
  for (const place of packages) {
    const { name, version, license } = JSON.parse(readFileSync(join(root, place, 'package.json'), 'utf8')) as Readonly<
      Record<string, string>
    >; // as npm has put it there
    assert.ok(licences.includes('\n' + name + ' ' + version + ' (' + license + ')\n'), place);
  }
  assert.match(licences, /^mailferry\n\nMIT License/);
});

test('a package whose licence is not known to be passed on is refused', async () => {
  const place = join(folder, 'copyleft');
  for (const [name, license] of Object.entries({ copyleft: 'GPL-3.0-only', unsaid: undefined })) {
    mkdirSync(join(place, 'node_modules', name), { recursive: true });
    writeFileSync(
      join(place, 'node_modules', name, 'package.json'),
      JSON.stringify({ name, version: '1.0.0', license }),
    );
  }
  cpSync(join(root, 'LICENSE'), join(place, 'LICENSE'));
  await assert.rejects(
    collectLicences({ root: place, inputs: ['agent/main.ts', 'node_modules/copyleft/a.js'] }),
    /^UserError: Cannot bundle node_modules\/copyleft: its licence is GPL-3\.0-only, expected one of 0BSD, /,
  );
  await assert.rejects(
    collectLicences({ root: place, inputs: ['node_modules/unsaid/a.js'] }),
    /its licence is not stated/,
  );
});

test('of several licences one must be known; all of them together are not chosen from', () => {
  const cases: readonly (readonly [string, boolean])[] = [
    ['MIT', true],
    ['(MIT OR EUPL-1.1+)', true],
    ['(GPL-2.0 OR LGPL-2.1)', false],
    ['MIT AND GPL-2.0', false],
    ['', false],
  ];
  for (const [licence, expected] of cases) assert.equal(isAccepted(licence), expected, licence);
});

test('the folder of a package is found however deep it lies', () => {
  assert.equal(packageFolder('node_modules/a/node_modules/@b/c/d/e.js'), 'node_modules/a/node_modules/@b/c');
  assert.equal(packageFolder('node_modules/a/b.js'), 'node_modules/a');
  assert.equal(packageFolder('agent/main.ts'), undefined);
});
