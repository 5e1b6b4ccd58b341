// `npm run bundle`: the agent and its command line as one file without dependencies, its source map, and the licences of
// what it contains. The same commit with the same packages gives the same bytes, wherever it is built.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { builtinModules } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import type { BuildResult, Metafile } from 'esbuild';
import { UserError, describe } from '#shared/failure.ts';
import { readVersion } from '#shared/version.ts';
import { collectLicences } from './licences.ts';
import { createLateModules, lateBuiltins, withoutExtras } from './lighter.ts';

const root = dirname(dirname(import.meta.dirname));
export const bundleName = 'mailferry-agent.mjs';
export const licencesName = 'LICENSES.txt';

export type Bundle = {
  /** Names inside the folder. */
  readonly files: readonly string[];
  /** What came into it, from the root of the repository. */
  readonly inputs: readonly string[];
};

/**
 * Writes `mailferry-agent.mjs`, `mailferry-agent.mjs.map` and `LICENSES.txt`. Creates the folder. `version`: what it says it
 * is, that of package.json by default.
 */
export async function writeBundle(folder: string, version = readVersion()): Promise<Bundle> {
  const result = await compile(version);
  const inputs = Object.keys(result.metafile.inputs)
    .filter((input) => !/^(?:builtin|extra|late):/.test(input))
    .sort();
  refuseForeignImports(result.metafile);
  await mkdir(folder, { recursive: true });
  const names: string[] = [];
  for (const file of result.outputFiles) {
    const name = file.path.slice(dirname(file.path).length + 1);
    await writeFile(join(folder, name), file.contents);
    names.push(name);
  }
  await writeFile(join(folder, licencesName), await collectLicences({ root, inputs }));
  return { files: [...names, licencesName].sort(), inputs };
}

/**
 * In memory, with all paths seen from the repository: the map holds paths, and where the bundle is written to must not
 * show in it. As short as it gets, since the text of a program stays in memory as long as it runs; what a stack trace meant
 * is told by the map. ASCII, because one other letter makes V8 keep two bytes for each letter of the file.
 */
async function compile(
  version: string,
): Promise<BuildResult<{ write: false; metafile: true }> & { metafile: Metafile }> {
  const lateModules = createLateModules();
  const result = await build({
    absWorkingDir: root,
    preserveSymlinks: true, // where the packages really lie must not show either
    tsconfigRaw: {}, // nor what else lies around
    entryPoints: ['agent/one-file.ts'],
    outfile: bundleName,
    bundle: true,
    write: false,
    metafile: true,
    platform: 'node',
    format: 'esm',
    target: 'node22.13',
    charset: 'ascii',
    minifyWhitespace: true,
    minifySyntax: true,
    minifyIdentifiers: true,
    lineLimit: 160, // an uncaught error shows the line that it came from, whole
    legalComments: 'none', // LICENSES.txt has them whole
    sourcemap: 'linked',
    sourcesContent: false,
    logLevel: 'error',
    plugins: [withoutExtras, lateBuiltins, lateModules.plugin],
    define: {
      MAILFERRY_VERSION: JSON.stringify(version),
      // Native helpers of ws: without them it does not even look for a folder of packages.
      'process.env.WS_NO_BUFFER_UTIL': '"1"',
      'process.env.WS_NO_UTF_8_VALIDATE': '"1"',
    },
    banner: {
      js: [
        '#!/usr/bin/env node',
        // What comes from CommonJS asks for Node's own modules with require().
        "import{createRequire as mailferryRequire}from'node:module';const require=mailferryRequire(import.meta.url);",
      ].join('\n'),
    },
  });
  const [stale] = lateModules.unused();
  if (stale !== undefined)
    throw new UserError('Cannot build the bundle: nothing matches ' + stale + ', expected that import in the packages');
  return result;
}

/** One file means one file: what is neither in it nor in Node would be missing on the NAS. */
function refuseForeignImports(metafile: Metafile): void {
  const known = new Set(builtinModules);
  const foreign = Object.values(metafile.outputs).flatMap((output) =>
    output.imports.flatMap(({ path }) => (path.startsWith('node:') || known.has(path) ? [] : [path])),
  );
  if (foreign.length === 0) return;
  throw new UserError(
    'Cannot build the bundle: it would ask for ' +
      foreign.join(', ') +
      " at run time, expected Node's own modules alone",
  );
}

async function main(): Promise<void> {
  const { positionals } = parseArgs({ allowPositionals: true });
  const folder = positionals[0] ?? join(root, '.artifacts', 'bundle');
  const { files } = await writeBundle(folder);
  for (const file of files) {
    const { length } = await readFile(join(folder, file));
    process.stdout.write(join(folder, file) + '  ' + Math.ceil(length / 1_000) + ' kB\n');
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await main().catch((error: unknown) => {
    process.stderr.write((error instanceof UserError ? error.message : describe(error)) + '\n');
    process.exitCode = 1;
  });
}
