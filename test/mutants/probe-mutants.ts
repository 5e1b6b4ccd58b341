// Faults planted in agent/probe, each guarded by one test in test/agent/probe/failures. A text must stand in the room once.

export type ProbeMutant = {
  /** The beginning of the test's name. */
  readonly guard: string;
  /** Name of the file with the test, without its end. */
  readonly file: string;
  readonly what: string;
  readonly text: string;
  readonly replacement: string;
};

type Row = readonly [guard: string, what: string, text: string, replacement: string];

const codes: readonly Row[] = [
  [
    'F1',
    'refusals that all lists share are not known',
    'lookUp(zone.refusals, address) ?? lookUp(commonRefusals, address)',
    'lookUp(zone.refusals, address)',
  ],
  [
    'F3',
    'a code beyond the table is taken for clean',
    'if (meanings.size > 0) return',
    'if (meanings.size >= 0) return',
  ],
  [
    'F5',
    'the words of a list that refuses are not asked for',
    '[health.text, ...(await words(health.words, resolver, signal))]',
    '[health.text]',
  ],
  [
    'F5b',
    'nor those of a list that refuses one question',
    '[reading.text, ...(await words(name, resolver, signal))]',
    '[reading.text]',
  ],
  [
    'F6',
    'other error codes of the range are listings',
    "  if (address.startsWith('127.255.255.')) return 'an error code';\n",
    '',
  ],
  [
    'F8',
    'any code of a reputation list is bad',
    "is(code < 17 ? 'neutral reputation' : 'good reputation', 'good', 'none')",
    "is('reputation', 'listed', 'warning')",
  ],
  ['F9', 'addresses outside 127.0.0.0/8 count', '  if (outside !== undefined)', "  if (outside === '')"],
  [
    'F11',
    'the lowest bit is a meaning like any other',
    '(lastOctet(address) & 1) === 1',
    '(lastOctet(address) & 1) === 2',
  ],
  [
    'F12',
    'every target is asked of every list',
    'let open = targets.filter((target) => families.includes(target.family));',
    'let open = [...targets];',
  ],
  [
    'F12b',
    'a code that speaks for an address counts against it',
    "is('not to be blocked', 'good', 'none')",
    "is('not to be blocked', 'listed', 'info')",
  ],
  [
    'F18',
    'a code without a meaning is a listing',
    'return meaning === undefined ? [] : [meaning];',
    "return [meaning ?? { text: 'listed', class: 'listed', level: 'warning' }];",
  ],
];

const lists: readonly Row[] = [
  [
    'F2',
    'what failed is clean',
    "if (answer.kind === 'failed') return unsure('error', answer.text);",
    "if (answer.kind === 'failed') return { state: 'clean', codes: [], level: 'none', reason: '', ageMs: 0 };",
  ],
  ['F4', 'the first resolver decides', '          if (!done) next.push(target);\n', ''],
  [
    'F7',
    'a list without its test entry is healthy',
    "if (listed.found) return { kind: 'healthy' };",
    "if (listed.found || entries.clean.name !== '') return { kind: 'healthy' };",
  ],
  [
    'F10',
    'entries that must not be listed are not looked at',
    'problems.filter((one) => one !== undefined)',
    'problems.filter((one) => one === null)',
  ],
  ['F10', 'only the usual test entry is asked', '[nobody] : [entries.clean, nobody]', '[nobody] : [entries.clean]'],
  ['F10b', 'a mass change is believed', 'changed * 2 > answered', 'changed > answered * 2'],
  ['F10b', 'a mass change is never believed', 'clock.monotonic() - since < doubtMs', 'since >= 0'],
  ['F13', 'the invented name has odd characters', "letters + '0123456789'", "letters + '0123456789_-'"],
  [
    'F15',
    'domains are tested with a reversed address',
    "clean: entry('invalid', 'INVALID')",
    "clean: entry('1.0.0.127', 'INVALID')",
  ],
  ['F16', 'no list is exempt', "    untested: ['clean'],\n", ''],
  ['F17', 'a failing list is asked in every round', '      pace.failures += 1;\n', '      pace.failures = 1;\n'],
  [
    'F20',
    'what is on the line of the site is never loud',
    '  return meaning.level;\n',
    "  return role === 'site' ? 'info' : meaning.level;\n",
  ],
  [
    'F24',
    'a policy listing is always a warning',
    "return role === 'site' && relaying ? 'info' : 'warning';",
    "return 'warning';",
  ],
  [
    'F24',
    'a policy listing is always expected',
    "(meaning.class === 'policy' && role === 'site' && relaying)",
    "(meaning.class === 'policy' && role === 'site')",
  ],
];

const resolver: readonly Row[] = [
  [
    'F21',
    'an unknown id is a broken invariant',
    '  if (asked === undefined) {\n',
    "  if (asked === undefined) {\n    throw new RangeError('an answer to no question');\n",
  ],
  [
    'F22',
    'TCP has no deadline',
    'outcome = await exchangeTcp(exchange);',
    'outcome = await exchangeTcp({ ...exchange, timeoutMs: 2 ** 30 });',
  ],
  ['F23', 'a try ends early', '    }, options.timeoutMs);\n', '    }, options.timeoutMs / 4);\n'],
];

const inFile = (file: string, rows: readonly Row[]): readonly ProbeMutant[] =>
  rows.map(([guard, what, text, replacement]) => ({ guard, file, what, text, replacement }));

export const mutants: readonly ProbeMutant[] = [
  ...inFile('codes', codes),
  ...inFile('lists', lists),
  ...inFile('resolver', resolver),
];
