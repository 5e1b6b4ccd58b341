// What a package's wizard was told, for the first start: a folder `answers` beside the configuration, one file an answer
// (`page-password`, `state`, `enrolment-code`), written by a script that knows nothing of YAML. Promises: each answer is taken
// once and its file is gone afterwards; a configuration that is there keeps everything but the password that was just typed;
// a kill in between is made good by the next start.
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { decodeCode } from '#shared/enrolment.ts';
import { UserError, codeOf, describe } from '#shared/failure.ts';
import { leftCodeFile } from './left-code.ts';
import { replaceFile } from './settings/replace-file.ts';
import { createSettings } from './settings.ts';
import type { Edit } from './settings.ts';

export const answersFolder = 'answers';
/** The tenant of an agent that belongs to nobody yet: an enrolment code may give it another name. */
export const unnamedTenant = 'unnamed';

export const hasWizardAnswers = (configFile: string): boolean => existsSync(join(dirname(configFile), answersFolder));

/** Throws UserError when the answers make no configuration; then they are kept. */
export async function takeWizardAnswers(options: {
  readonly configFile: string;
  /** Names the agent when nothing else does. */
  readonly hostname: string;
}): Promise<void> {
  const folder = join(dirname(options.configFile), answersFolder);
  const password = readAnswer(folder, 'page-password');
  const code = readAnswer(folder, 'enrolment-code');
  const settings = createSettings({ file: options.configFile });
  const before = settings.read();
  const edits: Edit[] = before.version === '' ? firstEdits(options.hostname, readAnswer(folder, 'state'), code) : [];
  if (password !== '') {
    // From all networks of the NAS: the button in DSM leads a browser on another machine here.
    if (before.raw['page'] === undefined) edits.push({ kind: 'set', path: ['page', 'host'], value: '0.0.0.0' });
    edits.push({ kind: 'secret', path: ['page', 'password'], text: password, name: 'page' });
  }
  if (edits.length > 0) await settings.change({ edits, create: true });
  // It is used by the start itself, when the network is there (enrol.ts).
  if (code !== '') await replaceFile(join(dirname(options.configFile), leftCodeFile), code + '\n', { mode: 0o600 });
  rmSync(folder, { recursive: true, force: true });
}

function firstEdits(hostname: string, state: string, code: string): Edit[] {
  const names = namesOf(code) ?? { tenant: unnamedTenant, agent: nameFrom(hostname) };
  return [
    { kind: 'set', path: ['tenant'], value: names.tenant, comment: ' Every option: docs/configuration.md.' },
    { kind: 'set', path: ['agent'], value: names.agent },
    { kind: 'set', path: ['state'], value: state === '' ? 'state' : state },
  ];
}

/** A code that cannot be read is told when it is used. */
function namesOf(code: string): { readonly tenant: string; readonly agent: string } | undefined {
  try {
    return code === '' ? undefined : decodeCode(code);
  } catch {
    return undefined;
  }
}

/** `NAS Büro.local` -> `nas-b-ro`. */
function nameFrom(hostname: string): string {
  const [first = ''] = hostname.toLowerCase().split('.');
  const name = first
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, 32)
    .replaceAll(/^-+|-+$/g, '');
  return name === '' ? 'nas' : name;
}

function readAnswer(folder: string, name: string): string {
  const file = join(folder, name);
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return '';
    throw new UserError('Cannot read ' + file + ': ' + describe(error) + ', expected what the wizard was told', {
      cause: error,
    });
  }
}
