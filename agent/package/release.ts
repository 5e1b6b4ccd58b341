// `npm run release [-- --out FOLDER] [--url BASE] [--build N]`: everything of one version, in one folder: bundle, package for DSM,
// context of the container, what has changed, checksums, and a catalogue from which a fleet of NAS updates itself.
// The version is that of package.json and stands nowhere else; the same commit gives the same bytes.
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { UserError, describe } from '#shared/failure.ts';
import { readVersion } from '#shared/version.ts';
import { bundleName, licencesName, writeBundle } from './bundle.ts';
import { composeCatalogue } from './catalogue.ts';
import { changesOf } from './changes.ts';
import { drawIcon } from './spk/icon.ts';
import { writeSpk } from './spk/write-spk.ts';

const root = join(import.meta.dirname, '..', '..');
const container = join(import.meta.dirname, 'container');

export type ReleaseOptions = {
  /** Replaced when it is there. */
  readonly folder: string;
  /** Where the folder will be on the web, with the slash at the end. */
  readonly url: string;
  /** That of package.json when absent. */
  readonly version?: string;
  /** Of the package for DSM: the same version packed once more. */
  readonly build?: number;
  /** CHANGELOG.md when absent. */
  readonly changelog?: string;
};

/** Gives the names of the files, from the folder. Throws UserError when something of the release is missing. */
export async function writeRelease(options: ReleaseOptions): Promise<readonly string[]> {
  const { folder, url, version = readVersion(), build = 1 } = options;
  const changes = changesOf(options.changelog ?? readFileSync(join(root, 'CHANGELOG.md'), 'utf8'), version);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  await writeBundle(folder, version);
  const spk = writeSpk({ folder, bundle: folder, version, build });
  writeContainer(folder, version);
  writeFileSync(join(folder, 'CHANGES.md'), '# mailferry ' + version + '\n\n' + changes + '\n');
  for (const size of [64, 256]) writeFileSync(join(folder, 'icon-' + size + '.png'), drawIcon(size));
  const catalogue = composeCatalogue({ spk: readFileSync(spk), name: basename(spk), url, changes });
  writeFileSync(join(folder, 'packages.json'), JSON.stringify(catalogue, null, 2) + '\n');
  const files = listFiles(folder);
  writeFileSync(join(folder, 'SHA256SUMS'), sumsOf(folder, files));
  return [...files, 'SHA256SUMS'].sort();
}

/** Everything that `docker build` needs. */
function writeContainer(folder: string, version: string): void {
  const context = join(folder, 'container');
  mkdirSync(context);
  const program = [bundleName, licencesName];
  for (const name of program) cpSync(join(folder, name), join(context, name));
  cpSync(join(container, 'Dockerfile'), join(context, 'Dockerfile'));
  const compose = readFileSync(join(container, 'compose.yaml'), 'utf8');
  writeFileSync(join(context, 'compose.yaml'), compose.replace('mailferry:VERSION', 'mailferry:' + version));
  writeFileSync(join(context, 'SHA256SUMS'), sumsOf(context, program));
}

/** As `sha256sum` writes and checks them. */
function sumsOf(folder: string, files: readonly string[]): string {
  return files
    .map(
      (file) =>
        createHash('sha256')
          .update(readFileSync(join(folder, file)))
          .digest('hex') +
        '  ' +
        file +
        '\n',
    )
    .join('');
}

function listFiles(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { out: { type: 'string' }, url: { type: 'string' }, build: { type: 'string' } },
  });
  const folder = values.out ?? join(root, '.artifacts', 'release');
  if (values.out !== undefined && existsSync(folder) && !existsSync(join(folder, 'SHA256SUMS')))
    throw new UserError(
      'Cannot write the release to ' + folder + ': it is there and is no release, expected a new folder',
    );
  // Links that begin with nothing are relative to the catalogue.
  const url = values.url ?? '';
  if (url !== '' && !/^https:\/\/.+\/$/.test(url))
    throw new UserError('Cannot use --url ' + url + ': expected https://HOST/FOLDER/, with the slash at the end');
  const build = values.build === undefined ? {} : { build: Number(values.build) };
  for (const file of await writeRelease({ folder, url, ...build })) process.stdout.write(join(folder, file) + '\n');
  if (url === '')
    process.stdout.write('packages.json has no addresses: Package Center needs them, say --url https://HOST/FOLDER/\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await main().catch((error: unknown) => {
    process.stderr.write((error instanceof UserError ? error.message : describe(error)) + '\n');
    process.exitCode = 1;
  });
}
