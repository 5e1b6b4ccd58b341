// A terminal with a person before it: tmux, as a bare user account with nothing but a home.
import { execFileSync, spawnSync } from 'node:child_process';
import { chownSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Lab } from '../lab/lab.ts';
import { waitFor } from '../lab/wait.ts';

/** Debian's `nobody`: owns nothing, is in no group. */
const bareUser = 65_534;

export type Terminal = {
  /** What stands there, with some of what has scrolled away. */
  readonly screen: (window?: number) => string;
  /** Types a line and ends it. */
  readonly type: (text: string, window?: number) => void;
  readonly press: (key: string, window?: number) => void;
  readonly shows: (what: RegExp, window?: number) => Promise<void>;
  readonly openWindow: () => void;
};

/** `folder`: where the shells begin; belongs to that user afterwards. */
export async function openTerminal(lab: Lab, folder: string): Promise<Terminal> {
  const home = join(lab.dir, 'home');
  mkdirSync(home, { mode: 0o700, recursive: true });
  for (const path of [home, folder]) chownSync(path, bareUser, bareUser);
  const socket = join(home, 'tmux');
  const env = {
    HOME: home,
    PATH: process.env['PATH'] ?? '',
    TERM: 'xterm-256color',
    LANG: 'C.UTF-8',
    SHELL: '/bin/sh',
    TMPDIR: home,
  };
  const as = ['--reuid', String(bareUser), '--regid', String(bareUser), '--clear-groups'];
  const tmux = (...args: readonly string[]): string =>
    execFileSync('setpriv', [...as, 'tmux', '-u', '-S', socket, ...args], { encoding: 'utf8', env, cwd: folder });
  await lab.run({
    name: 'tmux',
    command: 'setpriv',
    args: [...as, '--pdeathsig', 'KILL', 'tmux', '-u', '-D', '-f', '/dev/null', '-S', socket],
    env,
    cwd: folder,
    ready: () =>
      spawnSync('setpriv', [...as, 'tmux', '-S', socket, 'show-options', '-g'], { env, cwd: folder }).status === 0,
  });
  // What was started in a window ends with it.
  lab.onStop(() => void tmux('kill-server'));
  tmux('new-session', '-d', '-s', 'main', '-x', '160', '-y', '60', '-c', folder, '/bin/sh');
  const target = (window = 0): string => 'main:' + window;
  const screen = (window?: number): string => tmux('capture-pane', '-p', '-J', '-S', '-300', '-t', target(window));
  return {
    screen,
    type(text, window) {
      tmux('send-keys', '-t', target(window), '-l', text);
      tmux('send-keys', '-t', target(window), 'Enter');
    },
    press: (key, window) => void tmux('send-keys', '-t', target(window), key),
    async shows(what, window) {
      await waitFor('the terminal to show ' + what.source, () => what.test(screen(window)), {
        timeoutMs: 90_000,
        everyMs: 150,
      }).catch((error: unknown) => {
        throw new Error('It shows:\n' + screen(window), { cause: error });
      });
    },
    openWindow: () => void tmux('new-window', '-t', 'main', '-c', folder, '/bin/sh'),
  };
}
