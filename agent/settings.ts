// Changes a configuration file in place: the one writer that the set-up, the page and the commands use. Promises: what is not
// changed stays as it was typed, comments and order included; nothing is written that the agent would refuse; after a power
// cut the file is the old one or the new one; the one before is kept beside it; a secret never stands in the file itself.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { parseDocument } from 'yaml';
import type { Document } from 'yaml';
import type { Loaded } from '#shared/config.ts';
import type { Path } from '#shared/config-problems.ts';
import { UserError, codeOf, describe } from '#shared/failure.ts';
import { isRecord } from '#shared/json.ts';
import { parseAgentConfig } from './config.ts';
import type { AgentConfig } from './config.ts';
import { applyEdit } from './settings/edit.ts';
import type { Edit } from './settings/edit.ts';
import { freeName, replaceFile } from './settings/replace-file.ts';
import { mergeText } from './settings/merge-text.ts';

export type { Edit, Plain } from './settings/edit.ts';
export type SettingsState = {
  readonly text: string;
  /** Names this text; empty when there is no file. */
  readonly version: string;
  /** What is typed there, without defaults; {} when there is no file. */
  readonly raw: Readonly<Record<string, unknown>>;
};
export type Change = {
  readonly edits: readonly Edit[];
  /** What the edits were made for; another text by now is a UserError. Not asked when absent. */
  readonly version?: string;
  /** A file that is not there yet is made. */
  readonly create?: boolean;
};
export type Settings = {
  readonly file: string;
  /** Throws UserError when it cannot be read or is no YAML. A file that is missing is empty. */
  readonly read: () => SettingsState;
  /** What change() would write, checked. Writes nothing. Throws what change() throws. */
  readonly preview: (change: Change) => { readonly text: string; readonly loaded: Loaded<AgentConfig> };
  /** One change at a time. Throws OptionError when the agent would refuse the result, UserError when it cannot be written. */
  readonly change: (change: Change) => Promise<Loaded<AgentConfig>>;
  /** Takes the last change back, secrets too. Throws UserError when there is none, or somebody else has changed the file since. */
  readonly undo: () => Promise<void>;
};

type SecretFile = { readonly file: string; readonly text: string };
/** `text` undefined: there was no such file. */
type Former = { readonly file: string; readonly text: string | undefined };
type Written = { readonly before: Former; readonly text: string; readonly secrets: readonly Former[] };
type Plan = {
  readonly before: SettingsState;
  readonly text: string;
  readonly loaded: Loaded<AgentConfig>;
  readonly secrets: readonly SecretFile[];
  /** Secret files that only removed options named. */
  readonly orphans: readonly string[];
};

export function createSettings(options: { readonly file: string }): Settings {
  const file = resolve(options.file);
  let last: Promise<unknown> = Promise.resolve();
  let written: Written | undefined;

  const read = (): SettingsState => stateOf(file, readText(file));

  function plan(change: Change): Plan {
    const before = read();
    if (before.version === '' && change.create !== true)
      throw new UserError('Cannot change ' + file + ': no such file, expected the configuration of the agent');
    if (change.version !== undefined && change.version !== before.version) throw changedMeanwhile(file);
    const document = parse(file, before.text);
    const secrets: SecretFile[] = [];
    for (const edit of change.edits) {
      if (edit.kind === 'secret') secrets.push(placeSecret(file, document, edit, secrets));
      else applyEdit(file, document, edit);
    }
    const text = mergeText(before.text, document);
    const loaded = parseAgentConfig(file, text);
    const gone = secretFilesOf(file, before.raw);
    const kept = new Set(secretFilesOf(file, loaded.value));
    return { before, text, loaded, secrets, orphans: gone.filter((one) => !kept.has(one) && isBeside(file, one)) };
  }

  async function write({ before, text, loaded, secrets, orphans }: Plan): Promise<Loaded<AgentConfig>> {
    const whole = before.version === '' ? undefined : before.text;
    const former = [...secrets.map((one) => one.file), ...orphans].map((one) => ({ file: one, text: readText(one) }));
    await guard(async () => {
      if (secrets.length > 0) await mkdir(join(dirname(file), secretsFolder), { recursive: true, mode: 0o700 });
      for (const secret of secrets) await replaceFile(secret.file, secret.text + '\n', { mode: 0o600 });
      if (text !== before.text) {
        if (whole !== undefined) await replaceFile(file + '.old', whole, { like: file });
        await replaceFile(file, text, { like: file, check: () => refuseOther(whole) });
      }
      for (const orphan of orphans) await rm(orphan, { force: true });
    });
    written = { before: { file, text: whole }, text, secrets: former };
    return loaded;
  }

  async function undo(): Promise<void> {
    if (written === undefined)
      throw new UserError('Cannot take back a change of ' + file + ': there is none, expected one of this process');
    const { before, text, secrets } = written;
    await guard(async () => {
      refuseOther(text);
      for (const one of [...secrets, before]) {
        if (one.text === undefined) await rm(one.file, { force: true });
        else await replaceFile(one.file, one.text, { mode: 0o600 });
      }
    });
    written = undefined;
  }

  /** Another process may have written it while this one thought. */
  function refuseOther(known: string | undefined): void {
    if (readText(file) !== known) throw changedMeanwhile(file);
  }

  async function guard(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (error instanceof UserError) throw error;
      throw new UserError('Cannot write ' + file + ': ' + describe(error) + ', expected a folder that can be written', {
        cause: error,
      });
    }
  }

  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = last.then(work);
    last = result.catch(() => {});
    return result;
  }

  return {
    file,
    read,
    preview: (change) => plan(change),
    change: (change) => inTurn(() => write(plan(change))),
    undo: () => inTurn(undo),
  };
}

const changedMeanwhile = (file: string): UserError =>
  new UserError('Cannot change ' + file + ': it was changed meanwhile, expected the text that was shown; look again');

/** Undefined when there is no file. */
function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw new UserError('Cannot read ' + file + ': ' + describe(error) + ', expected a readable YAML file', {
      cause: error,
    });
  }
}

function stateOf(file: string, text: string | undefined): SettingsState {
  const raw: unknown = parse(file, text ?? '').toJS();
  const version = text === undefined ? '' : createHash('sha256').update(text).digest('hex').slice(0, 16);
  return { text: text ?? '', version, raw: isRecord(raw) ? raw : {} };
}

function parse(file: string, text: string): Document {
  const document = parseDocument(text, { prettyErrors: false });
  const [syntax] = document.errors;
  if (syntax === undefined) return document;
  const line = text.slice(0, syntax.pos[0]).split('\n').length;
  throw new UserError(file + ':' + line + ': found ' + syntax.message + ', expected YAML');
}

/** Beside the configuration; new secrets go there. */
export const secretsFolder = 'secrets';

/** Where the secret goes: the file that is named already, or a new one. */
function placeSecret(
  file: string,
  document: Document,
  edit: Extract<Edit, { kind: 'secret' }>,
  others: readonly SecretFile[],
): SecretFile {
  const known: unknown = (document.toJS() as unknown) ?? {};
  const there = valueAt(known, edit.path);
  if (isRecord(there) && typeof there['env'] === 'string')
    throw new UserError(
      'Cannot change option ' +
        edit.path.join('.') +
        ': it stands in the environment variable ' +
        there['env'] +
        ', expected {file: PATH}',
    );
  if (/[\r\n\u0000]/.test(edit.text) || edit.text === '')
    throw new UserError('Cannot store option ' + edit.path.join('.') + ': found no single line, expected one line');
  if (isRecord(there) && typeof there['file'] === 'string')
    return { file: resolve(dirname(file), there['file']), text: edit.text };
  const taken = others.map((one) => one.file);
  const name = join(secretsFolder, freeName(join(dirname(file), secretsFolder), edit.name, taken));
  applyEdit(file, document, { kind: 'set', path: edit.path, value: { file: name } });
  return { file: join(dirname(file), name), text: edit.text };
}

export function valueAt(value: unknown, path: Path): unknown {
  let node = value;
  for (const part of path) {
    if (Array.isArray(node)) node = (node as readonly unknown[])[Number(part)];
    else if (isRecord(node) && Object.hasOwn(node, part)) node = node[String(part)];
    else return undefined;
  }
  return node;
}

/** Files that `{file: PATH}` names, whole paths. */
function secretFilesOf(file: string, value: unknown): readonly string[] {
  if (Array.isArray(value)) return value.flatMap((item) => secretFilesOf(file, item));
  if (!isRecord(value)) return [];
  const { file: named } = value;
  if (typeof named === 'string' && isDeepStrictEqual(Object.keys(value), ['file']))
    return [resolve(dirname(file), named)];
  return Object.values(value).flatMap((item) => secretFilesOf(file, item));
}

/** Only what lies beside the configuration is cleared away: another place is somebody else's. */
const isBeside = (file: string, secret: string): boolean =>
  [basename(secret), join(secretsFolder, basename(secret))].includes(relative(dirname(file), secret));
