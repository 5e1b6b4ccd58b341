// Faults planted in identity, telemetry, logins and pace, each guarded by one test. A text must stand in its file exactly once.

export type Mutant = {
  /** The guard: its file, and the beginning of its name. */
  readonly tests: string;
  readonly title: string;
  readonly source: string;
  readonly what: string;
  readonly text: string;
  readonly replacement: string;
};

type Row = readonly [source: string, what: string, text: string, replacement: string];
const guards: readonly (readonly [tests: string, title: string, rows: readonly Row[]])[] = [
  [
    'test/agent/reload-agent.test.ts',
    'a mailbox that is added is fetched',
    [
      [
        'agent/rooms.ts',
        'the old room goes on beside the new one',
        "    await (part === 'send' ? send : receive).close();\n",
        '',
      ],
      ['agent/reload.ts', 'every change opens all rooms anew', 'if (others || isWatched)', 'if (true)'],
      [
        'agent/reloading.ts',
        'the new configuration is forgotten',
        '({ loaded: current, marks } = next);',
        'void next;',
      ],
    ],
  ],
  [
    'test/agent/reload-agent.test.ts',
    'what cannot be used changes nothing',
    [
      ['agent/reloading.ts', 'no way back', '      await reopenAll();\n      if (!', '      if (!'],
      [
        'agent/reloading.ts',
        'files are not looked at before',
        "    if (problems.length > 0) throw new UserError(problems.map((one) => one.message).join('\\n'));\n",
        '',
      ],
      ['agent/reload.ts', 'another name is taken up', "'tenant', 'agent', 'state'", "'tenant', 'state'"],
    ],
  ],
  [
    'test/agent/reload-agent.test.ts',
    'users of the configuration come and go',
    [['agent/reloading.ts', 'another password goes unnoticed', 'marks.get(option) !== nextMarks.get(option)', 'false']],
  ],
  [
    'test/agent/net/race.test.ts',
    'an address that never answers costs a moment',
    [['agent/net/race.ts', 'one address after the other', 'timer = setTimeout(tryNext, pauseMs);', '']],
  ],
  [
    'test/agent/net/race.test.ts',
    'an address that answers slowly is not given up',
    [
      [
        'agent/net/race.ts',
        'the slow one is given up, as Node does',
        'timer = setTimeout(tryNext, pauseMs);',
        "timer = setTimeout(() => socket.destroy(new Error('slow')), pauseMs);",
      ],
    ],
  ],
  [
    'test/agent/idle-disk.test.ts',
    'nothing is written while nothing happens',
    [
      ['agent/send/send.ts', 'the clock of an empty queue is saved', 'if (parts.queueClock.counts()) ', ''],
      ['agent/telemetry/telemetry.ts', 'gauges wake the disk', 'if (mayRest(points)) rest(points);\n    else ', ''],
      [
        'agent/telemetry/telemetry.ts',
        'gauges are kept instead of being told',
        'publisher.sayNow(points);\n    else pending',
        'pending',
      ],
    ],
  ],
  [
    'test/shared/state.test.ts',
    'openDatabase() keeps a copy of the file as it was',
    [
      ['shared/sqlite.ts', 'no copy', "if (version > 0 && path !== ':memory:') keepCopy(db, path, version);", ''],
      ['shared/sqlite.ts', 'anybody may read the copy', "'wx', 0o600", "'wx', 0o644"],
    ],
  ],
  [
    'test/shared/state.test.ts',
    'openDatabase() leaves a file as it was when a step fails',
    [['shared/sqlite.ts', 'half a step stays', "transaction(db, () => db.exec(sql + '", "void (db.exec(sql + '"]],
  ],
  [
    'test/agent/cli/support-bundle.test.ts',
    'a support bundle says much',
    [
      ['agent/cli/support-bundle.ts', 'nothing is taken out', 'redact(text).trimEnd()', 'text.trimEnd()'],
      [
        'agent/cli/support-bundle.ts',
        'known secrets are not known',
        'createRedactor(readSecrets(loaded))',
        'createRedactor([])',
      ],
      ['agent/cli/redact.ts', 'addresses stay', 'return maskAddresses(clean);', 'return clean;'],
      ['agent/cli/redact.ts', 'encoded secrets stay', '      encodeURIComponent(secret),\n', ''],
    ],
  ],
  [
    'test/agent/twins.test.ts',
    'two agents with one identity: both pause',
    [
      ['agent/hold.ts', 'the rooms stay open', '    await leave();\n    await enter();\n  }\n', '  }\n'],
      [
        'agent/telemetry/publisher.ts',
        'nobody listens to births',
        "if (name === topic('status')) onStatus(payload);",
        "if (name === topic('status')) return;",
      ],
      [
        'collector/broker/rights.ts',
        'an agent may not read its own status',
        "agent: ['ack', 'cmd', 'site', 'status'],",
        "agent: ['ack', 'cmd', 'site'],",
      ],
    ],
  ],
  [
    'test/agent/twins.test.ts',
    'a hold outlives a restart',
    [['agent/hold.ts', 'the doubt is not written down', '      identity.doubt(why);\n', '']],
  ],
  [
    'test/agent/twins.test.ts',
    'a copied state reports that it is held',
    [
      ['agent/telemetry/held-report.ts', 'a held agent connects as the other one', '    held: true,\n', ''],
      ['agent/rooms.ts', 'a held agent tells nobody', '  await telemetry.start();\n}\n\nexport', '}\n\nexport'],
    ],
  ],
  [
    'test/flow/troubles.live.test.ts',
    'wrong certificate, password and host',
    [['agent/telemetry/telemetry.ts', 'a full disk is told afterwards', '      publisher?.sayNow(points);\n', '']],
  ],
  [
    'test/agent/telemetry/twin.test.ts',
    'no second agent: a first start',
    [
      ['agent/telemetry/twin.ts', 'one late last will is a second agent', 'const enough = 2;', 'const enough = 1;'],
      [
        'agent/telemetry/twin.ts',
        'our own connections are strangers',
        '      if (own.has(connection)) return false;\n',
        '',
      ],
    ],
  ],
  [
    'test/agent/telemetry/twin.test.ts',
    'a second agent is seen by the one',
    [
      [
        'agent/telemetry/twin.ts',
        'everybody is our former life',
        'if (own.size === 1) former ??= connection;',
        'former = connection;',
      ],
    ],
  ],
  [
    'test/agent/telemetry/publisher.test.ts',
    'an outbox put back from a backup',
    [
      [
        'agent/telemetry/publisher.ts',
        'an old copy holds no mail',
        '    doubted = true;\n    options.onDoubt?.(reason);',
        '    doubted = true;',
      ],
    ],
  ],
  [
    'test/collector/broker/embedded.test.ts',
    'nobody enters with a wrong name',
    [
      [
        'shared/topics.ts',
        'the held id of any agent is its own',
        'clientId.startsWith(held)',
        "clientId.includes('.held.')",
      ],
    ],
  ],
  [
    'test/agent/accounts/login-memory.test.ts',
    'refusals are counted on after a restart',
    [
      [
        'agent/accounts/breaker.ts',
        'a restart begins the count anew',
        'former === undefined ? source.generation() === refused : !isOther()',
        'source.generation() === refused',
      ],
    ],
  ],
  [
    'test/agent/accounts/login-memory.test.ts',
    'after a kill nobody knows',
    [['agent/accounts/login-memory.ts', 'a kill is forgotten', "row?.['alive'] === 1 ? 0 : since", 'since']],
  ],
  [
    'test/agent/accounts/login-memory.test.ts',
    'a login that went well forgets the refusals',
    [['agent/accounts/breaker.ts', 'each login is written', 'if (refusals > 0) memory?.well();', 'memory?.well();']],
  ],
  [
    'test/agent/accounts/login-memory.test.ts',
    'another secret after the restart',
    [
      ['agent/accounts/breaker.ts', 'a changed secret waits', ' || !past.isRefused(secret)', ''],
      [
        'agent/accounts/breaker.ts',
        'nobody looks for a changed secret',
        '(source.stored() ?? former.secret) !== former.secret',
        'false',
      ],
    ],
  ],
  [
    'test/agent/receive/pace.test.ts',
    "no pause is under the provider's minimum",
    [['agent/receive/pace.ts', 'busy beats the minimum', 'Math.max(options.busyMs, minIntervalMs)', 'options.busyMs']],
  ],
  [
    'test/agent/receive/pace.test.ts',
    'after mail the pause is short',
    [['agent/receive/pace.ts', 'always the interval', 'brought > 0 ? busyMs :', '']],
  ],
  [
    'test/agent/receive/pace.test.ts',
    'while new mail wakes the account',
    [
      [
        'agent/receive/pace.ts',
        'the wake does not count',
        'if (isWatched) currentMs = intervalMs;\n      else currentMs',
        'currentMs',
      ],
    ],
  ],
  [
    'test/agent/accounts/resolve.test.ts',
    'after mail a third of the interval',
    [
      [
        'agent/accounts/resolve.ts',
        'faster without knowing the provider',
        'preset === undefined ? intervalSeconds : intervalSeconds / 3',
        'intervalSeconds / 3',
      ],
    ],
  ],
  [
    'test/agent/receive/wake.live.test.ts',
    'IDLE in clear, in TLS',
    [
      [
        'agent/receive/wake.ts',
        'pins are passed over',
        'new X509Certificate(peer.raw), endpoint)',
        'new X509Certificate(peer.raw), { ...endpoint, pins: [] })',
      ],
    ],
  ],
  [
    'test/agent/receive/problem.test.ts',
    'every trouble is one word',
    [
      [
        'agent/receive/problem.ts',
        'a certificate is any TLS trouble',
        "error.isCertificate ? 'certificate' : 'tls'",
        "'tls'",
      ],
      ['agent/receive/problem.ts', 'a full disk is anything', '[8, 10, 13]', '[10]'],
    ],
  ],
  [
    'test/agent/accounts/oauth.test.ts',
    'a token server whose certificate',
    [
      [
        'agent/accounts/bounded-fetch.ts',
        'any certificate is believed',
        "minVersion: 'TLSv1.2', ...(ca",
        "minVersion: 'TLSv1.2', rejectUnauthorized: false, ...(ca",
      ],
    ],
  ],
  [
    'test/agent/receive/round.test.ts',
    'a round tells its parts',
    [['agent/receive/round-run.ts', 'TCP is told as TLS', "stage === 'tcp' ? 'connectMs' : 'tlsMs'", "'tlsMs'"]],
  ],
  [
    'test/agent/receive/round-times.test.ts',
    'a slow handshake is told as TLS',
    [
      [
        'agent/receive/round.ts',
        'the login holds the connection',
        '- run.startedAt - connectMs - tlsMs',
        '- run.startedAt',
      ],
    ],
  ],
  [
    'test/agent/receive/session-minutes.test.ts',
    'after its minutes a session begins no further',
    [['agent/receive/fetching.ts', 'a session has no end', '- run.startedAt > limits.ms', '- run.startedAt > 1e12']],
  ],
];

export const mutants: readonly Mutant[] = guards.flatMap(([tests, title, rows]) =>
  rows.map(([source, what, text, replacement]) => ({ tests, title, source, what, text, replacement })),
);
