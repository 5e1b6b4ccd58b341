// `npm run package:spk`: the package for DSM 7.2 and newer, from the bundle and the files beside this one. No toolkit is
// needed: an SPK is a tar. Promise: the same commit gives the same bytes, and what is written has passed check-spk.ts.
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { UserError, describe } from '#shared/failure.ts';
import { readVersion } from '#shared/version.ts';
import { writeBundle } from '../bundle.ts';
import { checkSpk } from './check-spk.ts';
import { drawIcon } from './icon.ts';
import { composeInfo, packageName, packageVersionOf } from './info.ts';
import { writeTar } from './tar.ts';
import type { TarEntry } from './tar.ts';

const root = join(import.meta.dirname, '..', '..', '..');
const ownFiles = join(import.meta.dirname, 'files');
/** Of the icons on the desktop of DSM. */
const desktopSizes = [16, 24, 32, 48, 64, 72, 256] as const;

export type SpkOptions = {
  /** Where the package is written to; made when it is not there. */
  readonly folder: string;
  /** Of writeBundle(). */
  readonly bundle: string;
  /** That of package.json when absent. */
  readonly version?: string;
  readonly build?: number;
};

/** Gives the path of the package. Throws UserError when what came out is not what Package Center takes. */
export function writeSpk(options: SpkOptions): string {
  const version = packageVersionOf(options.version ?? readVersion(), options.build);
  const bytes = composeSpk({ bundle: options.bundle, version });
  const problems = checkSpk(bytes);
  if (problems.length > 0)
    throw new UserError('Cannot make the package: it would be refused, or fail, on a NAS:\n' + problems.join('\n'));
  mkdirSync(options.folder, { recursive: true });
  const file = join(options.folder, packageName + '-' + version + '.spk');
  writeFileSync(file, bytes);
  return file;
}

/** `version`: as of packageVersionOf(). Unchecked. */
export function composeSpk({ bundle, version }: { readonly bundle: string; readonly version: string }): Buffer {
  const target = withFolders(collectTarget(bundle));
  const packed = gzipSync(writeTar(target), { level: 9 });
  packed[9] = 3; // the system that made it, by RFC 1952; zlib writes that of the machine
  const info = composeInfo({
    version,
    checksum: createHash('md5').update(packed).digest('hex'),
    unpackedBytes: target.reduce((sum, { data }) => sum + (data?.length ?? 0), 0),
  });
  return writeTar([
    { name: 'INFO', mode: 0o644, data: Buffer.from(info) },
    { name: 'PACKAGE_ICON.PNG', mode: 0o644, data: drawIcon(64) },
    { name: 'PACKAGE_ICON_256.PNG', mode: 0o644, data: drawIcon(256) },
    { name: 'LICENSE', mode: 0o644, data: readFileSync(join(root, 'LICENSE')) },
    ...withFolders([...collect('WIZARD_UIFILES', 0o644), ...collect('conf', 0o644)]),
    { name: 'package.tgz', mode: 0o644, data: packed },
    ...withFolders(collect('scripts', 0o755)),
  ]);
}

function collectTarget(bundle: string): readonly TarEntry[] {
  const own = collect('target', 0o644).map((entry) => {
    const name = entry.name.slice('target/'.length);
    return { ...entry, name, mode: name.startsWith('bin/') && !name.endsWith('/places') ? 0o755 : 0o644 };
  });
  const program = globSync('*', { cwd: bundle })
    .filter((name) => statSync(join(bundle, name)).isFile())
    .map((name) => ({ name: 'app/' + name, mode: 0o644, data: readFileSync(join(bundle, name)) }));
  const icons = desktopSizes.map((size) => ({
    name: 'ui/images/icon_' + size + '.png',
    mode: 0o644,
    data: drawIcon(size),
  }));
  return [...own, ...program, ...icons];
}

/** Regular files below a folder of `files/`. */
function collect(folder: string, mode: number): readonly TarEntry[] {
  return globSync(folder + '/**/*', { cwd: ownFiles })
    .filter((name) => statSync(join(ownFiles, name)).isFile())
    .map((name) => ({ name, mode, data: readFileSync(join(ownFiles, name)) }));
}

/** Sorted, each after the folders that it is in. */
function withFolders(entries: readonly TarEntry[]): readonly TarEntry[] {
  const folders = new Set<string>();
  for (const { name } of entries)
    for (let at = name.indexOf('/'); at >= 0; at = name.indexOf('/', at + 1)) folders.add(name.slice(0, at + 1));
  const all = [...[...folders].map((name) => ({ name, mode: 0o755 })), ...entries];
  return all.sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { out: { type: 'string' }, bundle: { type: 'string' }, build: { type: 'string' } },
  });
  const folder = values.out ?? join(root, '.artifacts');
  const build = values.build === undefined ? {} : { build: Number(values.build) };
  if (values.bundle !== undefined && !existsSync(values.bundle))
    throw new UserError(
      'Cannot find the bundle ' + values.bundle + ': expected a folder that `npm run bundle` has written',
    );
  const temporary = mkdtempSync(join(tmpdir(), 'mailferry-spk-'));
  chmodSync(temporary, 0o700);
  try {
    const bundle = values.bundle ?? temporary;
    if (values.bundle === undefined) await writeBundle(bundle);
    const file = writeSpk({ folder, bundle, ...build });
    const sum = createHash('sha256').update(readFileSync(file)).digest('hex');
    process.stdout.write(file + '  ' + Math.ceil(statSync(file).size / 1_000) + ' kB  sha256 ' + sum + '\n');
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await main().catch((error: unknown) => {
    process.stderr.write((error instanceof UserError ? error.message : describe(error)) + '\n');
    process.exitCode = 1;
  });
}
