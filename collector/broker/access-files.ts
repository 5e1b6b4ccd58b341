// Accounts of an external broker as files in mosquitto's formats: a password file and an access file, written anew at each
// change. Promise: the files are whole at any time, hold hashes alone, and every line that is not ours stays.
import { pbkdf2Sync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { UserError, codeOf, describe } from '#shared/failure.ts';
import { writeSecretFile } from '#shared/secret-file.ts';
import { enrolUserOf, filterOf, topicOf, userOf } from '#shared/topics.ts';
import type { Address } from '#shared/topics.ts';
import type { BrokerAccounts } from './embedded.ts';

const iterations = 101;

export function manageFiles(options: {
  readonly passwordFile: string;
  readonly aclFile: string;
  /** Of the broker, which reads the files anew on SIGHUP; nobody is told when absent. */
  readonly pidFile: string | undefined;
  /** The collector's own account there. */
  readonly user: string;
}): BrokerAccounts {
  const { passwordFile, aclFile, pidFile, user } = options;
  let writing = Promise.resolve();

  /** One change at a time. `secret` undefined: the account goes. */
  function change(changes: readonly (readonly [user: string, secret: string | undefined])[]): Promise<void> {
    const work = writing.then(async () => {
      const lines = readLines(passwordFile).filter((line) => !changes.some(([name]) => line.startsWith(name + ':')));
      for (const [name, secret] of changes) if (secret !== undefined) lines.push(name + ':' + hashOf(secret));
      await write(passwordFile, lines.join('\n'));
      const invited = lines.filter((line) => line.startsWith('enrol/')).map((line) => line.split(':')[0] ?? '');
      await write(aclFile, aclText(user, invited));
      tellBroker(pidFile);
    });
    writing = work.catch(() => {});
    return work;
  }

  return {
    invited: (origin, secret) => change([[enrolUserOf(origin), secret]]),
    enrolled: (origin, secret) => change([[userOf(origin), secret]]),
    revoked: (origin) =>
      change([
        [userOf(origin), undefined],
        [enrolUserOf(origin), undefined],
      ]),
  };
}

/** Of all agents by pattern; who comes with a code has a part of its own. */
export function aclText(user: string, invited: readonly string[]): string {
  const collector = [
    'user ' + user,
    ...(['up', 'status', 'reply', 'enrol'] as const).map((leaf) => 'topic read ' + filterOf(leaf)),
    ...(['ack', 'cmd', 'site', 'enrolled'] as const).map((leaf) => 'topic write ' + filterOf(leaf)),
  ];
  const agents = [
    ...['up', 'status', 'reply'].map((leaf) => 'pattern write mailferry/1/%u/' + leaf),
    ...['ack', 'cmd', 'site', 'status'].map((leaf) => 'pattern read mailferry/1/%u/' + leaf),
  ];
  const guests = invited.flatMap((name) => {
    const [, tenant = '', agent = ''] = name.split('/');
    const origin: Address = { tenant, agent };
    return ['', 'user ' + name, 'topic write ' + topicOf(origin, 'enrol'), 'topic read ' + topicOf(origin, 'enrolled')];
  });
  return ['# Written by mailferry-collector: changes are lost.', ...collector, ...guests, '', ...agents].join('\n');
}

/** As mosquitto_passwd writes it: PBKDF2 with SHA-512. The secrets have 128 bits and more: rounds add nothing. */
function hashOf(secret: string): string {
  const salt = randomBytes(12);
  const hash = pbkdf2Sync(secret, salt, iterations, 64, 'sha512');
  return ['', '7', String(iterations), salt.toString('base64'), hash.toString('base64')].join('$');
}

function readLines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line !== '');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw refuse(file, error);
  }
}

async function write(file: string, text: string): Promise<void> {
  try {
    await writeSecretFile(file, text);
  } catch (error) {
    throw refuse(file, error);
  }
}

function refuse(file: string, error: unknown): UserError {
  return new UserError(
    'Cannot write the accounts of the broker into ' +
      file +
      ': ' +
      describe(error) +
      ', expected a file that can be written; check option broker.manage',
    { cause: error },
  );
}

function tellBroker(pidFile: string | undefined): void {
  if (pidFile === undefined) return;
  try {
    const pid = Number(readFileSync(pidFile, 'utf8').trim());
    if (!Number.isInteger(pid) || pid < 2) throw new Error('it holds no process id');
    process.kill(pid, 'SIGHUP');
  } catch (error) {
    throw new UserError(
      'Cannot tell the broker of its new accounts by ' +
        pidFile +
        ': ' +
        describe(error) +
        ', expected the process id of the broker; check option broker.manage.pidFile',
      { cause: error },
    );
  }
}
