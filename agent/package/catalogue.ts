// A package source for Package Center: the JSON that it asks a web server for. Whoever looks after a fleet puts the folder of
// a release on any web server and adds its address once on each NAS. Pure.
import { createHash } from 'node:crypto';
import { UserError } from '#shared/failure.ts';
import { readInfo } from './spk/info.ts';
import { readTar } from './spk/tar.ts';

export type Catalogue = {
  readonly packages: readonly CatalogueEntry[];
  /** DSM 7 has no keys of package sources any more, but reads the list. */
  readonly keyrings: readonly string[];
};
/** Names as Package Center knows them. */
export type CatalogueEntry = {
  readonly package: string;
  readonly version: string;
  readonly dname: string;
  readonly desc: string;
  readonly link: string;
  readonly md5: string;
  readonly size: number;
  readonly thumbnail: readonly string[];
  readonly changelog: string;
  readonly maintainer: string;
  /** Installed, started, upgraded without a question: the first two need the wizard's. */
  readonly qinst: boolean;
  readonly qstart: boolean;
  readonly qupgrade: boolean;
  readonly deppkgs: Readonly<Record<string, object>> | null;
  readonly conflictpkgs: null;
  readonly beta: boolean;
};

/** Everything that the package itself says is taken from it, so that the two cannot differ. */
export function composeCatalogue(options: {
  readonly spk: Buffer;
  /** Of its file. */
  readonly name: string;
  readonly url: string;
  readonly changes: string;
}): Catalogue {
  const { spk, name, url, changes } = options;
  const info = readTar(spk).find((entry) => entry.name === 'INFO');
  const { fields } = readInfo(info?.data.toString('utf8') ?? '');
  const field = (key: string): string => {
    const value = fields.get(key);
    if (value === undefined) throw new UserError('Cannot make the catalogue: INFO of ' + name + ' has no ' + key);
    return value;
  };
  const needs = fields.get('install_dep_packages')?.split(':') ?? [];
  const entry: CatalogueEntry = {
    package: field('package'),
    version: field('version'),
    dname: field('displayname'),
    desc: field('description'),
    link: url + name,
    md5: createHash('md5').update(spk).digest('hex'),
    size: spk.length,
    thumbnail: [url + 'icon-64.png', url + 'icon-256.png'],
    changelog: changes,
    maintainer: field('maintainer'),
    qinst: field('silent_install') === 'yes',
    qstart: field('silent_install') === 'yes',
    qupgrade: field('silent_upgrade') === 'yes',
    deppkgs: needs.length === 0 ? null : Object.fromEntries(needs.map((one) => [one, {}])),
    conflictpkgs: null,
    beta: false,
  };
  return { packages: [entry], keyrings: [] };
}
