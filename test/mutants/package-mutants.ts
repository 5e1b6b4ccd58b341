// Faults planted in the DSM package and in what the agent does around its life there, each guarded by one test. A text must
// stand in its file exactly once.
import type { Mutant } from './agent-mutants.ts';

type Row = readonly [source: string, what: string, text: string, replacement: string];
const tests = 'test/agent/package/spk/';
const files = 'agent/package/spk/files/';
const guards: readonly (readonly [tests: string, title: string, rows: readonly Row[]])[] = [
  [
    'test/agent/known-state.test.ts',
    'a state folder that was there is waited for',
    [
      ['agent/agent.ts', 'the agent does not wait', '    await known.wait(lifecycle.signal);\n', ''],
      ['agent/agent.ts', 'nothing is remembered', '    known.remember();\n', ''],
    ],
  ],
  [
    'test/agent/known-state.test.ts',
    'an agent that waits for its state can be stopped',
    [
      [
        'agent/known-state.ts',
        'an empty folder is taken for a state',
        'readdirSync(folder).every((name) => foreign.has(name))',
        'readdirSync(folder).includes(folder)',
      ],
    ],
  ],
  [
    'test/agent/known-state.test.ts',
    'without the file that remembers it',
    [
      [
        'agent/known-state.ts',
        'it is waited for without end',
        'while (!signal.aborted && isExpected(file, folder) && isMissing(folder))',
        'while (!signal.aborted && (told || isExpected(file, folder)) && isMissing(folder))',
      ],
    ],
  ],
  [
    'test/agent/known-state.test.ts',
    'a state of which only the database is lost',
    [
      ['agent/known-state.ts', 'written with each start', '      if (isExpected(file, folder)) return;\n', ''],
      [
        'agent/known-state.ts',
        'another folder is waited for too',
        "split('\\n')[0] === folder",
        "split('\\n')[0] !== ''",
      ],
    ],
  ],
  [
    'test/agent/stop-reason.test.ts',
    'only the word power-off',
    [
      ['agent/stop-reason.ts', 'every word is a power-off', "word === 'power-off' ?", "word !== '' ?"],
      [
        'agent/stop-reason.ts',
        'the reason is said again',
        '  rmSync(join(stateFolder, stopReasonFile), { force: true });\n',
        '  void [rmSync, stateFolder];\n',
      ],
    ],
  ],
  [
    'test/agent/wizard-answers.test.ts',
    'a password is enough for a first configuration',
    [
      [
        'agent/wizard-answers.ts',
        'the answers stay',
        '  rmSync(folder, { recursive: true, force: true });\n',
        '  void rmSync;\n',
      ],
      ['agent/wizard-answers.ts', 'the page is for this machine alone', "value: '0.0.0.0'", "value: '127.0.0.1'"],
    ],
  ],
  [
    'test/agent/wizard-answers.test.ts',
    'installed again over a configuration that was kept',
    [
      ['agent/wizard-answers.ts', 'the old names are lost', "before.version === ''", "before.version !== '-'"],
      ['agent/wizard-answers.ts', 'the page moves', "before.raw['page'] === undefined", "before.raw['page'] !== null"],
    ],
  ],
  [
    tests + 'spk.test.ts',
    'found: package.tgz is another one than INFO says',
    [
      [
        'agent/package/spk/check-spk.ts',
        'the sum is not compared',
        "value('checksum') === sum",
        "value('checksum') !== ''",
      ],
    ],
  ],
  [
    tests + 'spk.test.ts',
    'found: a file leads out',
    [
      [
        'agent/package/spk/check-spk.ts',
        'paths are not looked at',
        ".split('/').includes('..')",
        ".split('/').includes('...')",
      ],
    ],
  ],
  [
    tests + 'spk.test.ts',
    'the package is a plain tar with bare names',
    [
      [
        'agent/package/spk/tar.ts',
        'the clock gets in',
        'octal(fixedTime, 12)',
        'octal(Math.floor(performance.now() * 1_000), 12)',
      ],
      [
        'agent/package/spk/tar.ts',
        'a sum without its own place',
        "bytes.write('        ', 148);",
        "bytes.write('', 148);",
      ],
    ],
  ],
  [
    tests + 'life.live.test.ts',
    'mail flows, an upgrade keeps what waits',
    [
      [
        files + 'scripts/postuninst',
        'an upgrade deletes',
        'if [ "${SYNOPKG_PKG_STATUS:-}" = UNINSTALL ] && [ "${wizard_erase:-false}" = true ]; then',
        'if true; then',
      ],
      [files + 'scripts/preuninst', 'waiting mail is deleted unasked', '[ "$waiting" -gt 0 ]', 'false'],
    ],
  ],
  [
    tests + 'actions.live.test.ts',
    'with systemd every action',
    [
      [
        files + 'conf/systemd/pkguser-mailferry.service',
        'a wrong configuration is tried again',
        'RestartPreventExitStatus=2\n',
        '',
      ],
    ],
  ],
  [
    tests + 'actions.live.test.ts',
    'with the script alone every action',
    [
      [
        files + 'target/bin/places',
        "somebody else's number counts",
        '[ -n "$1" ] && tr \'\\0\' \' \' 2>/dev/null <"/proc/$1/cmdline" |\n    grep -qF',
        '[ -n "$1" ] && [ -d "/proc/$1" ] && true ||\n    grep -qF',
      ],
      [files + 'scripts/start-stop-status', 'no reason is written', '  write_reason\n', ''],
      [files + 'scripts/start-stop-status', 'a start that fails is not told', '      tell_why "$before"\n', ''],
    ],
  ],
  [
    tests + 'life.live.test.ts',
    'without the right Node.js nothing is installed',
    [
      [files + 'scripts/preupgrade', 'an upgrade does not look', 'require_node || exit 1\n', ''],
      [files + 'scripts/common', 'an old Node is taken', 'process.exit(a > 22 || b >= 13 ? 0 : 1)', 'process.exit(0)'],
    ],
  ],
  [
    tests + 'life.live.test.ts',
    'an administrator is served',
    [
      [files + 'target/bin/run-agent', 'the log is not appended to', '>>"$log"', '>"$log"'],
      [files + 'scripts/start-stop-status', 'root stays root', 'if [ "$(id -u)" = 0 ]; then', 'if false; then'],
    ],
  ],
  [
    tests + 'wizard.live.test.ts',
    'the wizard asks for one password twice',
    [
      [
        files + 'scripts/preinst',
        'the passwords are not compared',
        '[ "${wizard_page_password:-}" != "${wizard_page_password_again:-}" ]',
        'false',
      ],
      [files + 'scripts/common', 'everybody may read the answers', 'umask 077', 'umask 022'],
    ],
  ],
  [
    tests + 'power.live.test.ts',
    'a NAS that is shut down says power-off',
    [
      [files + 'target/bin/before-stop', 'systemd is not asked', '= stopping ]', '= never ]'],
      [
        'agent/telemetry/connection.ts',
        'the last will follows the goodbye',
        'else client.end(false, () => go());',
        'else go();',
      ],
    ],
  ],
];

export const packageMutants: readonly Mutant[] = guards.flatMap(([file, title, rows]) =>
  rows.map(([source, what, text, replacement]) => ({ tests: file, title, source, what, text, replacement })),
);
