// A submission server of a test with whatever options, without a queue behind it: what it takes is kept here.
import { systemClock } from '#shared/clock.ts';
import type { Clock } from '#shared/clock.ts';
import { createLog } from '#shared/log.ts';
import type { Submission } from '../../../agent/send/submission/accept.ts';
import type { RefusalReason } from '../../../agent/send/submission/access.ts';
import { refuse } from '../../../agent/send/submission/access.ts';
import { createAccounts } from '../../../agent/send/submission/accounts.ts';
import type { AccountsOptions } from '../../../agent/send/submission/accounts.ts';
import { createHeaderSplitter } from '../../../agent/send/submission/header-splitter.ts';
import { readFields } from '../../../agent/send/submission/header.ts';
import { createListener } from '../../../agent/send/submission/listener.ts';
import type { Listener } from '../../../agent/send/submission/listener.ts';
import type { Tls } from '../../../agent/send/submission/own-certificate.ts';
import type { Quota } from '../../../agent/send/submission/quota.ts';
import { judgeMail } from '../../../agent/send/submission/rights.ts';
import type { Passage } from '../../../agent/send/submission/rights.ts';
import type { SubmissionOptions } from '../../../agent/send/submission/submission-options.ts';
import { baseSubmission, noQuota, password, user } from './rig.ts';

/** Does not hold answers back. */
export const hasty: Clock = { ...systemClock, sleep: async () => {} };

export type Taken = Submission & { readonly body: string; readonly passage: Passage };
export type Server = {
  readonly listener: Listener;
  readonly port: number;
  readonly implicitPort: number;
  readonly taken: Taken[];
  readonly refused: RefusalReason[];
};
type Owner = { readonly after: (work: () => Promise<void>) => void };

export async function startSubmission(
  owner: Owner,
  options: {
    readonly submission?: Partial<SubmissionOptions>;
    readonly passwords?: AccountsOptions['passwords'];
    readonly usersFile?: string;
    readonly localLogin?: AccountsOptions['localLogin'];
    readonly tls?: Tls;
    readonly quota?: Quota;
    readonly clock?: Clock;
    readonly renewTls?: () => Promise<Tls | undefined>;
  } = {},
): Promise<Server> {
  const { usersFile, localLogin, tls, clock = hasty, renewTls } = options;
  const submission = { ...baseSubmission, ...options.submission };
  const log = createLog({ name: 'test', level: process.env['TEST_LOG'] === '1' ? 'debug' : 'silent' });
  const taken: Taken[] = [];
  const refused: RefusalReason[] = [];
  const accounts = createAccounts({
    submission,
    passwords: options.passwords ?? new Map([[user, password]]),
    ...(usersFile !== undefined && { usersFile }),
    ...(localLogin !== undefined && { localLogin }),
    clock,
    log,
  });
  const listener = createListener({
    submission,
    accounts,
    ...(tls !== undefined && { tls }),
    ...(renewTls !== undefined && { renewTls }),
    quota: options.quota ?? noQuota,
    accept: async (given, chunks) => {
      const parts: Uint8Array[] = [];
      for await (const chunk of chunks) parts.push(chunk);
      const bytes = Buffer.concat(parts);
      if (bytes.length > submission.maxSizeBytes) return refuse(552, '5.3.4 Too big', 'size');
      // The intake judges the header too; here it does just that.
      const splitter = createHeaderSplitter(1_000_000);
      const split = splitter.push(bytes) ?? splitter.end();
      const judged = split === 'too-large' ? undefined : judgeMail(given.rights, given.from, readFields(split).fields);
      if (judged === undefined || !judged.ok) return judged ?? refuse(552, '5.3.4 The header is too large', 'header');
      taken.push({ ...given, body: bytes.toString('latin1'), passage: judged });
      return { ok: true, id: 'test' };
    },
    freeBytes: async () => 1e12,
    onRefused: (reason) => void refused.push(reason),
    clock,
    log,
  });
  await listener.start();
  owner.after(() => listener.stop(10));
  const { port, implicitPort = 0 } = listener.status();
  return { listener, port, implicitPort, taken, refused };
}
