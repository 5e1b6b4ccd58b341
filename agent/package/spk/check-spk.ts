// Whether Package Center would take a package, and whether it would work there, as far as a look at it can tell. Each problem
// is one line: place, what was found, what is expected. An empty list is no proof: only a NAS has the last word.
import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { describe } from '#shared/failure.ts';
import { readPngSize } from './icon.ts';
import { readInfo } from './info.ts';
import { checkConf, checkWizards } from './check-conf.ts';
import type { Files } from './check-conf.ts';
import { readTar } from './tar.ts';
import type { FoundEntry } from './tar.ts';

const members = [
  'INFO',
  'PACKAGE_ICON.PNG',
  'PACKAGE_ICON_256.PNG',
  'conf/privilege',
  'conf/resource',
  'package.tgz',
] as const;
/** The developer guide requires all of them, the installer a few. */
const scripts = [
  'preinst',
  'postinst',
  'preuninst',
  'postuninst',
  'preupgrade',
  'postupgrade',
  'start-stop-status',
] as const;
const necessary = ['package', 'version', 'os_min_ver', 'description', 'arch', 'maintainer', 'checksum'] as const;
const oldestBuild = 40_000;
const largest = 2 ** 31 - 1;

export function checkSpk(bytes: Buffer): readonly string[] {
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return ['the package is compressed, expected a plain tar'];
  const outer = open(bytes, 'the package');
  if (typeof outer === 'string') return [outer];
  const { files, problems } = outer;
  const missing = [...members, ...scripts.map((name) => 'scripts/' + name)].filter((name) => !files.has(name));
  const packed = files.get('package.tgz');
  const inner = packed === undefined ? undefined : unpack(packed.data);
  if (typeof inner === 'string') return [...problems, inner];
  return [
    ...problems,
    ...missing.map((name) => name + ': missing'),
    ...checkInfo(files, inner?.files ?? new Map()),
    ...checkIcons(files),
    ...checkScripts(files),
    ...(inner === undefined ? [] : [...inner.problems, ...checkProgram(inner.files), ...checkConf(files, inner.files)]),
    ...checkWizards(files),
  ];
}

type Opened = { readonly files: Files; readonly problems: readonly string[] };

function open(bytes: Buffer, what: string): Opened | string {
  try {
    const entries = readTar(bytes);
    const problems = entries.flatMap((entry) => checkName(entry, what));
    const names = entries.map(({ name }) => name);
    const twice = names.filter((name, index) => names.indexOf(name) !== index);
    return {
      files: new Map(entries.map((entry) => [entry.name, entry])),
      problems: [...problems, ...twice.map((name) => what + ': ' + name + ' for the second time')],
    };
  } catch (error) {
    return what + ': ' + describe(error);
  }
}

function unpack(packed: Buffer): Opened | string {
  try {
    return open(gunzipSync(packed), 'package.tgz');
  } catch (error) {
    return 'package.tgz: ' + describe(error) + ', expected a tar that gzip has compressed';
  }
}

function checkName({ name, type, mode, owner }: FoundEntry, what: string): readonly string[] {
  const problem = (text: string): string => what + ': ' + name + ' ' + text;
  const found: string[] = [];
  if (name.startsWith('/')) found.push(problem('is an absolute path'));
  if (name.startsWith('./')) found.push(problem('begins with ./, expected the bare name'));
  if (name.split('/').includes('..')) found.push(problem('leads out of the package'));
  if (type !== '0' && type !== '5') found.push(problem('is neither a file nor a folder'));
  if ((mode & 0o7000) !== 0) found.push(problem('has a mode with special rights'));
  if ((mode & 0o022) !== 0) found.push(problem('can be written by others'));
  if (owner !== 'root') found.push(problem('belongs to ' + owner + ', expected root'));
  return found;
}

function checkInfo(files: Files, inner: Files): readonly string[] {
  const info = files.get('INFO');
  if (info === undefined) return [];
  const { fields, problems } = readInfo(info.data.toString('utf8'));
  const expect = (right: boolean, key: string, expected: string): readonly string[] =>
    right ? [] : ['INFO: ' + key + '="' + (fields.get(key) ?? '') + '", expected ' + expected];
  const value = (key: string): string => fields.get(key) ?? '';
  const oldest = /^(\d+)\.(\d+)-(\d+)$/.exec(value('os_min_ver'));
  const sum = createHash('md5')
    .update(files.get('package.tgz')?.data ?? '')
    .digest('hex');
  const unpacked = [...inner.values()].reduce((total, { data }) => total + data.length, 0);
  const folder = value('dsmuidir');
  return [
    ...problems,
    ...necessary.filter((key) => value(key) === '').map((key) => 'INFO: no ' + key),
    ...expect(/^[A-Za-z0-9_.-]+$/.test(value('package')), 'package', 'a name of letters, digits, - and _'),
    ...expect(isVersion(value('version')), 'version', 'numbers below 2^31, as in 1.2.3-4'),
    ...expect(oldest !== null && Number(oldest[3]) >= oldestBuild, 'os_min_ver', '7.0-40000 or newer'),
    ...expect(value('checksum') === sum, 'checksum', sum + ', the MD5 of package.tgz'),
    ...expect(
      Number(value('extractsize')) === Math.ceil(unpacked / 1_024),
      'extractsize',
      String(Math.ceil(unpacked / 1_024)),
    ),
    ...expect(/^[1-9]\d{3,4}$/.test(value('adminport')), 'adminport', 'a port that needs no special rights'),
    ...expect(folder === '' || inner.has(folder + '/config'), 'dsmuidir', 'a folder of package.tgz with a config'),
  ];
}

function isVersion(text: string): boolean {
  return /^\d+(?:\.\d+)*-\d+$/.test(text) && text.split(/[.-]/).every((part) => Number(part) <= largest);
}

function checkIcons(files: Files): readonly string[] {
  const icons = [
    ['PACKAGE_ICON.PNG', 64],
    ['PACKAGE_ICON_256.PNG', 256],
  ] as const;
  return icons.flatMap(([name, size]) => {
    const entry = files.get(name);
    if (entry === undefined) return [];
    const found = readPngSize(entry.data);
    if (found?.width === size && found.height === size) return [];
    const what = found === undefined ? 'no PNG' : found.width + ' x ' + found.height;
    return [name + ': ' + what + ', expected a PNG of ' + size + ' x ' + size];
  });
}

function checkScripts(files: Files): readonly string[] {
  return [...files].flatMap(([name, { data, mode }]) => {
    if (!name.startsWith('scripts/') || name.endsWith('/')) return [];
    const text = data.toString('utf8');
    const found: string[] = [];
    if (mode !== 0o755) found.push(name + ': mode ' + mode.toString(8) + ', expected 755');
    return [...found, ...checkShell(name, text)];
  });
}

function checkProgram(inner: Files): readonly string[] {
  return [...inner].flatMap(([name, { data, mode }]) => {
    if (name.endsWith('.node')) return ['package.tgz: ' + name + ' is a native module, expected none for noarch'];
    if (data.subarray(0, 4).equals(Buffer.from([0x7f, 0x45, 0x4c, 0x46])))
      return ['package.tgz: ' + name + ' is a program for one kind of processor, expected none for noarch'];
    if (!name.startsWith('bin/') || name.endsWith('/')) return [];
    const text = data.toString('utf8');
    const runs = text.startsWith('#!');
    const wrong =
      runs && mode !== 0o755 ? ['package.tgz: ' + name + ': mode ' + mode.toString(8) + ', expected 755'] : [];
    return [...wrong, ...checkShell('package.tgz: ' + name, text)];
  });
}

/** A file that others source says so to shellcheck instead of to the system. */
function checkShell(name: string, text: string): readonly string[] {
  const first = text.split('\n')[0] ?? '';
  const found: string[] = [];
  if (first !== '#!/bin/sh' && first !== '# shellcheck shell=sh')
    found.push(name + ': begins with ' + JSON.stringify(first.slice(0, 40)) + ', expected #!/bin/sh');
  if (text.includes('\r')) found.push(name + ': has CR at the end of lines, expected LF alone');
  if (/^[^#\n]*\bset -[a-z]*x/m.test(text)) found.push(name + ': traces itself, which would log passwords');
  return found;
}
