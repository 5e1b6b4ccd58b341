// Faults planted in the page and in the writer of configurations, each guarded by one test. A text must stand in its file
// exactly once.
import type { Mutant } from './agent-mutants.ts';

type Row = readonly [source: string, what: string, text: string, replacement: string];
const web = 'test/agent/page/web.test.ts';
const settings = 'test/agent/settings/settings.test.ts';
const guards: readonly (readonly [tests: string, title: string, rows: readonly Row[]])[] = [
  [
    web,
    'without a session there is the login',
    [
      [
        'agent/page/web.ts',
        'pages without a session',
        'if (session === undefined) return redirect(',
        'if (session === undefined && request.path !== "/log") return redirect(',
      ],
    ],
  ],
  [
    web,
    'what changes something needs the token',
    [
      ['agent/page/web.ts', 'no token is asked for', "!isToken(session, request.form.get('token'))", 'false'],
      [
        'agent/page/sessions.ts',
        'any token will do',
        "return timingSafeEqual(digest(session.token), digest(given ?? ''));",
        'return given !== null && digest(session.token).length === digest(given).length && timingSafeEqual(digest(given), digest(given));',
      ],
      ['agent/page/web.ts', 'forms of other sites', "if (request.method === 'POST') refuseForeign(request);", ''],
      [
        'agent/page/web.ts',
        'the browser is not listened to',
        "(site !== undefined && site !== 'same-origin')",
        'false',
      ],
    ],
  ],
  [
    web,
    'every page says what a browser must not do',
    [
      ['agent/page/web.ts', 'the cookie goes over plain HTTP', 'Secure; HttpOnly', 'HttpOnly'],
      ['agent/page/web.ts', 'scripts from anywhere', "default-src 'none'; ", ''],
    ],
  ],
  [
    web,
    'a guessed password costs time',
    [
      ['agent/page/web.ts', 'the door is never closed', 'if (!throttle.mayTry(pageUser, address))', 'if (false)'],
      ['agent/page/web.ts', 'failures are not counted', 'await clock.sleep(throttle.failed(pageUser, address));', ''],
    ],
  ],
  [
    web,
    'a session ends',
    [
      ['agent/page/sessions.ts', 'it never grows old', ' || now - entry.openedAt > oldMs', ''],
      ['agent/page/sessions.ts', 'it lives without use', 'now - entry.usedAt > idleMs || ', ''],
      ['agent/page/sessions.ts', 'a page that looks by itself keeps it alive', 'if (active) entry', 'entry'],
      ['agent/page/settings-page.ts', 'the others stay', 'work.endOtherSessions(session);', ''],
    ],
  ],
  [
    web,
    'a stored password goes to no other server',
    [
      [
        'agent/page/entry-place.ts',
        'it goes anywhere',
        'return editsOf(parts, values, raw, []).length > 0;',
        'return parts.length === 0;',
      ],
    ],
  ],
  [
    web,
    'a change that the running agent cannot use',
    [['agent/page/apply.ts', 'it stays written', 'await settings.undo();', '']],
  ],
  [
    web,
    'a new mailbox needs a password',
    [['agent/page/entry-change.ts', 'what is there is guessed', "(values['firstRun'] ?? '') === ''", 'false']],
  ],
  [
    web,
    'hostile words of strangers',
    [
      ['agent/page/html.ts', 'nothing is escaped', ".replaceAll(/[&<>\"']/g, (letter) => entities[letter] ?? '')", ''],
      ['agent/page/quarantine-pages.ts', 'a mail is shown', "type: 'application/octet-stream'", "type: 'text/html'"],
    ],
  ],
  [
    web,
    'a body that is too large',
    [
      ['agent/page/request.ts', 'bodies without end', 'if (size > maxBodyBytes)', 'if (size > 1e9)'],
      [
        'agent/page/web.ts',
        'on to another host',
        "redirect(safePath(request.query.get('to') ?? '/'), {",
        "redirect(request.query.get('to') ?? '/', {",
      ],
    ],
  ],
  [
    settings,
    'when a value is changed',
    [
      [
        'agent/settings/merge-text.ts',
        'the whole file in another style',
        'const text = saysTheSame(merged, changed) ? merged : after;',
        'const text = saysTheSame(merged, changed) ? after : after;',
      ],
    ],
  ],
  [
    settings,
    'what the agent would refuse is not written',
    [
      [
        'agent/settings.ts',
        'anything is written',
        'const loaded = parseAgentConfig(file, text);',
        'const loaded = parseAgentConfig(file, before.text);',
      ],
    ],
  ],
  [
    settings,
    'two who change the same text',
    [
      [
        'agent/settings.ts',
        'the last one wins',
        'if (change.version !== undefined && change.version !== before.version)',
        'if (false)',
      ],
    ],
  ],
  [
    settings,
    'a secret goes into its file',
    [
      [
        'agent/settings.ts',
        'readable by all',
        "secret.text + '\\n', { mode: 0o600 }",
        "secret.text + '\\n', { mode: 0o644 }",
      ],
      ['agent/settings/replace-file.ts', "somebody else's file is taken", 'if (!existsSync(path) && ', 'if ('],
      ['agent/settings.ts', 'a secret that others use goes', '!kept.has(one) && ', ''],
    ],
  ],
  [
    settings,
    'a change is taken back',
    [
      [
        'agent/settings.ts',
        'only the configuration is',
        'for (const one of [...secrets, before])',
        'for (const one of [before])',
      ],
    ],
  ],
];

export const pageMutants: readonly Mutant[] = guards.flatMap(([tests, title, rows]) =>
  rows.map(([source, what, text, replacement]) => ({ tests, title, source, what, text, replacement })),
);
