// The package as a file: what DSM reads of it, by tools that know nothing of ours, and broken packages, each of which is found.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { checkSpk } from '../../../../agent/package/spk/check-spk.ts';
import { drawIcon } from '../../../../agent/package/spk/icon.ts';
import { packageVersionOf, pagePort, submissionPort } from '../../../../agent/package/spk/info.ts';
import { readTar, writeTar } from '../../../../agent/package/spk/tar.ts';
import type { TarEntry } from '../../../../agent/package/spk/tar.ts';
import { composeSpk, writeSpk } from '../../../../agent/package/spk/write-spk.ts';

const folder = mkdtempSync(join(tmpdir(), 'mailferry-spk-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** What a bundle looks like from outside. */
const bundle = join(folder, 'bundle');
mkdirSync(bundle);
writeFileSync(join(bundle, 'mailferry-agent.mjs'), '#!/usr/bin/env node\nconsole.log("agent");\n');
writeFileSync(join(bundle, 'LICENSES.txt'), 'MIT\n');
const good = composeSpk({ bundle, version: '0.1.0-1' });

/** By Debian's tar, with its own reading of what we wrote. */
function unpack(bytes: Buffer, name: string): string {
  const place = join(folder, name);
  mkdirSync(place);
  writeFileSync(place + '.tar', bytes);
  execFileSync('tar', ['-xpf', place + '.tar', '-C', place]);
  return place;
}

test('the package is a plain tar with bare names, the same bytes each time, and passes its own check', () => {
  assert.deepEqual(checkSpk(good), []);
  assert.deepEqual(composeSpk({ bundle, version: '0.1.0-1' }), good);
  assert.notEqual(good.readUInt16BE(0), 0x1f8b, 'not compressed');
  writeFileSync(join(folder, 'good.spk'), good);
  const names = execFileSync('tar', ['-tf', join(folder, 'good.spk')], { encoding: 'utf8' })
    .trim()
    .split('\n');
  assert.equal(names[0], 'INFO');
  assert.ok(names.every((name) => !name.startsWith('.') && !name.startsWith('/')));
  for (const needed of ['PACKAGE_ICON.PNG', 'PACKAGE_ICON_256.PNG', 'package.tgz', 'conf/privilege', 'scripts/preinst'])
    assert.ok(names.includes(needed), needed);
});

test('a shell reads INFO, and it says what DSM needs to know', () => {
  const place = unpack(good, 'info');
  const keys = [
    'package',
    'version',
    'os_min_ver',
    'arch',
    'install_dep_packages',
    'adminprotocol',
    'adminport',
    'checksum',
  ];
  const script = '. ./INFO && printf "%s\\n" ' + keys.map((key) => '"$' + key + '"').join(' ');
  const said = execFileSync('sh', ['-euc', script], { cwd: place, encoding: 'utf8' }).trim().split('\n');
  const sum = createHash('md5')
    .update(readFileSync(join(place, 'package.tgz')))
    .digest('hex');
  assert.deepEqual(said, [
    'mailferry',
    '0.1.0-1',
    '7.2-64570',
    'noarch',
    'Node.js_v22',
    'https',
    String(pagePort),
    sum,
  ]);
});

test('what is installed holds no folder outside, no link, no native program, and can be run where it must', () => {
  const place = unpack(good, 'outer');
  const inner = join(place, 'inner');
  mkdirSync(inner);
  execFileSync('tar', ['-xpzf', join(place, 'package.tgz'), '-C', inner]);
  for (const program of ['bin/mailferry', 'bin/run-agent', 'bin/before-stop'])
    assert.equal(statSync(join(inner, program)).mode & 0o7777, 0o755, program);
  assert.equal(
    readFileSync(join(inner, 'app/mailferry-agent.mjs'), 'utf8'),
    readFileSync(join(bundle, 'mailferry-agent.mjs'), 'utf8'),
  );
  const services = readFileSync(join(inner, 'port_conf/mailferry.sc'), 'utf8');
  assert.ok(services.includes('"' + pagePort + '/tcp"') && services.includes('"' + submissionPort + '/tcp"'));
  assert.ok(readFileSync(join(inner, 'ui/config'), 'utf8').includes('"port": "' + pagePort + '"'));
  for (const script of readdirSync(join(place, 'scripts'))) execFileSync('sh', ['-n', join(place, 'scripts', script)]);
});

test('a version that Package Center would not take makes no package', () => {
  assert.equal(packageVersionOf('1.20.3', 7), '1.20.3-7');
  for (const [version, build] of [
    ['1.0.0-rc.1', 1],
    ['1.0', 1],
    ['4294967296.0.0', 1],
    ['1.0.0', 0],
    ['1.0.0', 1.5],
    ['', 1],
  ] as const)
    assert.throws(() => packageVersionOf(version, build), /Package Center knows digits alone, expected a version/);
});

test('a tar is read back as it was written, and a damaged one is refused', () => {
  const entries: readonly TarEntry[] = [
    { name: 'folder/', mode: 0o755 },
    { name: 'folder/empty', mode: 0o644, data: Buffer.alloc(0) },
    { name: 'folder/block', mode: 0o600, data: Buffer.alloc(512, 7) },
    { name: 'über', mode: 0o644, data: Buffer.alloc(513, 9) },
  ];
  const bytes = writeTar(entries);
  assert.deepEqual(
    readTar(bytes).map(({ name, mode, data }) => [name, mode, data.length]),
    [
      ['folder/', 0o755, 0],
      ['folder/empty', 0o644, 0],
      ['folder/block', 0o600, 512],
      ['über', 0o644, 513],
    ],
  );
  writeFileSync(join(folder, 'table.tar'), bytes);
  const listed = execFileSync('tar', ['--list', '--quoting-style=literal', '-f', join(folder, 'table.tar')], {
    encoding: 'utf8',
  });
  assert.deepEqual(
    listed.trim().split('\n'),
    entries.map(({ name }) => name),
  );
  for (const at of [0, 120, 300]) {
    const damaged = Buffer.from(bytes);
    damaged[at] = (damaged[at] ?? 0) ^ 1;
    assert.throws(() => readTar(damaged), /Cannot read the tar/);
  }
  for (const length of [0, 511, 1_100, bytes.length - 1_024])
    assert.throws(() => readTar(bytes.subarray(0, length)), /Cannot read the tar/);
  assert.throws(() => writeTar([{ name: 'x'.repeat(100), mode: 0o644 }]), /expected at most 99/);
});

type Edit = (files: Map<string, { mode: number; data: Buffer }>) => void;

/** A package of the same kind with other contents. INFO is made to fit package.tgz again, so that the fault stands alone. */
function change(edit: {
  readonly outer?: Edit;
  readonly inner?: Edit;
  readonly info?: (text: string) => string;
}): Buffer {
  const outer = open(good);
  const inner = open(gunzipSync(outer.get('package.tgz')?.data ?? Buffer.alloc(0)));
  edit.inner?.(inner);
  const packed = gzipSync(pack(inner));
  outer.set('package.tgz', { mode: 0o644, data: packed });
  const bytes = [...inner.values()].reduce((sum, { data }) => sum + data.length, 0);
  const info = (outer.get('INFO')?.data.toString('utf8') ?? '')
    .replace(/^checksum=.*$/m, 'checksum="' + createHash('md5').update(packed).digest('hex') + '"')
    .replace(/^extractsize=.*$/m, 'extractsize="' + Math.ceil(bytes / 1_024) + '"');
  outer.set('INFO', { mode: 0o644, data: Buffer.from(edit.info?.(info) ?? info) });
  edit.outer?.(outer);
  return pack(outer);
}

function open(bytes: Buffer): Map<string, { mode: number; data: Buffer }> {
  return new Map(readTar(bytes).map(({ name, mode, data }) => [name, { mode, data }]));
}

function pack(files: ReadonlyMap<string, { readonly mode: number; readonly data: Buffer }>): Buffer {
  return writeTar(
    [...files].map(([name, file]) => ({ name, mode: file.mode, ...(name.endsWith('/') ? {} : { data: file.data }) })),
  );
}

const rewrite =
  (name: string, from: string | RegExp, to: string): Edit =>
  (files) => {
    const file = files.get(name);
    const text = file?.data.toString('utf8') ?? '';
    assert.notEqual(text.replace(from, to), text, 'the fault is planted in ' + name);
    files.set(name, { mode: file?.mode ?? 0o644, data: Buffer.from(text.replace(from, to)) });
  };
const drop =
  (name: string): Edit =>
  (files) =>
    assert.ok(files.delete(name));
const put =
  (name: string, data: Buffer | string, mode = 0o644): Edit =>
  (files) =>
    files.set(name, { mode, data: Buffer.from(data) });

/** Header fields that our writer cannot make, by the offsets of ustar. */
function patch(bytes: Buffer, name: string, at: number, text: string): Buffer {
  const start = bytes.indexOf(name + '\0');
  assert.ok(start >= 0 && start % 512 === 0);
  const copy = Buffer.from(bytes);
  copy.write(text, start + at, 'latin1');
  copy.write('        ', start + 148);
  const sum = copy.subarray(start, start + 512).reduce((total, byte) => total + byte, 0);
  copy.write(sum.toString(8).padStart(6, '0') + '\0 ', start + 148, 'latin1');
  return copy;
}
const patchInner = (name: string, at: number, text: string): Buffer => {
  const inner = gunzipSync(open(good).get('package.tgz')?.data ?? Buffer.alloc(0));
  const packed = gzipSync(patch(inner, name, at, text));
  const sum = createHash('md5').update(packed).digest('hex');
  return change({
    outer: (files) => {
      put('package.tgz', packed)(files);
      rewrite('INFO', /checksum="[^"]*"/, 'checksum="' + sum + '"')(files);
    },
  });
};

const broken: readonly (readonly [fault: string, bytes: () => Buffer, expected: RegExp])[] = [
  ['the whole package is compressed', () => gzipSync(good), /is compressed, expected a plain tar/],
  ['the download broke off', () => good.subarray(0, good.length - 2_000), /cut off|ends at byte/],
  [
    'package.tgz is another one than INFO says',
    () => change({ info: (text) => text.replace(/checksum="../, 'checksum="zz') }),
    /INFO: checksum="zz/,
  ],
  ['package.tgz is not compressed', () => change({ outer: put('package.tgz', 'plain') }), /package\.tgz: .*gzip/],
  ['a script is missing', () => change({ outer: drop('scripts/postuninst') }), /scripts\/postuninst: missing/],
  [
    'a script cannot be run',
    () => change({ outer: put('scripts/preinst', '#!/bin/sh\n') }),
    /scripts\/preinst: mode 644, expected 755/,
  ],
  [
    'a script came from Windows',
    () => change({ outer: rewrite('scripts/preinst', /\n/g, '\r\n') }),
    /scripts\/preinst: has CR/,
  ],
  [
    'a script is for another shell',
    () => change({ outer: rewrite('scripts/preinst', '#!/bin/sh', '#!/bin/bash') }),
    /expected #!\/bin\/sh/,
  ],
  [
    'a script traces what it does',
    () => change({ outer: rewrite('scripts/common', 'set +x', 'set -ux') }),
    /scripts\/common: traces itself/,
  ],
  [
    'the icon has another size',
    () => change({ outer: put('PACKAGE_ICON.PNG', drawIcon(72)) }),
    /PACKAGE_ICON\.PNG: 72 x 72, expected a PNG of 64 x 64/,
  ],
  [
    'the icon is no picture',
    () => change({ outer: put('PACKAGE_ICON_256.PNG', 'GIF89a') }),
    /PACKAGE_ICON_256\.PNG: no PNG/,
  ],
  [
    'it runs as root',
    () => change({ outer: rewrite('conf/privilege', 'package', 'root') }),
    /conf\/privilege: run-as "root"/,
  ],
  [
    'it asks for capabilities',
    () =>
      change({
        outer: put('conf/privilege', '{"defaults":{"run-as":"package"},"tool":[{"capabilities":"cap_net_raw"}]}'),
      }),
    /conf\/privilege: capabilities/,
  ],
  ['conf/resource is no JSON', () => change({ outer: rewrite('conf/resource', '{', '') }), /conf\/resource: no JSON/],
  [
    'the firewall entry is missing',
    () => change({ inner: drop('port_conf/mailferry.sc') }),
    /protocol-file "port_conf\/mailferry\.sc" is not in package\.tgz/,
  ],
  [
    'the firewall entry has another port',
    () => change({ inner: rewrite('port_conf/mailferry.sc', '8421', '8422') }),
    /lacks adminport 8421/,
  ],
  [
    'a port needs root',
    () => change({ inner: rewrite('port_conf/mailferry.sc', '2525/tcp', '25/tcp') }),
    /port 25 needs root/,
  ],
  [
    'the log is rotated by a file that is not there',
    () => change({ inner: drop('conf/logrotate.conf') }),
    /logrotate-relpath .* is not in package\.tgz/,
  ],
  [
    'the command line is not there',
    () => change({ inner: drop('bin/mailferry') }),
    /bin "bin\/mailferry" is not in package\.tgz/,
  ],
  [
    'the command line cannot be run',
    () => change({ inner: rewrite('bin/mailferry', '#!/bin/sh', '#!/bin/sh ') }),
    /bin\/mailferry: begins with/,
  ],
  [
    'the unit starts something else',
    () => change({ outer: rewrite('conf/systemd/pkguser-mailferry.service', 'run-agent', 'run') }),
    /ExecStart=.* is no program of package\.tgz/,
  ],
  [
    'there is no unit',
    () => change({ outer: drop('conf/systemd/pkguser-mailferry.service') }),
    /there is no conf\/systemd\/pkguser-/,
  ],
  [
    'a native module came along',
    () => change({ inner: put('app/build.node', 'x') }),
    /app\/build\.node is a native module/,
  ],
  [
    'a program for one processor came along',
    () => change({ inner: put('app/tool', Buffer.from('7f454c4602', 'hex')) }),
    /app\/tool is a program for one kind of processor/,
  ],
  ['a file leads out', () => patchInner('app/LICENSES.txt', 0, 'app/../../e.txt'), /leads out of the package/],
  ['a file is absolute', () => patchInner('app/LICENSES.txt', 0, '/'), /is an absolute path/],
  ['names begin with ./', () => patch(good, 'LICENSE', 0, './LICEN'), /begins with \.\//],
  ['a link came along', () => patchInner('app/LICENSES.txt', 156, '2'), /is neither a file nor a folder/],
  ['a file runs as its owner', () => patchInner('app/LICENSES.txt', 100, '0004755'), /has a mode with special rights/],
  ['others may write a file', () => patchInner('app/LICENSES.txt', 100, '0000777'), /can be written by others/],
  ['files belong to whoever built it', () => patch(good, 'LICENSE', 265, 'staff'), /belongs to staff, expected root/],
  [
    'INFO would run a command',
    () => change({ info: (text) => text.replace('maintainer="mailferry"', 'maintainer="$(id)"') }),
    /INFO:\d+: expected key="value"/,
  ],
  [
    'INFO lacks the oldest DSM',
    () => change({ info: (text) => text.replace(/os_min_ver.*\n/, '') }),
    /INFO: no os_min_ver/,
  ],
  [
    'INFO asks for DSM 6',
    () => change({ info: (text) => text.replace('7.2-64570', '6.2-23739') }),
    /os_min_ver="6\.2-23739", expected 7\.0-40000/,
  ],
  [
    'the version has letters',
    () => change({ info: (text) => text.replace('0.1.0-1', '0.1.0-rc1') }),
    /version="0\.1\.0-rc1"/,
  ],
  [
    'the version is too large',
    () => change({ info: (text) => text.replace('0.1.0-1', '0.1.0-2147483648') }),
    /numbers below 2\^31/,
  ],
  [
    'a wizard is no JSON',
    () => change({ outer: rewrite('WIZARD_UIFILES/install_uifile', '[', '') }),
    /install_uifile: no JSON/,
  ],
  [
    'the German wizard asks for something else',
    () => change({ outer: rewrite('WIZARD_UIFILES/install_uifile_ger', 'wizard_page_password_again', 'wizard_other') }),
    /install_uifile_ger: asks for other things/,
  ],
  [
    'a wizard sets a variable of the system',
    () => change({ outer: rewrite('WIZARD_UIFILES/uninstall_uifile', 'wizard_erase_queue', 'PATH') }),
    /key PATH, expected wizard_/,
  ],
  [
    'a wizard has a broken pattern',
    () => change({ outer: rewrite('WIZARD_UIFILES/install_uifile', '(MF', '((MF') }),
    /is no pattern/,
  ],
];

test('an unchanged package that was taken apart and put together again has no problem', () => {
  assert.deepEqual(checkSpk(change({})), []);
});

for (const [fault, bytes, expected] of broken) {
  test('found: ' + fault, () => {
    const problems = checkSpk(bytes());
    assert.ok(
      problems.some((problem) => expected.test(problem)),
      'found ' + JSON.stringify(problems),
    );
    assert.ok(problems.length <= 2, 'and nothing else: ' + JSON.stringify(problems));
  });
}

test('writeSpk() writes no package that would be refused', () => {
  const place = join(folder, 'out');
  writeFileSync(join(bundle, 'addon.node'), 'native');
  try {
    assert.throws(() => writeSpk({ folder: place, bundle, version: '0.1.0' }), /addon\.node is a native module/);
  } finally {
    rmSync(join(bundle, 'addon.node'));
  }
  const file = writeSpk({ folder: place, bundle, version: '0.2.0', build: 3 });
  assert.equal(file, join(place, 'mailferry-0.2.0-3.spk'));
  assert.deepEqual(readdirSync(place), ['mailferry-0.2.0-3.spk']);
});
