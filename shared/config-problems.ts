// What is wrong with a value, by a schema, in words a person can act on. Covers the kinds of schema that our
// configurations use: object, array, union, literal, string, number, integer, boolean, null, record.
import type { TSchema } from 'typebox';
import { isRecord } from './json.ts';

export type Path = readonly (string | number)[];
export type Problem = { readonly path: Path; readonly found: string; readonly expected: string };

/** The JSON-Schema keywords that our schemas use. */
type Node = {
  readonly type?: string;
  readonly anyOf?: readonly Node[];
  readonly const?: unknown;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Node;
  readonly patternProperties?: Readonly<Record<string, Node>>;
  readonly items?: Node;
  readonly minItems?: number;
  readonly minLength?: number;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly description?: string;
  /** Ours: what stands here may be a password written into the wrong place, so it is not repeated. */
  readonly hidden?: boolean;
};

export function findProblems(schema: TSchema, value: unknown): readonly Problem[] {
  return check(schema, value, []);
}

function check(schema: Node, value: unknown, path: Path): readonly Problem[] {
  if (schema.anyOf !== undefined) return checkUnion(schema, schema.anyOf, value, path);
  if (fitsType(schema, value)) {
    if (isRecord(value)) return checkObject(schema, value, path);
    if (Array.isArray(value)) return checkArray(schema, value, path);
    if (fitsLimits(schema, value)) return [];
  }
  return [{ path, found: show(value), expected: expectation(schema) + nearestLiteral([schema], value) }];
}

function checkUnion(schema: Node, branches: readonly Node[], value: unknown, path: Path): readonly Problem[] {
  const results = branches.map((branch) => check(branch, value, path));
  if (results.some((result) => result.length === 0)) return [];
  // A branch of the same shape tells more than "none of the alternatives" does.
  const sameShape = branches.filter((branch) => fitsType(branch, value));
  const [only] = sameShape;
  if (only !== undefined && sameShape.length === 1 && (isRecord(value) || Array.isArray(value)))
    return check(only, value, path);
  const found = schema.hidden === true && typeof value === 'string' ? 'a text' : show(value);
  return [{ path, found, expected: expectation(schema) + nearestLiteral(branches, value) }];
}

function checkObject(schema: Node, value: Readonly<Record<string, unknown>>, path: Path): readonly Problem[] {
  const problems: Problem[] = [];
  const properties = schema.properties ?? {};
  for (const key of schema.required ?? []) {
    if (Object.hasOwn(value, key) && value[key] !== undefined) continue;
    problems.push({ path: [...path, key], found: 'nothing', expected: expectation(properties[key] ?? {}) });
  }
  const others = Object.values(schema.patternProperties ?? {})[0];
  for (const [key, child] of Object.entries(value)) {
    const known = properties[key] ?? others;
    if (known !== undefined) {
      if (child !== undefined) problems.push(...check(known, child, [...path, key]));
    } else if (schema.additionalProperties === false) {
      const near = nearest(key, Object.keys(properties));
      const list = 'one of ' + Object.keys(properties).join(', ');
      problems.push({
        path: [...path, key],
        found: 'an unknown option',
        expected: near === undefined ? list : near + ' (the nearest known option)',
      });
    }
  }
  return problems;
}

function checkArray(schema: Node, value: readonly unknown[], path: Path): readonly Problem[] {
  if (schema.minItems !== undefined && value.length < schema.minItems) {
    return [{ path, found: 'a list of ' + value.length, expected: 'a list of at least ' + schema.minItems }];
  }
  const items = schema.items ?? {};
  return value.flatMap((item, index) => check(items, item, [...path, index]));
}

function fitsType(schema: Node, value: unknown): boolean {
  switch (schema.type) {
    case 'object':
      return isRecord(value);
    case 'array':
      return Array.isArray(value);
    case 'string':
      return typeof value === 'string';
    case 'integer':
      return Number.isInteger(value);
    case 'number':
      return typeof value === 'number' && Number.isFinite(value);
    case 'boolean':
      return typeof value === 'boolean';
    case 'null':
      return value === null;
    default:
      return true;
  }
}

function fitsLimits(schema: Node, value: unknown): boolean {
  if ('const' in schema && schema.const !== value) return false;
  if (typeof value === 'number') return value >= (schema.minimum ?? -Infinity) && value <= (schema.maximum ?? Infinity);
  if (typeof value !== 'string') return true;
  return (
    value.length >= (schema.minLength ?? 0) && (schema.pattern === undefined || new RegExp(schema.pattern).test(value))
  );
}

/** What a schema takes, in words. */
export function expectation(schema: Node): string {
  if (schema.description !== undefined) return schema.description;
  if (schema.anyOf !== undefined) {
    const parts = schema.anyOf.map(expectation);
    return parts.length > 1 ? 'one of ' + parts.join(', ') : (parts[0] ?? 'a value');
  }
  if ('const' in schema) return String(schema.const);
  if (schema.minimum !== undefined && schema.maximum !== undefined)
    return 'a number from ' + schema.minimum + ' to ' + schema.maximum;
  if (schema.minimum !== undefined) return 'a number of at least ' + schema.minimum;
  const names: Readonly<Record<string, string>> = {
    object: 'a block of options',
    array: 'a list',
    string: 'a text',
    integer: 'a whole number',
    number: 'a number',
    boolean: 'true or false',
  };
  return names[schema.type ?? ''] ?? 'a value';
}

function nearestLiteral(branches: readonly Node[], value: unknown): string {
  if (typeof value !== 'string') return '';
  const literals = branches.flatMap((branch) => (typeof branch.const === 'string' ? [branch.const] : []));
  const near = nearest(value, literals);
  return near === undefined ? '' : '; did you mean ' + near + '?';
}

function show(value: unknown): string {
  if (value === null) return 'nothing';
  if (typeof value === 'object') return Array.isArray(value) ? 'a list' : 'a block of options';
  return JSON.stringify(value);
}

/** The candidate with the smallest edit distance, if it is close enough to be a slip. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const limit = Math.max(2, Math.floor(word.length / 3));
  const ranked = candidates.map((candidate) => ({
    candidate,
    distance: editDistance(word.toLowerCase(), candidate.toLowerCase()),
  }));
  ranked.sort((a, b) => a.distance - b.distance);
  const [best] = ranked;
  return best !== undefined && best.distance <= limit ? best.candidate : undefined;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [i, left] of Array.from(a).entries()) {
    const next = [i + 1];
    for (const [j, right] of Array.from(b).entries()) {
      next.push(Math.min((next[j] ?? 0) + 1, (row[j + 1] ?? 0) + 1, (row[j] ?? 0) + (left === right ? 0 : 1)));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
