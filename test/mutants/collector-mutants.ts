// Faults planted in what the collector takes, whom it lets in, and what it lets them do, each guarded by one test. A text must
// stand in its file exactly once.
import type { Mutant } from './agent-mutants.ts';

type Row = readonly [source: string, what: string, text: string, replacement: string];
const ingest = 'test/collector/ingest/ingest.test.ts';
const embedded = 'test/collector/broker/embedded.test.ts';
const rights = 'test/collector/broker/rights-table.test.ts';
const authority = 'test/collector/broker/authority.test.ts';
const managed = 'test/collector/broker/managed.live.test.ts';
const agents = 'test/collector/agents.test.ts';
const fleet = 'test/collector/fleet/fleet.test.ts';

const guards: readonly (readonly [tests: string, title: string, rows: readonly Row[]])[] = [
  [
    ingest,
    'a batch before its turn is not taken',
    [
      [
        'collector/ingest/ingest.ts',
        'a gap is taken',
        'batch.seq > before && batch.seq === Math.max(before + 1, batch.oldest)',
        'batch.seq > before',
      ],
    ],
  ],
  [
    ingest,
    'a batch that comes again is acknowledged again and counted once',
    [
      ['collector/ingest/ingest.ts', 'the group forgets what it has taken', '        last.set(key, batch.seq);\n', ''],
      [
        'collector/ingest/ingest.ts',
        'a duplicate is not acknowledged',
        'for (const { origin, batch } of new Map(group',
        'for (const { origin, batch } of new Map(parts',
      ],
    ],
  ],
  [
    ingest,
    'a batch that cannot be counted is not acknowledged and holds nobody else up',
    [
      [
        'collector/fleet/fleet.ts',
        'one that fails takes the others with it',
        'if (entries.length === 1) return { counted: 0, failed: error };',
        'return { counted: 0, failed: error };',
      ],
    ],
  ],
  [
    ingest,
    'who reports the present is not held up',
    [['collector/ingest/lanes.ts', 'nobody is late', 'const lateMs = 120_000;', 'const lateMs = Infinity;']],
  ],
  [
    ingest,
    'a tenant that has as many series as it may',
    [
      [
        'collector/ingest/series-limit.ts',
        'a restart forgets the series',
        "    remember({ tenant: String(row['tenant']), agent: String(row['agent']) }, String(row['series']));\n",
        '    void row;\n',
      ],
      [
        'collector/ingest/series-limit.ts',
        'one limit for all tenants',
        'counts.get(origin.tenant) ?? 0) >= perTenant',
        '[...counts.values()].reduce((a, b) => a + b, 0)) >= perTenant',
      ],
    ],
  ],
  [
    ingest,
    'a flood of unreadable messages stays bounded',
    [
      [
        'collector/ingest/dead-letters.ts',
        'one agent drives out the others',
        '        trimAgent.run(tenant, agent);\n',
        '',
      ],
    ],
  ],
  [
    rights,
    'everything foreign is refused',
    [
      [
        'collector/broker/rights.ts',
        'the agent is not looked at',
        'a.tenant === b.tenant && a.agent === b.agent',
        'a.tenant === b.tenant',
      ],
      [
        'collector/broker/rights.ts',
        'the tenant is not looked at',
        'a.tenant === b.tenant && a.agent === b.agent',
        'a.agent === b.agent',
      ],
      ['collector/broker/rights.ts', 'everything may be kept', "(!retain || parsed.leaf === 'status')", 'true'],
      ['collector/broker/rights.ts', 'QoS 2', 'qos < 2;', 'qos < 3;'],
      [
        'collector/broker/rights.ts',
        'who comes with a code may report',
        "enrol: ['enrol'],",
        "enrol: ['enrol', 'up'],",
      ],
    ],
  ],
  [
    embedded,
    'who brings a last will on a foreign topic',
    [
      [
        'collector/broker/rights.ts',
        'a last will is not looked at',
        'will === undefined || mayPublish(identity, will)',
        'will === undefined || will.topic !== null',
      ],
    ],
  ],
  [
    embedded,
    'who guesses passwords',
    [
      [
        'collector/broker/rights.ts',
        'failures are not counted',
        '      if (identity === undefined && isTried) throttle.failed(address, user);\n',
        '',
      ],
      ['collector/broker/login-throttle.ts', 'all behind one line pay', "address + ' ' + user.slice(0, 80)", 'address'],
    ],
  ],
  [
    authority,
    'through thirty years',
    [
      ['collector/broker/authority.ts', 'the next one signs at once', 'index === 0 || now()', 'index >= 0 || now()'],
      [
        'collector/broker/authority.ts',
        'no successor is made',
        'Date.parse(last.x509.validTo) - now() < nextDays * dayMs',
        'Date.parse(last.x509.validTo) < now()',
      ],
      [
        'collector/broker/authority.ts',
        'the certificate is not renewed',
        'Date.parse(cert.validTo) - now > left',
        'Date.parse(cert.validTo) > 0',
      ],
    ],
  ],
  [
    agents,
    'a code works once',
    [
      [
        'collector/fleet/accounts.ts',
        'a used code goes on working',
        '      statements.useInvitation.run(secret, origin.tenant, origin.agent);\n',
        '',
      ],
      [
        'collector/fleet/accounts.ts',
        'a code never expires',
        "Number(invitation['expires']) <= clock.now()",
        "Number(invitation['expires']) <= 0",
      ],
    ],
  ],
  [
    agents,
    'revoke throws the agent out at once',
    [
      [
        'collector/cli/verbs.ts',
        'the connection stays',
        "        const did = accounts.revoke(origin, 'by a person');\n        await broker.revoked(origin);",
        "        const did = accounts.revoke(origin, 'by a person');",
      ],
      [
        'collector/fleet/accounts.ts',
        'the secret stays',
        'UPDATE account SET secret = NULL, revoked_at = ?',
        'UPDATE account SET revoked_at = ?',
      ],
    ],
  ],
  [
    agents,
    'a command reaches the agent once it is there',
    [
      [
        'collector/fleet/commands.ts',
        'a reply of anybody counts',
        'if (known === undefined) return;',
        'if (known === null) return;',
      ],
    ],
  ],
  [
    managed,
    'dynamic-security: who subscribes to more',
    [
      [
        'collector/broker/dynamic-security.ts',
        'agents read with a pattern',
        "  allow('subscribeLiteral', topic),",
        "  allow('subscribePattern', topic.replace('nas-1', '+')),\n  allow('publishClientReceive', 'mailferry/#'),",
      ],
    ],
  ],
  [
    managed,
    'files: everything foreign is refused',
    [
      [
        'collector/broker/access-files.ts',
        'agents write everywhere',
        "'pattern write mailferry/1/%u/' + leaf",
        "'pattern write mailferry/1/+/+/' + leaf",
      ],
    ],
  ],
  [
    fleet,
    'an agent whose clock is a day ahead',
    [['collector/fleet/clock-skew.ts', 'only clocks that are ahead', 'Math.abs(ahead) <= limitMs', 'ahead <= limitMs']],
  ],
];

export const collectorMutants: readonly Mutant[] = guards.flatMap(([tests, title, rows]) =>
  rows.map(([source, what, text, replacement]) => ({ tests, title, source, what, text, replacement })),
);
