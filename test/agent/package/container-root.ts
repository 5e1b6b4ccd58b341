// A container without a container engine: the instructions of our Dockerfile, carried out on a root folder whose base is this
// Debian, in mount namespaces of their own. Knows the instructions that stand in it; any other fails the test. Needs root.
import { execFileSync } from 'node:child_process';
import { cpSync, chownSync, copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export type Instruction = {
  readonly word: string;
  readonly flags: Readonly<Record<string, string>>;
  readonly text: string;
};
export type Stage = { readonly name: string; readonly instructions: readonly Instruction[] };

/** Comments and continued lines as Docker reads them. */
export function readDockerfile(text: string): readonly Stage[] {
  const lines = text
    .split('\n')
    .filter((line) => !/^\s*#/.test(line))
    .join('\n')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .filter((line) => line.trim() !== '');
  const stages: { name: string; instructions: Instruction[] }[] = [];
  for (const line of lines) {
    const [, word = '', rest = ''] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
    const flags: Record<string, string> = {};
    const plain = rest.replaceAll(/^(?:--([a-z-]+)=(\S+)\s+)+/g, (all) => {
      for (const [, flag = '', value = ''] of all.matchAll(/--([a-z-]+)=(\S+)/g)) flags[flag] = value;
      return '';
    });
    if (word === 'FROM') stages.push({ name: / AS (\S+)$/.exec(plain)?.[1] ?? '', instructions: [] });
    stages.at(-1)?.instructions.push({ word, flags, text: plain });
  }
  return stages;
}

export type Image = {
  /** From outside. */
  readonly root: string;
  readonly env: Readonly<Record<string, string>>;
  readonly user: string;
  readonly folder: string;
  readonly volumes: readonly string[];
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  /** A line for a shell. */
  readonly health: string;
};

/** `node`: the program of the base image. */
export function buildImage(options: {
  readonly dockerfile: string;
  readonly context: string;
  readonly folder: string;
  readonly node: string;
}): Image {
  const roots = new Map<string, string>();
  let image: Image | undefined;
  for (const [index, stage] of readDockerfile(options.dockerfile).entries()) {
    const root = join(options.folder, 'stage-' + index);
    makeBase(root, options.node);
    roots.set(stage.name, root);
    image = carryOut(stage, root, options.context, roots);
  }
  if (image === undefined) throw new Error('Cannot build an image: the Dockerfile has no stage');
  return image;
}

function makeBase(root: string, node: string): void {
  for (const name of ['usr', 'local/bin', 'proc', 'dev', 'etc', 'tmp'])
    mkdirSync(join(root, name), { recursive: true });
  for (const name of ['bin', 'lib', 'lib64', 'sbin']) symlinkSync('usr/' + name, join(root, name));
  copyFileSync(node, join(root, 'local/bin/node'));
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0::/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n');
}

/** Where a path of the image lies outside: /usr/local is a folder of its own. */
const outside = (root: string, path: string): string => join(root, path.replace(/^\/usr\/local(?=\/|$)/, '/local'));

function carryOut(stage: Stage, root: string, context: string, roots: ReadonlyMap<string, string>): Image {
  const env: Record<string, string> = { PATH: '/usr/local/bin:/usr/bin:/bin' };
  let image: Image = { root, env, user: '0:0', folder: '/', volumes: [], entrypoint: [], command: [], health: '' };
  for (const { word, flags, text } of stage.instructions) {
    const words = text.split(/\s+/);
    if (word === 'FROM' || word === 'STOPSIGNAL') continue;
    else if (word === 'WORKDIR') {
      mkdirSync(outside(root, text), { recursive: true });
      image = { ...image, folder: text };
    } else if (word === 'COPY')
      copy(words, flags, { root, from: roots.get(flags['from'] ?? '') ?? context, folder: image.folder });
    else if (word === 'RUN') inRoot(image, ['sh', '-e', '-c', text]);
    else if (word === 'ENV') for (const one of words) env[one.split('=')[0] ?? ''] = one.slice(one.indexOf('=') + 1);
    else if (word === 'VOLUME') image = { ...image, volumes: words };
    else if (word === 'USER') image = { ...image, user: text };
    else if (word === 'ENTRYPOINT') image = { ...image, entrypoint: JSON.parse(text) as string[] }; // a JSON list of words
    else if (word === 'CMD') image = { ...image, command: JSON.parse(text) as string[] }; // a JSON list of words
    else if (word === 'HEALTHCHECK') image = { ...image, health: text.replace(/^(?:--\S+ )*CMD /, '') };
    else throw new Error('Cannot carry out ' + word + ' ' + text + ': expected an instruction known to this test');
  }
  return image;
}

function copy(
  words: readonly string[],
  flags: Readonly<Record<string, string>>,
  place: { readonly root: string; readonly from: string; readonly folder: string },
): void {
  const target = outside(place.root, join(place.folder, words.at(-1) ?? ''));
  for (const source of words.slice(0, -1)) {
    const found = flags['from'] === undefined ? join(place.from, source) : outside(place.from, source);
    const intoFolder = (words.at(-1) ?? '').endsWith('/');
    cpSync(found, intoFolder ? join(target, source) : target, { recursive: true, verbatimSymlinks: true });
  }
  const [uid, gid] = (flags['chown'] ?? '0:0').split(':').map(Number);
  chownSync(target, uid ?? 0, gid ?? 0);
}

/** Begins a command line that runs `command` in the image as its user; `readOnly`: nothing can be written but the volumes. */
export function commandIn(image: Image, command: readonly string[], readOnly = false): readonly string[] {
  const { root, user, env, folder, volumes } = image;
  const at = (path: string): string => quote(join(root, path));
  const mounts = [
    'mount --make-rprivate /',
    'mount --bind ' + at('') + ' ' + at(''),
    'mount --rbind /usr ' + at('usr'),
    'mount -o remount,bind,ro ' + at('usr'),
    'mount --bind ' + at('local') + ' ' + at('usr/local'),
    'mount --rbind /proc ' + at('proc'),
    'mount --rbind /dev ' + at('dev'),
    ...volumes.map((volume) => 'mount --bind ' + at(volume) + ' ' + at(volume)),
    ...(readOnly ? ['mount -o remount,bind,ro ' + at(''), 'mount -o remount,bind,ro ' + at('usr/local')] : []),
    'mount -t tmpfs -o mode=1777 none ' + at('tmp'),
  ];
  const variables = Object.entries(env).map(([name, value]) => quote(name + '=' + value));
  const enter = ['chroot', '--userspec=' + user, quote(root), 'env', '-i', ...variables, 'sh', '-c'].join(' ');
  const inside = 'cd ' + quote(folder) + ' && exec ' + command.map(quote).join(' ');
  return ['unshare', '--mount', 'sh', '-e', '-c', [...mounts, 'exec ' + enter + ' ' + quote(inside)].join('\n')];
}

function inRoot(image: Image, command: readonly string[]): void {
  const [program = '', ...args] = commandIn(image, command);
  execFileSync(program, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: 60_000 });
}

const quote = (text: string): string => "'" + text.replaceAll("'", "'\\''") + "'";
