// Planted violations: each is found, and only it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findImports, findViolations } from './house.ts';

const readmes = ['agent', 'collector', 'shared', 'dashboards', 'demo', 'test'].map(
  (folder) => [folder + '/README.md', '# ' + folder] as const,
);
const violationsOf = (path: string, text: string): readonly string[] =>
  findViolations(new Map([...readmes, [path, text]]));
const importing = (target: string): string => "import { x } from '" + target + "';\n";

const forbidden: readonly (readonly [path: string, target: string])[] = [
  ['shared/a.ts', '../agent/net/socket.ts'],
  ['agent/receive/a.ts', '../send/send.ts'],
  ['agent/send/a.ts', '../receive/receive.ts'],
  ['agent/local/a.ts', '../receive/ledger.ts'],
  ['agent/smtp/a.ts', '../local/local.ts'],
  ['agent/net/a.ts', '../smtp/reply.ts'],
  ['agent/probe/a.ts', '../telemetry/telemetry.ts'],
  ['agent/telemetry/a.ts', '../net/socket.ts'],
  ['agent/control/a.ts', '../send/queue.ts'],
  ['agent/cli/a.ts', '../state.ts'],
  ['agent/receive/a.ts', '../config.ts'],
  ['agent/receive/a.ts', '../agent.ts'],
  ['agent/send/deep/a.ts', '../../receive/receive.ts'],
  ['agent/agent.ts', '../collector/config.ts'],
  ['agent/agent.ts', '../test/lab/lab.ts'],
  ['agent/agent.ts', '../demo/provider.ts'],
  ['collector/web/a.ts', '../ingest/ingest.ts'],
  ['collector/alert/a.ts', '../fleet/fleet.ts'],
  ['collector/ingest/a.ts', '../broker/embedded.ts'],
  ['collector/broker/a.ts', '../store/store.ts'],
  ['collector/store/a.ts', '../fleet/fleet.ts'],
  ['collector/fleet/a.ts', '../store/store.ts'],
  ['collector/collector.ts', '../agent/config.ts'],
  ['dashboards/a.ts', '../collector/store/store.ts'],
  ['demo/a.ts', '../agent/agent.ts'],
  ['demo/a.ts', '../test/lab/lab.ts'],
];
const allowed: readonly (readonly [path: string, target: string])[] = [
  ['agent/receive/a.ts', '../local/local.ts'],
  ['agent/send/a.ts', '../smtp/verdict.ts'],
  ['agent/local/a.ts', '../smtp/conversation.ts'],
  ['agent/smtp/a.ts', '../net/socket.ts'],
  ['agent/probe/a.ts', '../net/socket.ts'],
  ['agent/cli/a.ts', '../config.ts'],
  ['agent/cli/a.ts', '../control/protocol.ts'],
  ['agent/agent.ts', './receive/receive.ts'],
  ['agent/receive/a.ts', './ledger.ts'],
  ['agent/receive/a.ts', '#shared/clock.ts'],
  ['agent/receive/a.ts', 'node:net'],
  ['shared/a.ts', './clock.ts'],
  ['collector/web/a.ts', '../alert/alert.ts'],
  ['collector/broker/a.ts', '../ingest/ingest.ts'],
  ['collector/ingest/a.ts', '../store/store.ts'],
  ['demo/a.ts', '#shared/failure.ts'],
  ['test/agent/receive/a.test.ts', '../../../agent/receive/receive.ts'],
  ['test/demo/a.test.ts', '../../demo/provider.ts'],
];

test('imports against the direction of the house are found', () => {
  for (const [path, target] of forbidden) {
    const violations = violationsOf(path, importing(target));
    assert.equal(violations.length, 1, path + ' ' + target);
    assert.ok(violations[0]?.startsWith(path + ': imports '), violations[0]);
  }
});

test('imports along the direction of the house are none of its business', () => {
  for (const [path, target] of allowed)
    assert.deepEqual(violationsOf(path, importing(target)), [], path + ' ' + target);
});

test('rooms take types alone from the configuration, and alert takes types alone from fleet', () => {
  const types = (target: string): string => "import type { X } from '" + target + "';\n";
  assert.deepEqual(violationsOf('agent/receive/a.ts', types('../config.ts')), []);
  assert.deepEqual(violationsOf('collector/alert/a.ts', types('../fleet/agent-view.ts')), []);
  assert.match(violationsOf('agent/receive/a.ts', importing('../config.ts'))[0] ?? '', /but for types alone$/);
  assert.equal(violationsOf('agent/receive/a.ts', types('../send/send.ts')).length, 1);
});

test('an import is seen in whatever form it is written', () => {
  const forms = [
    "import x, { y } from '../send/send.ts';",
    "import {\n  one,\n  two,\n} from '../send/send.ts';",
    'import * as all from "../send/send.ts";',
    "import '../send/send.ts';",
    "export { x } from '../send/send.ts';",
    "export * from '../send/send.ts';",
    "const { x } = await import('../send/send.ts');",
    'const x = import(`../send/send.ts`);',
    "let x: import('../send/send.ts').Send;",
    "let x: typeof import('../send/send.ts');",
    "import type { Send } from '../send/send.ts';",
    "const a = 1;\nimport { b } from 'node:net';\nimport { x } from '../send/send.ts';",
  ];
  for (const form of forms) assert.equal(violationsOf('agent/receive/a.ts', form).length, 1, form);
  const none = "// import { x } from '../send/send.ts';\nconst text = 'from';\nexport const a = '../send/send.ts';\n";
  assert.deepEqual(findImports(none), []);
});

test('a room that nobody has given rules is found', () => {
  assert.match(violationsOf('agent/attic/a.ts', '')[0] ?? '', /^agent\/attic\/a.ts: unknown room agent\/attic, /);
});

test('long files are found: 400 lines for sources, 600 for tests', () => {
  const lines = (count: number): string => '//\n'.repeat(count);
  assert.deepEqual(violationsOf('shared/a.ts', lines(400)), []);
  assert.deepEqual(violationsOf('shared/a.ts', lines(401)), ['shared/a.ts: 401 lines, expected at most 400']);
  assert.deepEqual(violationsOf('shared/a.ts', lines(400) + '// no line end'), [
    'shared/a.ts: 401 lines, expected at most 400',
  ]);
  assert.deepEqual(violationsOf('test/a.test.ts', lines(600)), []);
  assert.equal(violationsOf('test/a.test.ts', lines(601)).length, 1);
});

test('names that say nothing are found', () => {
  for (const name of ['utils', 'helpers', 'manager', 'service', 'types', 'constants', 'index']) {
    assert.match(violationsOf('agent/send/' + name + '.ts', '')[0] ?? '', /the name says nothing/, name);
  }
  assert.deepEqual(violationsOf('agent/send/indexing.ts', ''), []);
});

test('a folder without README is found', () => {
  const files = new Map<string, string>([...readmes, ['docs/api.md', '']]);
  assert.deepEqual(findViolations(files), ['docs/README.md: missing, expected one in each folder']);
});

test('skipped tests are found', () => {
  const skips = [
    "test.skip('x', () => {});",
    "t.skip('no server');",
    "test('x', { skip: true }, f);",
    "it.only('x', f);",
  ];
  for (const text of skips) assert.match(violationsOf('test/shared/a.test.ts', text)[0] ?? '', /skips a test/, text);
});
