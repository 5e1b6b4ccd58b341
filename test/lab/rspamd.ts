// A real rspamd with two rules of the lab's own and nothing else: no modules, no DNS, no database.
import { readFileSync } from 'node:fs';
import { chown, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startChild } from './child.ts';
import { mailOwner } from './maildir.ts';
import { createRealServer } from './real-server.ts';
import type { RealServer } from './real-server.ts';

export type Rspamd = RealServer & {
  /** Of a normal worker, which asks for no password. */
  readonly url: string;
  /** Of the controller, which asks for `password`. */
  readonly controllerUrl: string;
  readonly password: string;
};

/**
 * Scores: LAB_SPAM 7 for a subject with "lab spam" (add header from 6), LAB_ENVELOPE 0.5 for a mail with an envelope: the log
 * shows it as `LAB_ENVELOPE(0.50){SENDER|COUNT|FIRST;}`. Rspamd's own test mail (GTUBE) is rejected.
 */
const rules = `
rspamd_config.LAB_SPAM = {
  callback = function(task) return (task:get_header('Subject') or ''):find('lab spam') ~= nil end,
  score = 7.0, group = 'lab',
}
rspamd_config.LAB_ENVELOPE = {
  callback = function(task)
    local from, to = task:get_from('smtp'), task:get_recipients('smtp')
    if not from or not to then return false end
    return true, 1.0, from[1].addr .. '|' .. #to .. '|' .. to[1].addr
  end,
  score = 0.5, group = 'lab',
}
`;

export async function createRspamd(options: {
  readonly folder: string;
  readonly freePort: () => Promise<number>;
}): Promise<Rspamd> {
  const { folder, freePort } = options;
  const state = join(folder, 'state');
  const [port, controllerPort] = [await freePort(), await freePort()];
  const password = 'lab-secret';
  const logFile = join(folder, 'log');
  await mkdir(state);
  await chown(state, mailOwner.uid, mailOwner.gid);
  await writeFile(logFile, '');
  await writeFile(join(folder, 'rules.lua'), rules);
  await writeFile(join(folder, 'tlds'), 'com\nnet\norg\ntest\n'); // Debian's list takes seconds to compile
  const at = (name: string): string => JSON.stringify(join(state, name));
  await writeFile(
    join(folder, 'rspamd.conf'),
    [
      'options {',
      '  pidfile = ' + at('pid') + '; control_socket = ' + at('control') + '; cache_file = ' + at('cache') + ';',
      '  tempdir = ' +
        JSON.stringify(state) +
        '; hs_cache_dir = ' +
        JSON.stringify(state) +
        '; disable_hyperscan = true;',
      '  url_tld = ' + JSON.stringify(join(folder, 'tlds')) + '; filters = "";',
      '  dns { nameserver = ["127.0.0.1:9:1"]; timeout = 100ms; retransmits = 1; }',
      '}',
      'logging { type = "console"; level = "info"; }',
      'actions { reject = 15; add_header = 6; }',
      'lang_detection { languages = ["en"]; }',
      'worker "normal" { bind_socket = "127.0.0.1:' + port + '"; count = 1; }',
      'worker "controller" { bind_socket = "127.0.0.1:' + controllerPort + '"; count = 1; secure_ip = [];',
      '  password = "' + password + '"; }',
      'lua = ' + JSON.stringify(join(folder, 'rules.lua')),
      '',
    ].join('\n'),
  );
  const url = 'http://127.0.0.1:' + port;
  const controllerUrl = 'http://127.0.0.1:' + controllerPort;
  const service = createRealServer({
    name: 'rspamd',
    readLog: () => readFileSync(logFile, 'utf8'),
    launch: () =>
      startChild({
        name: 'rspamd',
        command: 'rspamd',
        args: ['-f', '-c', join(folder, 'rspamd.conf')],
        ...(process.getuid?.() === 0 ? { as: mailOwner } : {}),
        cwd: state,
        logFile,
        ready: async () => (await Promise.all([url, controllerUrl].map(answers))).every(Boolean),
      }),
  });
  return { ...service, url, controllerUrl, password };
}

async function answers(url: string): Promise<boolean> {
  return fetch(url + '/ping', { signal: AbortSignal.timeout(500) }).then(
    (response) => response.ok,
    () => false,
  );
}
