// Enrolment as a person sees it: a code goes in, and the configuration has a report. Promises: nothing is written before the
// collector has said yes; when this machine dies in between, or the answer is lost, the same code works again; the code and
// the password are in no argument and no log.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { decodeCode, newSecret } from '#shared/enrolment.ts';
import type { EnrolmentCode } from '#shared/enrolment.ts';
import { UserError, describe } from '#shared/failure.ts';
import { isRecord, parseJson } from '#shared/json.ts';
import type { Log } from '#shared/log.ts';
import { replaceFile } from './settings/replace-file.ts';
import { createSettings, secretsFolder } from './settings.ts';
import type { Edit } from './settings.ts';
import { CollectorAway, enrol } from './telemetry/enrolment.ts';
import { unnamedTenant } from './wizard-answers.ts';

export type EnrolmentResult = {
  readonly tenant: string;
  readonly agent: string;
  readonly url: string;
  readonly file: string;
};

const authorityFile = join(secretsFolder, 'collector-authority.pem');

/** Throws UserError when the code cannot be used, or the configuration is another agent's. */
export async function enrolAgent(options: {
  readonly configFile: string;
  /** As it was pasted. */
  readonly code: string;
  readonly version: string;
  readonly signal: AbortSignal;
  readonly now: () => number;
}): Promise<EnrolmentResult> {
  const code = decodeCode(options.code);
  const settings = createSettings({ file: options.configFile });
  const { raw, version } = settings.read();
  if (version === '')
    throw new UserError(
      'Cannot enrol: there is no ' +
        settings.file +
        ', expected the configuration of the agent; begin with `mailferry init`',
    );
  checkNames(settings.file, raw, code);
  const pending = await keepSecret(settings.file, options.code);
  // Whether the file can be written is found out before the code is used up.
  settings.preview({ edits: editsOf(raw, code, { url: code.urls[0] ?? '', hasAuthority: false }, pending.secret) });
  const authorityPath = join(dirname(settings.file), authorityFile);
  await mkdir(dirname(authorityPath), { recursive: true, mode: 0o700 });
  const { url, authority } = await enrol({ ...options, code, secret: pending.secret });
  if (authority !== undefined) await replaceFile(authorityPath, authority, { mode: 0o644 });
  await settings.change({ edits: editsOf(raw, code, { url, hasAuthority: authority !== undefined }, pending.secret) });
  pending.forget();
  return { tenant: code.tenant, agent: code.agent, url, file: settings.file };
}

function checkNames(file: string, raw: Readonly<Record<string, unknown>>, code: EnrolmentCode): void {
  if (raw['tenant'] === unnamedTenant && raw['report'] === undefined) return; // as a package's wizard leaves it
  for (const option of ['tenant', 'agent'] as const) {
    const found = raw[option];
    if (found !== undefined && found !== code[option])
      throw new UserError(
        'Cannot enrol: the code is for ' +
          code.tenant +
          '/' +
          code.agent +
          ', and option ' +
          option +
          ' in ' +
          file +
          ' is ' +
          JSON.stringify(found) +
          ', expected ' +
          JSON.stringify(code[option]) +
          '; ask for a code of this agent, or change the option',
      );
  }
}

function editsOf(
  raw: Readonly<Record<string, unknown>>,
  code: EnrolmentCode,
  way: { readonly url: string; readonly hasAuthority: boolean },
  secret: string,
): readonly Edit[] {
  const report = isRecord(raw['report']) ? raw['report'] : {};
  return [
    { kind: 'set', path: ['tenant'], value: code.tenant },
    { kind: 'set', path: ['agent'], value: code.agent },
    { kind: 'set', path: ['report', 'url'], value: way.url },
    ...(way.hasAuthority ? [{ kind: 'set', path: ['report', 'caFile'], value: authorityFile } as const] : []),
    ...(!way.hasAuthority && report['caFile'] !== undefined
      ? [{ kind: 'remove', path: ['report', 'caFile'] } as const]
      : []),
    ...(report['user'] === undefined ? [] : [{ kind: 'remove', path: ['report', 'user'] } as const]),
    { kind: 'secret', path: ['report', 'password'], text: secret, name: 'report' },
  ];
}

/** The password of this code, on the disk before anybody is told of it: the same one when the code is tried again. */
async function keepSecret(
  configFile: string,
  code: string,
): Promise<{ readonly secret: string; readonly forget: () => void }> {
  const file = configFile + '.enrolment';
  const forget = (): void => rmSync(file, { force: true });
  const of = createHash('sha256').update(code.replaceAll(/\s+/g, '')).digest('hex');
  const known = existsSync(file) ? parseJson(readFileSync(file, 'utf8')) : undefined;
  if (isRecord(known) && known['of'] === of && typeof known['secret'] === 'string')
    return { secret: known['secret'], forget };
  const secret = newSecret();
  try {
    await replaceFile(file, JSON.stringify({ of, secret }) + '\n', { mode: 0o600 });
  } catch (error) {
    throw new UserError(
      'Cannot enrol: ' + file + ' cannot be written: ' + describe(error) + ', expected a folder that may be written to',
      { cause: error },
    );
  }
  return { secret, forget };
}

/** A code in a file, which is gone afterwards unless the collector could not be reached. Never throws. */
export async function useCode(options: {
  readonly configFile: string;
  readonly file: string;
  readonly version: string;
  readonly signal: AbortSignal;
  readonly now: () => number;
  readonly log: Log;
}): Promise<void> {
  const { file, log } = options;
  try {
    const { url } = await enrolAgent({ ...options, code: readFileSync(file, 'utf8') });
    log.info({ url }, 'enrolled at the collector');
    rmSync(file, { force: true });
  } catch (error) {
    if (error instanceof CollectorAway || !(error instanceof UserError)) {
      log.warn({ error: describe(error) }, 'not enrolled yet; the code is tried again at the next start');
      return;
    }
    log.error(error.message);
    rmSync(file, { force: true });
  }
}
