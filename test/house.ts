// The rules of the house that a compiler does not know (part of `npm run check`): who may import whom, how long a file may
// be, names that say nothing, a README in each folder, no test that is skipped. `findViolations` is pure; the rest reads.
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

type Room = {
  /** Rooms whose code it may import. Everything may import shared and itself. */
  readonly may: readonly string[];
  /** Rooms, or single files, of which it may import types alone. */
  readonly types?: readonly string[];
};

const agentRooms = [
  'receive',
  'send',
  'local',
  'smtp',
  'accounts',
  'net',
  'probe',
  'telemetry',
  'control',
  'cli',
  'users',
  'doctor',
  'settings',
  'page',
];
const collectorRooms = ['broker', 'ingest', 'store', 'fleet', 'alert', 'people', 'web', 'cli'];
const agentConfig = { types: ['agent/config.ts'] } as const;
const collectorConfig = { types: ['collector/config.ts'] } as const;
const mailPath = ['agent/local', 'agent/smtp', 'agent/accounts', 'agent/net'] as const;

/** A folder is a room; `agent` and `collector` alone are the files that wire the rooms. */
const rooms: Readonly<Record<string, Room>> = {
  shared: { may: [] },
  agent: { may: agentRooms.map((room) => 'agent/' + room) },
  'agent/receive': { may: mailPath, ...agentConfig },
  'agent/send': { may: [...mailPath, 'agent/users'], ...agentConfig },
  'agent/local': { may: ['agent/smtp', 'agent/net'], ...agentConfig },
  'agent/smtp': { may: ['agent/net'], ...agentConfig },
  'agent/accounts': { may: ['agent/net'], ...agentConfig },
  'agent/net': { may: [], ...agentConfig },
  'agent/probe': { may: ['agent/net'], ...agentConfig },
  'agent/telemetry': { may: [], ...agentConfig },
  'agent/control': { may: [], ...agentConfig },
  'agent/users': { may: [], ...agentConfig },
  'agent/package': { may: [] },
  'agent/settings': { may: [] },
  'agent/page': {
    may: [
      'agent/control',
      'agent/accounts',
      'agent/users',
      'agent/settings.ts',
      'agent/doctor',
      'agent/first-answers.ts',
    ],
    ...agentConfig,
  },
  // Looks at everything, so it may use everything; nothing of the mail's way uses it.
  'agent/doctor': {
    may: [
      'agent/receive',
      'agent/send',
      'agent/local',
      'agent/smtp',
      'agent/accounts',
      'agent/net',
      'agent/users',
      'agent/config.ts',
      'agent/config-files.ts',
    ],
  },
  'agent/cli': {
    may: [
      'agent/settings.ts',
      'agent/control',
      'agent/accounts',
      'agent/users',
      'agent/doctor',
      'agent/settings',
      'agent/config.ts',
      'agent/config-files.ts',
      'agent/first-answers.ts',
      'agent/enrol.ts',
      'agent/state-schema.ts',
    ],
  },
  collector: { may: collectorRooms.map((room) => 'collector/' + room) },
  'collector/broker': { may: ['collector/ingest'], ...collectorConfig },
  'collector/ingest': { may: ['collector/store', 'collector/fleet'], ...collectorConfig },
  'collector/store': { may: [], ...collectorConfig },
  'collector/fleet': { may: [], ...collectorConfig },
  'collector/cli': { may: ['collector/fleet', 'collector/config.ts'] },
  'collector/people': { may: [], ...collectorConfig },
  'collector/alert': { may: [], types: ['collector/config.ts', 'collector/fleet'] },
  'collector/web': {
    may: ['collector/store', 'collector/fleet', 'collector/alert', 'collector/people'],
    ...collectorConfig,
  },
  dashboards: { may: [] },
  demo: { may: [] },
  test: { may: ['shared', 'agent', 'collector', 'dashboards', 'demo'] },
};

const maxLines = { source: 400, test: 600 } as const;
const emptyNames = ['utils', 'helpers', 'manager', 'service', 'types', 'constants', 'index'] as const;

/** Holds planted violations in its texts. */
const ownTest = 'test/house.test.ts';

/** `files`: path from the root of the repository, with text. Each violation is one line that begins with the path. */
export function findViolations(files: ReadonlyMap<string, string>): readonly string[] {
  const violations = [...files].flatMap(([path, text]) =>
    /\.[jt]s$/.test(path) && path !== ownTest ? [...checkImports(path, text), ...checkFile(path, text)] : [],
  );
  const folders = new Set([...files.keys()].filter((path) => path.includes('/')).map((path) => path.split('/')[0]));
  for (const folder of folders) {
    if (!files.has(folder + '/README.md')) violations.push(folder + '/README.md: missing, expected one in each folder');
  }
  return violations.sort();
}

function checkFile(path: string, text: string): readonly string[] {
  const inTest = path.startsWith('test/');
  const violations: string[] = [];
  const lines = text.split('\n').length - (text.endsWith('\n') ? 1 : 0);
  const limit = inTest ? maxLines.test : maxLines.source;
  if (lines > limit) violations.push(path + ': ' + lines + ' lines, expected at most ' + limit);
  const name = /([^/]+)\.[jt]s$/.exec(path)?.[1] ?? '';
  if (emptyNames.some((empty) => empty === name)) {
    violations.push(path + ': the name says nothing, expected the name of the one idea in it');
  }
  const skipped = /\b(?:test|it|suite|t)\.(?:skip|todo|only)\(|\b(?:skip|todo|only): (?:true|['"`])/.exec(text);
  if (path.endsWith('.test.ts') && skipped !== null) {
    violations.push(path + ': ' + skipped[0] + ' skips a test, expected every test to run');
  }
  return violations;
}

function checkImports(path: string, text: string): readonly string[] {
  const from = roomOf(path);
  const room = rooms[from];
  if (room === undefined) return [path + ': unknown room ' + from + ', expected it in test/house.ts'];
  return findImports(text).flatMap(({ target, typeOnly }) => {
    const file = resolveImport(path, target);
    if (file === undefined) return [];
    const to = roomOf(file);
    if (to === from || (to === 'shared' && from !== 'shared')) return [];
    if (contains(room.may, file, to) || (typeOnly && contains(room.types ?? [], file, to))) return [];
    const onlyTypes = contains(room.types ?? [], file, to) ? ' for types alone' : '';
    return [path + ': imports ' + file + ', ' + from + ' may not import ' + to + (onlyTypes && ' but' + onlyTypes)];
  });
}

function contains(allowed: readonly string[], file: string, room: string): boolean {
  return allowed.some((one) => one === file || one === room || room.startsWith(one + '/'));
}

/** The folder that is a room: the first one, in agent and collector the second one where there is one. */
function roomOf(path: string): string {
  const [first = '', second = '', third] = path.split('/');
  return (first === 'agent' || first === 'collector') && third !== undefined ? first + '/' + second : first;
}

/** Undefined for packages and Node's own modules. */
function resolveImport(path: string, target: string): string | undefined {
  if (target.startsWith('#shared/')) return target.slice(1);
  return target.startsWith('.') ? normalize(join(dirname(path), target)) : undefined;
}

export type FoundImport = { readonly target: string; readonly typeOnly: boolean };

/** Static imports and re-exports, and import() with a literal, by the look of the text. */
export function findImports(text: string): readonly FoundImport[] {
  const statement = /^[ \t]*(import|export)\b(\s+type\b)?(?:[^'"`;()]*?\bfrom)?\s*(['"])([^'"\n]+)\3/gm;
  const call = /(\btypeof\s+)?\bimport\(\s*(['"`])([^'"`\n]+)\2\s*\)(\.[A-Z])?/g;
  const found: FoundImport[] = [];
  for (const [, , type, , target = ''] of text.matchAll(statement))
    found.push({ target, typeOnly: type !== undefined });
  for (const [, typeOf, , target = '', member] of text.matchAll(call)) {
    found.push({ target, typeOnly: typeOf !== undefined || member !== undefined });
  }
  return found;
}

function readRepository(root: string): ReadonlyMap<string, string> {
  const patterns = [
    ...new Set(Object.keys(rooms).map((room) => room.split('/')[0] + '/**/*.{ts,js,md}')),
    'docs/**/*.md',
  ];
  const generated = /(?:^|\/)(?:node_modules|vendor|provisioning)\//;
  const paths = globSync(patterns, { cwd: root }).filter((path) => !generated.test(path));
  return new Map(paths.map((path) => [path, readFileSync(join(root, path), 'utf8')]));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const violations = findViolations(readRepository(dirname(dirname(fileURLToPath(import.meta.url)))));
  for (const violation of violations) process.stderr.write(violation + '\n');
  process.exitCode = violations.length > 0 ? 1 : 0;
}
