// Configuration files: YAML, one TypeBox schema a program. An unknown or wrong option refuses to start with one line that
// names file, line, option, what was found, what was expected, and the nearest known name.
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { Type } from 'typebox';
import type { Static, TSchema } from 'typebox';
import { Default } from 'typebox/value';
import { LineCounter, parseDocument } from 'yaml';
import type { Document } from 'yaml';
import { UserError, codeOf, describe } from './failure.ts';
import { findProblems } from './config-problems.ts';
import type { Path, Problem } from './config-problems.ts';

/** Never in the file itself: `{file: PATH}` (relative to the configuration file) or `{env: NAME}`. */
export const secretSchema = Type.Union(
  [
    Type.Object({ file: Type.String({ minLength: 1 }) }, { additionalProperties: false }),
    Type.Object({ env: Type.String({ minLength: 1 }) }, { additionalProperties: false }),
  ],
  { description: '{file: PATH} or {env: NAME}', hidden: true },
);
export type Secret = Static<typeof secretSchema>;

export const portSchema = (standard: number) =>
  Type.Integer({ minimum: 1, maximum: 65_535, default: standard, description: 'a port, 1 to 65535' });
export const hostSchema = (options: { readonly default?: string } = {}) =>
  Type.String({ minLength: 1, pattern: '^[A-Za-z0-9._:-]+$', description: 'a host name or an IP address', ...options });

/** The same schema with its meaning for people, which docs/configuration.md shows. What error messages expect stays in `description`. */
export function explain<S extends TSchema>(help: string, schema: S): S {
  const copy: unknown = Object.defineProperties({}, Object.getOwnPropertyDescriptors(schema));
  return Object.assign(copy as S, { help }); // every property of the schema, the hidden ones that TypeBox needs too
}

/** A refusal with what is wrong where, for who shows it beside the option. */
export class OptionError extends UserError {
  readonly problems: readonly Problem[];
  constructor(message: string, problems: readonly Problem[]) {
    super(message);
    this.problems = problems;
  }
}

export type Loaded<T> = {
  readonly file: string;
  readonly value: T;
  /** A refusal that names the line of an option, for checks that the schema cannot express. */
  readonly refuse: (path: Path, found: string, expected: string) => UserError;
  /** File, line and option, for what is found wrong later. */
  readonly place: (path: Path) => string;
  /** Reads a secret; trailing line ends are cut off a file. Throws UserError naming option and remedy. */
  readonly secret: (path: Path, secret: Secret) => string;
  /** A path of the configuration, relative to the file it stands in. */
  readonly path: (path: string) => string;
};

export function loadConfig<S extends TSchema>(options: {
  readonly file: string;
  readonly schema: S;
}): Loaded<Static<S>> {
  const file = resolve(options.file);
  return parseConfig({ file, text: readConfig(file), schema: options.schema });
}

export function parseConfig<S extends TSchema>(options: {
  readonly file: string;
  readonly text: string;
  readonly schema: S;
}): Loaded<Static<S>> {
  const lines = new LineCounter();
  const document = parseDocument(options.text, { lineCounter: lines, prettyErrors: false });
  const syntax = document.errors[0];
  if (syntax !== undefined) {
    const line = lines.linePos(syntax.pos[0]).line;
    throw new UserError(options.file + ':' + line + ': found ' + syntax.message + ', expected YAML');
  }
  const value = Default(options.schema, document.toJS() ?? {});
  const place = (path: Path): string => where(options.file, document, lines, path);
  const refuse = (path: Path, found: string, expected: string): UserError =>
    new OptionError(place(path) + ': found ' + found + ', expected ' + expected, [{ path, found, expected }]);
  const problems = findProblems(options.schema, value);
  if (problems.length > 0) {
    const errors = problems.map((problem) => refuse(problem.path, problem.found, problem.expected).message);
    throw new OptionError(errors.join('\n'), problems);
  }
  const loaded: Loaded<Static<S>> = {
    file: options.file,
    value: value as Static<S>, // findProblems() has checked it against this very schema
    refuse,
    place,
    secret: (path, secret) => readSecret(loaded, path, secret),
    path: (path) => resolve(dirname(options.file), path),
  };
  return loaded;
}

function readConfig(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const found = codeOf(error) === 'ENOENT' ? 'no such file' : describe(error);
    throw new UserError('Cannot read configuration ' + file + ': found ' + found + ', expected a readable YAML file', {
      cause: error,
    });
  }
}

function readSecret(loaded: Loaded<unknown>, path: Path, secret: Secret): string {
  if ('env' in secret) {
    const value = process.env[secret.env];
    if (value === undefined || value === '') {
      throw loaded.refuse(
        [...path, 'env'],
        'no environment variable ' + secret.env,
        'one that holds the secret; set it, or use {file: PATH}',
      );
    }
    return value;
  }
  const file = loaded.path(secret.file);
  let value: string;
  try {
    value = readFileSync(file, 'utf8').replace(/[\r\n]+$/, '');
  } catch (error) {
    throw loaded.refuse(
      [...path, 'file'],
      file + ' which cannot be read: ' + (codeOf(error) ?? describe(error)),
      'a readable file that holds the secret',
    );
  }
  if (value === '') throw loaded.refuse([...path, 'file'], file + ' which is empty', 'a file that holds the secret');
  return value;
}

function where(file: string, document: Document, lines: LineCounter, path: Path): string {
  const option = path
    .map((part, index) => (typeof part === 'number' ? '[' + part + ']' : (index > 0 ? '.' : '') + part))
    .join('');
  for (let length = path.length; length > 0; length -= 1) {
    const node: unknown = document.getIn(path.slice(0, length), true);
    const range =
      typeof node === 'object' && node !== null && 'range' in node && Array.isArray(node.range)
        ? (node.range as unknown[])
        : [];
    const start = range[0];
    if (typeof start === 'number') return file + ':' + lines.linePos(start).line + ': option ' + option;
  }
  return file + ': option ' + (option === '' ? '(top level)' : option);
}
