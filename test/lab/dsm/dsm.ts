// A DSM without a NAS: a root of its own in which Package Center's part is played by the rules of the developer guide. Its
// /var is mounted over the system's for each script and each process of the package, in a mount namespace of their own, so
// that all paths are those of a NAS. Scripts run as the package's user, who has no name and no rights. Needs root.
//
// What it cannot show: whether the real Package Center takes the package, and how it draws the wizard.
import { execFile, execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createHash } from 'node:crypto';
import { delimiter, join } from 'node:path';
import type { Lab } from '../lab.ts';
import { marker } from '../leftovers.ts';
import { runningProcesses } from '../process-table.ts';
import { waitFor } from '../wait.ts';

export type Answers = Readonly<Record<string, string>>;
export type Said = {
  readonly code: number;
  /** Shown by Package Center. */ readonly message: string;
  readonly output: string;
};
export type DsmOptions = {
  readonly lab: Lab;
  /** The program of the package Node.js_v22; undefined: that package is not installed. */
  readonly node?: string;
  /** Whether DSM has systemd units of packages. */
  readonly units?: boolean;
  readonly language?: 'enu' | 'ger';
  /** Number of a process whose network the NAS has, instead of the test's own: then its standard ports are free. */
  readonly network?: number;
};
export type Dsm = {
  /** From outside: /var/packages/mailferry of the NAS. */
  readonly package: string;
  readonly uid: number;
  /** A Node for the test's own questions, which the package's user can run. */
  readonly labNode: string;
  /** From outside: /var of the NAS. */
  readonly root: string;
  readonly install: (spk: string, answers?: Answers) => Promise<Said>;
  readonly upgrade: (spk: string) => Promise<Said>;
  readonly uninstall: (answers?: Answers) => Promise<Said>;
  readonly start: (why?: string) => Promise<Said>;
  /** `why`: the status that DSM says; empty when the NAS goes down. */
  readonly stop: (why?: string) => Promise<Said>;
  readonly status: () => Promise<number>;
  /** The NAS goes down, and systemd ends the unit before any script of the package is asked. */
  readonly goDown: () => Promise<void>;
  /** Power fails: every process of the package is gone at once. */
  readonly cut: () => Promise<void>;
  /** As an administrator would type it; the answer of the program. */
  readonly command: (args: readonly string[], options?: { readonly as?: number }) => Promise<Said>;
  /** Any program in the root of the NAS, as the package's user if no other is named. */
  readonly run: (command: string, args: readonly string[], options?: { readonly as?: number }) => Promise<Said>;
  /** From outside: what /var/packages/mailferry/PLACE leads to. */
  readonly real: (place: 'target' | 'var' | 'home' | 'tmp' | 'etc') => string;
  /** Numbers of the processes that belong to the package's user. */
  readonly processes: () => readonly number[];
  readonly log: () => string;
  /** Where /usr/local/bin of the NAS leads for a name; undefined when there is nothing. */
  readonly link: (name: string) => string | undefined;
};

const name = 'mailferry';
const places = ['target', 'var', 'home', 'tmp', 'etc'] as const;
type Place = (typeof places)[number];
let serial = 0;

export function createDsm(options: DsmOptions): Dsm {
  const { lab, language = 'enu', units = true } = options;
  const root = join(lab.dir, 'dsm-' + (serial += 1));
  // No name and no group belongs to it, and no test file that runs at the same time has the same.
  const uid = 60_000 + 10 * (process.pid % 400) + serial;
  const fake = join(root, 'var');
  const folder = join(fake, 'packages', name);
  const volume = join(fake, 'volume1');
  const bin = join(root, 'usr-local-bin');
  const syno = join(root, 'syno-bin');
  for (const path of [join(fake, 'packages'), join(fake, 'tmp'), volume, bin, syno, join(root, 'run')])
    mkdirSync(path, { recursive: true });
  chmodSync(join(fake, 'tmp'), 0o1777);
  chownSync(join(root, 'run'), uid, uid);
  if (options.node !== undefined) installNode(fake, options.node);
  installTools({ syno, root, units });
  lab.onStop(() => {
    for (const pid of processes()) process.kill(pid, 'SIGKILL');
  });

  const store: Readonly<Record<Place, string>> = {
    target: '@appstore',
    var: '@appdata',
    home: '@apphome',
    tmp: '@apptemp',
    etc: '@appconf',
  };
  const inside = (path: string): string => path.replace(fake, '/var');

  function processes(): readonly number[] {
    return runningProcesses().flatMap(({ pid }) => {
      try {
        return statSync('/proc/' + pid).uid === uid ? [pid] : [];
      } catch {
        return []; // gone meanwhile
      }
    });
  }

  /** In the root of the NAS; `as`: another user than the package's. */
  async function enter(command: string, args: readonly string[], extra: Answers = {}, as = uid): Promise<Said> {
    const message = join(fake, 'tmp', 'message-' + (serial += 1));
    const script = 'mount --bind "$0" /var && exec "$@"';
    const ids = ['setpriv', '--reuid=' + as, '--regid=' + as, '--clear-groups', '--'];
    const environment: Record<string, string> = {
      PATH: [syno, '/usr/sbin', '/usr/bin', '/sbin', '/bin'].join(delimiter),
      HOME: inside(join(folder, 'home')),
      XDG_RUNTIME_DIR: join(root, 'run'),
      TMPDIR: '/var/tmp',
      SYNOPKG_PKGNAME: name,
      SYNOPKG_PKGDEST: inside(join(folder, 'target')),
      SYNOPKG_PKGVAR: inside(join(folder, 'var')),
      SYNOPKG_PKGHOME: inside(join(folder, 'home')),
      SYNOPKG_PKGTMP: inside(join(folder, 'tmp')),
      SYNOPKG_DSM_LANGUAGE: language,
      SYNOPKG_DSM_VERSION_MAJOR: '7',
      SYNOPKG_TEMP_LOGFILE: inside(message),
      ...extra,
    };
    const run = process.env[marker];
    if (run !== undefined) environment[marker] = run;
    const where = options.network === undefined ? '/proc/self' : '/proc/' + options.network;
    const rest = [
      '--net=' + where + '/ns/net',
      '--',
      'unshare',
      '--mount',
      '--propagation',
      'private',
      'sh',
      '-c',
      script,
    ];
    const said = await new Promise<{ readonly code: number; readonly output: string }>((resolve) => {
      execFile(
        'nsenter',
        [...rest, fake, ...ids, command, ...args],
        { env: environment, cwd: '/', timeout: 120_000 },
        (error, stdout, stderr) =>
          resolve({
            code: error === null ? 0 : typeof error.code === 'number' ? error.code : -1,
            output: stdout + stderr,
          }),
      );
    });
    const shown = existsSync(message) ? readFileSync(message, 'utf8').trim() : '';
    rmSync(message, { force: true });
    return { ...said, message: shown };
  }

  const script = (place: string, file: string, status: string, extra: Answers = {}, args: readonly string[] = []) =>
    enter(inside(join(place, 'scripts', file)), args, { ...extra, SYNOPKG_PKG_STATUS: status });

  /** As DSM does before any script: the tar, INFO, the sum, the packages that it depends on. */
  function open(spk: string): { readonly place: string } | { readonly refusal: string } {
    const place = join(fake, 'tmp', 'spk-' + (serial += 1));
    mkdirSync(place);
    execFileSync('tar', ['-xpf', spk, '-C', place, '--no-same-owner']);
    chmodSync(place, 0o755);
    const info = readFileSync(join(place, 'INFO'), 'utf8');
    const field = (key: string): string => new RegExp('^' + key + '="(.*)"$', 'm').exec(info)?.[1] ?? '';
    const sum = createHash('md5')
      .update(readFileSync(join(place, 'package.tgz')))
      .digest('hex');
    if (field('checksum') !== sum) return { refusal: 'checksum' };
    const missing = field('install_dep_packages')
      .split(':')
      .filter((one) => !existsSync(join(fake, 'packages', one)));
    return missing.length > 0 ? { refusal: 'needs ' + missing.join() } : { place };
  }

  function makePlaces(): void {
    mkdirSync(folder, { recursive: true });
    for (const place of places) {
      const real = join(volume, store[place], name);
      mkdirSync(real, { recursive: true });
      chownSync(real, uid, uid);
      chmodSync(real, place === 'home' ? 0o700 : 0o755);
      // What it leads to is there only inside.
      if (lstatSync(join(folder, place), { throwIfNoEntry: false }) === undefined)
        symlinkSync(inside(real), join(folder, place));
    }
  }
  const real = (place: Place): string => join(volume, store[place], name);

  function transfer(place: string): void {
    rmSync(real('target'), { recursive: true, force: true });
    makePlaces();
    execFileSync('tar', ['-xpzf', join(place, 'package.tgz'), '-C', real('target'), '--no-same-owner']);
    execFileSync('chown', ['-R', uid + ':' + uid, real('target')]);
    for (const part of ['scripts', 'conf', 'INFO']) {
      rmSync(join(folder, part), { recursive: true, force: true });
      cpSync(join(place, part), join(folder, part), { recursive: true });
    }
  }

  /** Between postinst and postuninst. */
  function acquire(): void {
    const resource = JSON.parse(readFileSync(join(folder, 'conf', 'resource'), 'utf8')) as {
      readonly 'usr-local-linker': { readonly bin: readonly string[] };
    }; // of our own package
    for (const path of resource['usr-local-linker'].bin)
      symlinkSync(inside(join(folder, 'target', path)), join(bin, path.split('/').at(-1) ?? ''));
    if (!units) return;
    const place = join(real('home'), '.config', 'systemd', 'user');
    mkdirSync(place, { recursive: true });
    const from = join(folder, 'conf', 'systemd');
    for (const file of readdirSync(from)) copyFileSync(join(from, file), join(place, file));
    execFileSync('chown', ['-R', uid + ':' + uid, join(real('home'), '.config')]);
  }

  function release(): void {
    for (const link of readdirSync(bin)) rmSync(join(bin, link));
    rmSync(join(real('home'), '.config'), { recursive: true, force: true });
  }

  const control = (action: string, status: string): Promise<Said> =>
    script(folder, 'start-stop-status', status, {}, [action]);

  async function install(spk: string, answers: Answers = {}): Promise<Said> {
    const opened = open(spk);
    if ('refusal' in opened) return { code: 1, message: opened.refusal, output: '' };
    makePlaces();
    const before = await script(opened.place, 'preinst', 'INSTALL', answers);
    if (before.code !== 0) return before;
    transfer(opened.place);
    const done = await script(folder, 'postinst', 'INSTALL', answers);
    acquire();
    return done;
  }

  async function upgrade(spk: string): Promise<Said> {
    const opened = open(spk);
    if ('refusal' in opened) return { code: 1, message: opened.refusal, output: '' };
    const ran = (await control('status', '')).code === 0;
    if (ran) await control('stop', 'UPGRADE');
    const old = join(fake, 'tmp', 'old-' + (serial += 1));
    const steps = [
      () => script(opened.place, 'preupgrade', 'UPGRADE'),
      () => script(folder, 'preuninst', 'UPGRADE'),
      async () => {
        release();
        // The old scripts are gone from their place by the time the last of them runs.
        mkdirSync(old);
        cpSync(join(folder, 'scripts'), join(old, 'scripts'), { recursive: true });
        rmSync(real('target'), { recursive: true });
        rmSync(real('tmp'), { recursive: true });
        return script(old, 'postuninst', 'UPGRADE');
      },
      () => script(opened.place, 'preinst', 'UPGRADE'),
      async () => {
        transfer(opened.place);
        const said = await script(folder, 'postinst', 'UPGRADE');
        acquire();
        return said;
      },
      () => script(folder, 'postupgrade', 'UPGRADE'),
      async () => (ran ? control('start', 'UPGRADE') : { code: 0, message: '', output: '' }),
    ];
    let said: Said = { code: 0, message: '', output: '' };
    for (const step of steps) {
      said = await step();
      if (said.code !== 0) return said;
    }
    return said;
  }

  async function uninstall(answers: Answers = {}): Promise<Said> {
    const before = await script(folder, 'preuninst', 'UNINSTALL', answers);
    if (before.code !== 0) return before;
    await control('stop', 'UNINSTALL');
    release();
    rmSync(real('target'), { recursive: true });
    rmSync(real('tmp'), { recursive: true });
    const done = await script(folder, 'postuninst', 'UNINSTALL', answers);
    rmSync(folder, { recursive: true });
    return done;
  }

  return {
    package: folder,
    uid,
    labNode: join(root, 'lab-node'),
    root: fake,
    install,
    upgrade,
    uninstall,
    start: (why = 'START') => control('start', why),
    stop: (why = 'STOP') => control('stop', why),
    status: async () => (await control('status', '')).code,
    async goDown() {
      const file = join(root, 'run', 'system-state');
      writeFileSync(file, 'stopping\n');
      await enter('synosystemctl', ['stop', 'pkguser-' + name]);
      rmSync(file);
    },
    async cut() {
      // The supervisor first: it would start the agent again.
      for (const pid of [...processes()].sort((a, b) => a - b)) process.kill(pid, 'SIGKILL');
      await waitFor('the end of all processes', () => processes().length === 0);
    },
    command: (args, { as = uid } = {}) => enter(join(bin, name), args, {}, as),
    run: (command, args, { as = uid } = {}) => enter(command, args, {}, as),
    real,
    processes,
    log: () => {
      const file = join(real('var'), 'mailferry.log');
      return existsSync(file) ? readFileSync(file, 'utf8') : '';
    },
    link: (one) => {
      try {
        return execFileSync('readlink', [join(bin, one)], { encoding: 'utf8' }).trim();
      } catch {
        return undefined;
      }
    },
  };
}

/** A network of its own with nothing in it but itself; gives the process that holds it. */
export async function ownNetwork(lab: Lab): Promise<number> {
  const child = await lab.run({
    name: 'network',
    command: 'unshare',
    args: ['--net', 'sh', '-c', 'ip link set lo up && echo up && exec sleep 3600'],
  });
  await waitFor('a network', () => child.log().includes('up'));
  return child.pid;
}

/** A package as Synology's own is laid out; the program is copied, since the place of ours may not be open to all. */
function installNode(fake: string, program: string): void {
  const place = join(fake, 'packages', 'Node.js_v22', 'target', 'usr', 'local', 'bin');
  mkdirSync(place, { recursive: true });
  copyFileSync(program, join(place, 'node'));
  chmodSync(join(place, 'node'), 0o755);
}

function installTools({
  syno,
  root,
  units,
}: {
  readonly syno: string;
  readonly root: string;
  readonly units: boolean;
}): void {
  const node = join(root, 'lab-node');
  copyFileSync(process.execPath, node);
  chmodSync(node, 0o755);
  const tool = join(root, 'synosystemctl.ts');
  copyFileSync(join(import.meta.dirname, 'synosystemctl.ts'), tool);
  chmodSync(tool, 0o644);
  if (units) {
    // What is asked all the time costs no start of a Node.
    const status =
      'if [ "$1" = get-active-status ]; then\n' +
      '  state=inactive pid=0\n' +
      '  read -r state pid 2>/dev/null <"$XDG_RUNTIME_DIR/$2.state"\n' +
      '  [ "$state" = failed ] || kill -0 "$pid" 2>/dev/null || state=inactive\n' +
      '  echo "$state"\n  [ "$state" = active ]\n  exit\nfi\n';
    const text = '#!/bin/sh\n' + status + 'exec "' + node + '" "' + tool + '" "$@"\n';
    writeFileSync(join(syno, 'synosystemctl'), text, { mode: 0o755 });
    const state = '#!/bin/sh\ncat "$XDG_RUNTIME_DIR/system-state" 2>/dev/null || echo running\n';
    writeFileSync(join(syno, 'systemctl'), state, { mode: 0o755 });
  }
  // Of sudo only what the package asks for: another user by number, the environment kept.
  const sudo =
    '#!/bin/sh\n[ "$1" = -E ] && shift\n[ "$1" = -u ] || exit 1\nid=${2#\\#}\nshift 2\n[ "$1" = -- ] && shift\n';
  writeFileSync(join(syno, 'sudo'), sudo + 'exec setpriv --reuid="$id" --regid="$id" --clear-groups -- "$@"\n', {
    mode: 0o755,
  });
}
