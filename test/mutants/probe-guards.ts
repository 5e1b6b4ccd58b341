// Further faults planted in agent/probe: in what makes an answer count, and in what is told of many answers. Each is guarded by
// the one test that is named.

export type GuardMutant = {
  /** The file with the test, and the beginning of its name. */
  readonly tests: string;
  readonly title: string;
  readonly what: string;
  readonly text: string;
  readonly replacement: string;
};

type Row = readonly [title: string, what: string, text: string, replacement: string];
const rows: Readonly<Record<string, readonly Row[]>> = {
  'dns.test.ts': [
    [
      'an answer to another question is passed over',
      'the question is not compared',
      'questions !== 1 || !echoes(query, message)',
      'questions !== 1',
    ],
    [
      'a query instead of an answer is passed over',
      'a reflected query counts',
      "  if ((flags & 0x8000) === 0) return 'a query instead of an answer';\n",
      '',
    ],
    [
      'a server that answers with another id over TCP',
      'the id is not compared',
      "  if (message.readUInt16BE(0) !== query.readUInt16BE(0)) return 'a message with another id';\n",
      '',
    ],
    [
      'a server that announces more than 16 KiB over TCP',
      'a message over TCP may be of any size',
      'if (length > maxTcpBytes)',
      'if (length > maxTcpBytes * 4)',
    ],
    [
      'a referral: the server does not resolve is malformed',
      'a referral is "no record"',
      "if (referral) return malformed('a referral: the server does not resolve');",
      '',
    ],
    [
      'at most 32 questions are in flight',
      'the caller decides how many',
      'Math.min(options.maxInFlight ?? mostInFlight, mostInFlight)',
      'options.maxInFlight ?? mostInFlight',
    ],
    ['a second try is answered', 'one try is all', 'timeoutMs = 2_000, tries = 2', 'timeoutMs = 2_000, tries = 1'],
  ],
  'dns-records.test.ts': [
    [
      'names of endless pointers are malformed',
      'thousands of pointers are followed',
      'const maxPointers = 16;',
      'const maxPointers = 20_000;',
    ],
    [
      'what one resolver said is not told for another one',
      'the cache knows no resolvers',
      "return showResolver(resolver) + ' ' + question.type",
      "return (resolver.port < 0 ? '-' : '') + question.type",
    ],
    [
      'the shortest time to live of records and aliases counts',
      'a missing name is kept too long',
      'Math.min(soa.ttl ?? 0, soa.minimum ?? 0)',
      '(soa.ttl ?? 0)',
    ],
    [
      'a port carries a few questions at once',
      'a port that owes an answer is used again',
      "if (kind !== 'message' || line.uses >= maxUses)",
      'if (kind.length > 99 || line.uses >= maxUses)',
    ],
  ],
  'malformed.test.ts': [
    [
      'there are 44 kinds of malformed answers',
      'what stands behind the last record is passed over',
      "return offset === message.length ? undefined : 'bytes behind the last record';",
      'return undefined;',
    ],
  ],
  'damping.test.ts': [
    [
      'one answer that says otherwise begins anew',
      'a listing is taken back as fast as it is told',
      'at - before.pending.firstAt >= limits.clearMs',
      'at - before.pending.firstAt >= limits.confirmMs',
    ],
    [
      'a line that is down is not the fault of the lists',
      'every list waits after an outage of the line',
      '      if (lineDown) return;\n',
      '',
    ],
  ],
  'probe.test.ts': [
    [
      'a list is asked again when its answer no longer holds',
      'an answer out of the cache is a second one',
      'checkedAt: now - ageMs',
      'checkedAt: now',
    ],
    [
      'the address of a name is looked up at each round',
      'a name that cannot be looked up has no address',
      'return known.get(name) ?? [];',
      'return [];',
    ],
    [
      'the address of a name is looked up at each round',
      'the listing of an old address stays for ever',
      "        say({ ...result, state: 'gone', reason }, 'none');\n",
      '',
    ],
    [
      'one small list alone says little about a relay',
      'one list is enough',
      'const relayLists = 2;',
      'const relayLists = 1;',
    ],
    [
      'a key never shows in log, gauges, findings or results',
      'the words of the list are not masked',
      'cleanText(zone.mask(verdict.reason))',
      'cleanText(verdict.reason)',
    ],
    ['a muted list is asked and shown', 'a muted list is told', "if (muted.has(result.zone)) return 'none';", ''],
  ],
};

export const guardMutants: readonly GuardMutant[] = Object.entries(rows).flatMap(([file, own]) =>
  own.map(([title, what, text, replacement]) => ({
    tests: 'test/agent/probe/' + file,
    title,
    what,
    text,
    replacement,
  })),
);
