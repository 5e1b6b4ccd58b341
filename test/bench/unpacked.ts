// Debian packages that would push Postfix out if they were installed: unpacked into a folder of the benchmark and run in
// there, on the same disk and the same network. Everything goes with the folder and the process.
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

export type Unpacked = {
  /** The root that the program sees. */
  readonly root: string;
  /** Command and arguments that run `command` in it. */
  readonly wrap: (command: readonly string[]) => { readonly command: string; readonly args: readonly string[] };
};

/** `users`: accounts that the packages would have made. Throws when the packages cannot be had. */
export function unpack(options: {
  readonly folder: string;
  readonly packages: readonly string[];
  readonly users: readonly { readonly name: string; readonly id: number }[];
}): Unpacked {
  const { folder, packages, users } = options;
  const [archives, layer, root] = ['archives', 'layer', 'root'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  for (const path of [archives, layer, root]) mkdirSync(path, { recursive: true });
  download(archives, packages);
  for (const name of readdirSync(archives)) run('dpkg', ['-x', join(archives, name), layer], folder);
  for (const name of ['usr', 'dev', 'proc', 'etc', 'run', 'tmp', 'var/empty', 'var/run', 'var/spool', 'var/lib'])
    mkdirSync(join(root, name), { recursive: true });
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) symlinkSync('usr/' + name, join(root, name));
  for (const name of ['ld.so.cache', 'nsswitch.conf', 'hosts'])
    if (existsSync('/etc/' + name)) copyFileSync('/etc/' + name, join(root, 'etc', name));
  const known = (file: string): string =>
    readFileSync('/etc/' + file, 'utf8')
      .split('\n')
      .filter((line) => /^(?:root|nobody|nogroup|mail):/.test(line))
      .join('\n') + '\n';
  const passwd = users.map(({ name, id }) => name + ':x:' + id + ':' + id + '::/var/empty:/usr/sbin/nologin\n');
  writeFileSync(join(root, 'etc/passwd'), known('passwd') + passwd.join(''));
  writeFileSync(
    join(root, 'etc/group'),
    known('group') + users.map(({ name, id }) => name + ':x:' + id + ':\n').join(''),
  );
  writeFileSync(join(root, 'etc/aliases'), '');
  chmodSync(join(root, 'var/empty'), 0o711);
  // Seen by this process alone, and gone with it.
  const mounts = [
    'mount -t overlay overlay -o "lowerdir=$1/usr:/usr" "$2/usr"',
    'mount --rbind /dev "$2/dev"',
    'mount -t proc proc "$2/proc"',
    'root="$2"',
    'shift 2',
    'exec chroot "$root" "$@"',
  ].join(' && ');
  return {
    root,
    wrap: (command) => ({ command: 'unshare', args: ['--mount', 'sh', '-c', mounts, 'sh', layer, root, ...command] }),
  };
}

function download(folder: string, packages: readonly string[]): void {
  // apt has it download as another user, who must be able to write here.
  chmodSync(folder, 0o777);
  run('apt-get', ['-q', 'download', ...packages], folder);
}

function run(command: string, args: readonly string[], cwd: string): void {
  const { status, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8' });
  if (status !== 0) throw new Error('Cannot unpack the peers: ' + command + ' failed\n' + (stderr ?? '').slice(-500));
}
