// What the submission server needs from configuration, state folder and machine: passwords, users, certificate.
import { hostname } from 'node:os';
import { isIP } from 'node:net';
import type { Clock } from '#shared/clock.ts';
import type { Loaded } from '#shared/config.ts';
import type { Log } from '#shared/log.ts';
import { readPem } from '#shared/pem.ts';
import type { AgentConfig, SubmissionConfig } from './config.ts';
import type { Endpoint } from './net/socket.ts';
import { openOwnCertificate } from './send/submission/own-certificate.ts';
import type { Tls } from './send/submission/own-certificate.ts';
import type { SendOptions } from './send/send.ts';
import { tlsSourceOf } from './send/submission/submission-options.ts';
import { readUsers, usersFileOf } from './users/users-file.ts';

type Setup = Pick<SendOptions, 'submission' | 'passwords' | 'usersFile' | 'localLogin' | 'tls' | 'renewTls'>;

/** Makes the certificate when there is none yet. Throws UserError naming the option that is wrong. */
export async function setUpSubmission(options: {
  readonly loaded: Loaded<AgentConfig>;
  readonly submission: SubmissionConfig;
  /** That of `localLogin`. */
  readonly localLogin: Endpoint | undefined;
  readonly stateFolder: string;
  readonly clock: Clock;
  readonly log: Log;
}): Promise<Setup> {
  const { loaded, submission, localLogin, log } = options;
  const passwords = submission.users.map(
    (user, index) => [user.name, loaded.secret(['submission', 'users', index, 'password'], user.password)] as const,
  );
  const usersFile = usersFileOf(options.stateFolder);
  const stored = await readUsers(usersFile);
  if (passwords.length + stored.length === 0 && localLogin === undefined && (submission.trusted ?? []).length === 0)
    log.warn('nobody may hand in mail yet: add users with `mailferry user add`, or under submission.users');
  const login = submission.localLogin;
  return {
    submission,
    passwords: new Map(passwords),
    usersFile,
    ...(login !== undefined && localLogin !== undefined && { localLogin: { config: login, endpoint: localLogin } }),
    ...(await openTls(options)),
  };
}

async function openTls(options: Parameters<typeof setUpSubmission>[0]): Promise<Pick<Setup, 'tls' | 'renewTls'>> {
  const { loaded, submission, clock } = options;
  const source = tlsSourceOf(submission);
  if (source === 'none') return {};
  const path = ['submission', 'tls'];
  const read = async (): Promise<Tls> => {
    if (source === 'own') {
      const { key, cert } = await openOwnCertificate({
        folder: options.stateFolder,
        names: namesOf(submission),
        now: clock.now,
      });
      return { key, cert };
    }
    return {
      key: readPem(loaded, [...path, 'keyFile'], source.keyFile),
      cert: readPem(loaded, [...path, 'certFile'], source.certFile),
    };
  };
  let tls = await read();
  const renewTls = async (): Promise<Tls | undefined> => {
    const next = await read();
    if (next.key === tls.key && next.cert === tls.cert) return undefined;
    tls = next;
    return next;
  };
  return { tls, renewTls };
}

/** What clients may call this machine. */
function namesOf({ host, name }: SubmissionConfig): readonly string[] {
  const own = [name, hostname(), 'localhost', '127.0.0.1', '::1', ...(/^(?:0\.0\.0\.0|::)$/.test(host) ? [] : [host])];
  const usable = (one: string): boolean => isIP(one) !== 0 || /^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/.test(one);
  return [...new Set(own.map((one) => one.toLowerCase()))].filter(usable);
}
