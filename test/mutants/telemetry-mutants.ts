// Faults planted in the agent's report, in what the collector may ask for, and in enrolment, each guarded by one test. A text must
// stand in its file exactly once.
import type { Mutant } from './agent-mutants.ts';

type Row = readonly [source: string, what: string, text: string, replacement: string];
const outbox = 'test/agent/telemetry/outbox.test.ts';
const line = 'test/agent/telemetry/line.live.test.ts';
const suspects = 'test/agent/telemetry/suspects.live.test.ts';
const silence = 'test/agent/telemetry/silence.test.ts';
const remote = 'test/agent/control/remote.test.ts';
const changes = 'test/agent/control/changes.test.ts';
const enrolment = 'test/flow/enrolment.live.test.ts';

const guards: readonly (readonly [tests: string, title: string, rows: readonly Row[]])[] = [
  [
    outbox,
    'what has waited for longer than maxDays',
    [
      ['agent/telemetry/outbox.ts', 'age by the wall clock', 'const born = lived.now()', 'const born = clock.now()'],
      ['agent/telemetry/outbox.ts', 'a restart makes all young again', '    lived.save();\n', ''],
    ],
  ],
  [
    outbox,
    'how long nobody has acknowledged',
    [['agent/telemetry/outbox.ts', 'an acknowledgement is no sign of life', '      lived.heard();\n', '']],
  ],
  [
    outbox,
    'a batch at which the connection breaks',
    [['agent/telemetry/outbox.ts', 'set aside though nobody closed', '    if (mayEnd) {', '    if (seq > 0) {']],
  ],
  [
    suspects,
    'a mosquitto that confirms it and drops it',
    [
      [
        'agent/telemetry/flow.ts',
        'a confirmed batch is never doubted',
        '    if (silent === tellSilent && unconfirmed.size === 0) return doubt();\n',
        '',
      ],
    ],
  ],
  [
    suspects,
    'a measurement at which a broker breaks the connection',
    [
      [
        'agent/telemetry/suspects.ts',
        'nothing is ever set aside',
        'const maxStrikes = 3;',
        'const maxStrikes = 3_000;',
      ],
    ],
  ],
  [
    line,
    'an address that answers after more than a second',
    [
      [
        'agent/telemetry/line.ts',
        'a quarter of a second for an address',
        'const addressMs = 5_000;',
        'const addressMs = 250;',
      ],
    ],
  ],
  [
    line,
    'a wrong clock is called a wrong clock',
    [
      ['agent/telemetry/certificate-trouble.ts', 'a past time is believed', 'if (now < surely)', 'if (surely < 0)'],
      ['agent/telemetry/line.ts', 'a date is a bad certificate', 'if (!isDateCode(code))', 'if (code.length > 0)'],
    ],
  ],
  [
    line,
    'no password reaches a broker whose certificate',
    [
      [
        'agent/telemetry/line.ts',
        'any certificate is believed',
        'return await startTls(tcp, place, ca, deadline);',
        'return await startTls(tcp, place, { ...ca, rejectUnauthorized: false }, deadline);',
      ],
    ],
  ],
  [
    line,
    'a line that falls silent is noticed',
    [['agent/telemetry/connection.ts', 'no keepalive', 'keepalive: options.keepAliveSeconds', 'keepalive: 0']],
  ],
  [
    silence,
    'a person is told after the hours',
    [['agent/telemetry/silence.ts', 'each start tells anew', ' || !isDue(file, clock.now())', '']],
  ],
  [
    silence,
    'agents of one collector do not all write at once',
    [['agent/telemetry/silence.ts', 'no jitter', '(1 - jitter + 2 * jitter * options.random())', '1']],
  ],
  [
    remote,
    'a refused command is not even begun',
    [['agent/control/remote.ts', 'rights are not asked', 'if (!right.allowed)', 'if (!right.allowed && name === "")']],
  ],
  [
    remote,
    'report.allow ["adopt"',
    [
      [
        'agent/control/remote-rights.ts',
        'the word of the owner from afar',
        'if (onlyHere.has(name))',
        'if (onlyHere.size === 0)',
      ],
    ],
  ],
  [
    remote,
    'without details no address',
    [
      [
        'agent/control/remote.ts',
        'answers go out as they are',
        'right.details ? result : withoutDetails(result)',
        'result',
      ],
    ],
  ],
  [
    remote,
    'a command that comes again is not carried out again',
    [
      [
        'agent/control/remote.ts',
        'what was answered is forgotten',
        "      if (known['outcome'] !== null) return replyOf(known, id);\n",
        '',
      ],
    ],
  ],
  [
    remote,
    'after its time a command is not carried out',
    [['agent/control/remote.ts', 'no time to live', 'if (command.expires < clock.now())', 'if (command.expires < 0)']],
  ],
  [
    changes,
    'a proposal neither widens the rights',
    [
      [
        'agent/control/changes.ts',
        'every option from afar',
        'if (untouchable.has(one.path[0]))',
        'if (untouchable.size === 0)',
      ],
      ['agent/control/changes.ts', 'files may be named', 'namesFile(one.path.at(-1), one.value)', "name === ''"],
    ],
  ],
  [
    changes,
    'a proposal waits for a person',
    [['agent/control/changes.ts', 'nobody is asked', '      if (allowed) return', '      if (allowed || true) return']],
  ],
  [
    enrolment,
    'a code makes an agent known',
    [
      [
        'agent/telemetry/enrolment.ts',
        'any authority is the collector',
        'fingerprintOf(certificate.raw) === fingerprint',
        'certificate.ca',
      ],
    ],
  ],
  [
    enrolment,
    'a code whose answer was lost works again',
    [['agent/enrol.ts', 'a new password for each try', "known['of'] === of &&", "known['of'] === '' &&"]],
  ],
  [
    'test/collector/fleet/fleet.test.ts',
    'a machine that was switched off as planned',
    [['collector/fleet/fleet.ts', 'planned for ever', '    setPlannedOff(member, false);\n', '']],
  ],
  [
    'test/collector/alert/silence-and-absence.test.ts',
    'a machine that was switched off as planned is no alarm',
    [['collector/alert/observe.ts', 'planned without end', ' && view.silentMs < longestPlannedMs', '']],
  ],
];

export const telemetryMutants: readonly Mutant[] = guards.flatMap(([tests, title, rows]) =>
  rows.map(([source, what, text, replacement]) => ({ tests, title, source, what, text, replacement })),
);
