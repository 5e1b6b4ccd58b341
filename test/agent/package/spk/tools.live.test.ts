// The package, by tools that know shells, files and units better than we do.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createLab } from '../../../lab/lab.ts';
import { buildSpks } from './nas.ts';

const files = join(import.meta.dirname, '..', '..', '..', '..', 'agent', 'package', 'spk', 'files');

test('shellcheck finds nothing in any script of the package', () => {
  const scripts = globSync(['scripts/*', 'target/bin/*'], { cwd: files });
  assert.ok(scripts.length >= 12, scripts.join());
  const args = ['--external-sources', '--source-path=SCRIPTDIR', '--shell=sh', '--severity=style', ...scripts];
  assert.equal(execFileSync('shellcheck', args, { cwd: files, encoding: 'utf8' }), '');
});

test('file(1) takes the package for a plain tar, and its icons for pictures of the right size', async (t) => {
  const lab = createLab(t);
  const [spk = ''] = await buildSpks(lab.dir, ['0.1.0']);
  const kind = (path: string): string => execFileSync('file', ['--brief', path], { encoding: 'utf8' });
  assert.match(kind(spk), /^POSIX tar archive/);
  execFileSync('tar', ['-xf', spk, '-C', lab.dir]);
  assert.match(kind(join(lab.dir, 'PACKAGE_ICON.PNG')), /PNG image data, 64 x 64, 8-bit\/color RGBA/);
  assert.match(kind(join(lab.dir, 'PACKAGE_ICON_256.PNG')), /PNG image data, 256 x 256, 8-bit\/color RGBA/);
  assert.match(kind(join(lab.dir, 'package.tgz')), /gzip compressed data/);
});
