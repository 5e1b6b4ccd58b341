// Which packages came into the bundle, under which licences, with their texts: what each of them asks of whoever passes it on.
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '#shared/failure.ts';
import { isRecord } from '#shared/json.ts';

/** May be passed on in a product of any licence, as long as the text goes with it. */
const accepted: readonly string[] = [
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BlueOak-1.0.0',
  'ISC',
  'MIT',
  'MIT-0',
];

/** `inputs`: files of the bundle, from `root`. Throws UserError for a package whose licence is unknown. */
export async function collectLicences(options: {
  readonly root: string;
  readonly inputs: readonly string[];
}): Promise<string> {
  const { root } = options;
  const folders = new Set(options.inputs.flatMap((input) => packageFolder(input) ?? []));
  const packages = await Promise.all([...folders].sort().map((folder) => readPackage(root, folder)));
  // The same package may lie in two folders.
  const texts = [...new Set(packages.map(render))].sort();
  const own = await readFile(join(root, 'LICENSE'), 'utf8');
  return ['mailferry\n\n' + own.trim(), ...texts].join('\n\n' + '-'.repeat(80) + '\n\n') + '\n';
}

/** `node_modules/a/node_modules/@b/c/d.js` -> `node_modules/a/node_modules/@b/c`. */
export function packageFolder(input: string): string | undefined {
  return /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(input)?.[0];
}

type Package = { readonly name: string; readonly version: string; readonly licence: string; readonly text: string };

async function readPackage(root: string, folder: string): Promise<Package> {
  const parsed: unknown = JSON.parse(await readFile(join(root, folder, 'package.json'), 'utf8'));
  const field = (name: string): string => {
    const value = isRecord(parsed) ? parsed[name] : undefined;
    return typeof value === 'string' ? value : '';
  };
  const licence = field('license');
  if (!isAccepted(licence)) {
    throw new UserError(
      'Cannot bundle ' +
        folder +
        ': its licence is ' +
        (licence || 'not stated') +
        ', expected one of ' +
        accepted.join(', '),
    );
  }
  const files = (await readdir(join(root, folder))).filter((name) => /^(?:licen[cs]e|copying|notice)\b/i.test(name));
  const texts = await Promise.all(files.sort().map((name) => readFile(join(root, folder, name), 'utf8')));
  return {
    name: field('name'),
    version: field('version'),
    licence,
    text: texts.map((text) => text.replaceAll('\r\n', '\n').trim()).join('\n\n'),
  };
}

/** Of several to choose from (SPDX: `A OR B`) one is enough. */
export function isAccepted(licence: string): boolean {
  const choices = licence.replace(/^\((.*)\)$/, '$1').split(' OR ');
  return choices.some((choice) => accepted.includes(choice));
}

function render({ name, version, licence, text }: Package): string {
  return (
    name +
    ' ' +
    version +
    ' (' +
    licence +
    ')\n\n' +
    (text || 'The package states this licence and holds no text of it.')
  );
}
