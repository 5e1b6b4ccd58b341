// The submission server. Promise: mail is taken only from a user who logged in, or from an address that is trusted for just
// these senders; a password travels in clear only on the loopback address and only when there is no certificate.
import { X509Certificate } from 'node:crypto';
import type { SMTPServerSession } from 'smtp-server';
import type { Clock } from '#shared/clock.ts';
import { UserError, describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import { isLoopback } from '#shared/net.ts';
import type { Accepted, Submission } from './accept.ts';
import type { RefusalReason } from './access.ts';
import type { Accounts } from './accounts.ts';
import { createDoor } from './door.ts';
import type { Door } from './door.ts';
import { createHandlers } from './handlers.ts';
import { createLogin } from './login.ts';
import type { Tls } from './own-certificate.ts';
import type { Quota } from './quota.ts';
import type { SubmissionOptions } from './submission-options.ts';
import { createTrust } from './trusted.ts';

export type ListenerOptions = {
  readonly submission: SubmissionOptions;
  readonly accounts: Accounts;
  readonly tls?: Tls;
  /** A newer key and certificate; undefined when they are the same. Asked every hour. */
  readonly renewTls?: () => Promise<Tls | undefined>;
  readonly quota: Pick<Quota, 'check'>;
  readonly decidesLater?: ((sender: string) => boolean) | undefined;
  readonly accept: (submission: Submission, chunks: AsyncIterable<Uint8Array>) => Promise<Accepted>;
  /** Free space where the mail goes. */
  readonly freeBytes: () => Promise<number>;
  readonly onRefused?: (reason: RefusalReason) => void;
  readonly clock: Clock;
  readonly log: Log;
  /** A client must have logged in so long after it connected; standard two minutes. */
  readonly loginMs?: number;
};
export type ListenerStatus = {
  readonly host: string;
  readonly port: number;
  readonly implicitPort?: number;
  /** SHA-256 fingerprint, and until when it is valid, milliseconds since 1970. */
  readonly certificate?: { readonly fingerprint: string; readonly validUntil: number };
  /** What a person should look at; empty when all is well. */
  readonly problem: string;
};
export type Listener = {
  /** Throws UserError when a port cannot be had. */
  readonly start: () => Promise<void>;
  /** No new connection; mails on their way in get `graceMs`. Resolves when no mail is on its way in. */
  readonly stop: (graceMs: number) => Promise<void>;
  readonly status: () => ListenerStatus;
};

const renewMs = 3_600_000;
const warnMs = 14 * 86_400_000;

/** Throws UserError when passwords would travel in clear over a network. */
export function createListener(options: ListenerOptions): Listener {
  const { submission, log, clock, accounts } = options;
  const { host, port, implicitPort } = submission;
  let { tls } = options;
  checkClear(submission, tls);
  const onRefused = options.onRefused ?? (() => {});
  const mails = createCounter();
  const doors: Door[] = [];
  const known = (session: SMTPServerSession): void => doors.forEach((door) => door.known(session));
  const { handlers, reasonOf } = createHandlers({
    logIn: createLogin({ accounts, clock, log, allowClear: tls === undefined }),
    trust: createTrust(submission.trusted ?? [], submission.limits ?? {}),
    quota: options.quota,
    decidesLater: options.decidesLater,
    accept: options.accept,
    freeBytes: options.freeBytes,
    maxSizeBytes: submission.maxSizeBytes,
    known,
    begin: mails.begin,
    end: mails.end,
    log,
  });
  const { name, maxRecipients, maxSizeBytes, trusted = [] } = submission;
  const loginMs = options.loginMs ?? 120_000;
  const common = { host, name, maxRecipients, maxSizeBytes, trusts: trusted.length > 0 };
  const basis = { ...common, tls, handlers, reasonOf, onRefused, loginMs, log };
  const main = createDoor({ ...basis, port, option: 'port', implicit: false });
  const implicit =
    implicitPort === undefined
      ? undefined
      : createDoor({ ...basis, port: implicitPort, option: 'implicitPort', implicit: true });
  doors.push(main, ...(implicit === undefined ? [] : [implicit]));
  const stopping = new AbortController();
  let renewing: Promise<void> | undefined;

  async function keepRenewing(): Promise<void> {
    while (!stopping.signal.aborted) {
      await clock.sleep(renewMs, stopping.signal);
      if (stopping.signal.aborted) return;
      try {
        const next = await options.renewTls?.();
        if (next === undefined) continue;
        for (const door of doors) door.renew(next);
        tls = next;
        log.info({ ...certificateOf(next) }, 'the submission server has another certificate');
      } catch (error) {
        log.error({ error: describe(error) }, 'the certificate of the submission server could not be renewed');
      }
    }
  }

  return {
    async start() {
      try {
        for (const door of doors) await door.start();
      } catch (error) {
        await Promise.all(doors.map((door) => door.stop(1)));
        throw error;
      }
      if (options.renewTls !== undefined) renewing = keepRenewing();
    },
    async stop(graceMs) {
      stopping.abort();
      await renewing;
      // Without a mail on its way in nobody is owed an answer.
      await Promise.all(doors.map((door) => door.stop(mails.count() > 0 ? graceMs : 1)));
      // The connections are cut by now; what was taken in whole still gets on disk.
      await mails.none();
    },
    status: () => ({
      host,
      port: main.port(),
      ...(implicit !== undefined && { implicitPort: implicit.port() }),
      ...(tls !== undefined && { certificate: certificateOf(tls) }),
      problem: tls === undefined ? '' : findProblem(tls, clock.now()),
    }),
  };
}

function checkClear(submission: SubmissionOptions, tls: Tls | undefined): void {
  const { host, implicitPort, port } = submission;
  if (tls !== undefined || (isLoopback(host) && implicitPort === undefined)) return;
  throw new UserError(
    'Cannot listen on ' +
      host +
      ':' +
      (implicitPort ?? port) +
      ': found no submission.tls, expected a certificate, or a loopback address as host without implicitPort',
  );
}

function certificateOf(tls: Tls): { readonly fingerprint: string; readonly validUntil: number } {
  const { fingerprint256, validTo } = new X509Certificate(tls.cert);
  return { fingerprint: fingerprint256, validUntil: Date.parse(validTo) };
}

/** A certificate of the agent's own is renewed long before. */
function findProblem(tls: Tls, now: number): string {
  const { validUntil } = certificateOf(tls);
  if (validUntil - now > warnMs) return '';
  const day = new Date(validUntil).toISOString().slice(0, 10);
  return 'its certificate ' + (validUntil > now ? 'ends on ' : 'ended on ') + day;
}

/** Mails on their way in. */
function createCounter() {
  let mails = 0;
  const idle = new Set<() => void>();
  return {
    count: () => mails,
    begin: (): void => void (mails += 1),
    end: (): void => {
      mails -= 1;
      if (mails === 0) for (const wake of idle) wake();
    },
    none: (): Promise<void> => (mails === 0 ? Promise.resolve() : new Promise<void>((resolve) => idle.add(resolve))),
  };
}
