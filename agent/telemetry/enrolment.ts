// How this agent introduces itself to a collector, by a code for one use. Promises: it speaks to nobody but the collector whose
// authority the code names; the code's secret and the new password travel over a verified line alone.
import { randomBytes } from 'node:crypto';
import { fingerprintOf } from '#shared/enrolment.ts';
import type { EnrolmentCode } from '#shared/enrolment.ts';
import { UserError, describe } from '#shared/failure.ts';
import { enrolClientIdOf, enrolUserOf, topicOf } from '#shared/topics.ts';
import { decodeEnrolAnswer, encodeEnrolRequest } from '#shared/wire.ts';
import type { EnrolAnswer } from '#shared/wire.ts';
import { openConnection } from './connection.ts';
import type { Connection } from './connection.ts';
import { LineError, remedyOf } from './line-error.ts';
import { readChain } from './line.ts';

export type Enrolled = {
  /** By which the collector was reached. */
  readonly url: string;
  /** PEM of its authority; undefined when it is a public one. */
  readonly authority: string | undefined;
};
/** Nobody who could be asked was reached: the code can be used again. */
export class CollectorAway extends UserError {}
/** The collector was reached and said no: asking again with this code does not help. */
export class EnrolmentRefused extends UserError {}

const answerMs = 30_000;
const keepAliveSeconds = 30;

/** Tries the addresses of the code in turn. Throws EnrolmentRefused, or UserError when the collector cannot be reached. */
export async function enrol(options: {
  readonly code: EnrolmentCode;
  /** The password that this agent has made for itself, and has on its disk. */
  readonly secret: string;
  readonly version: string;
  readonly publicKey?: string;
  readonly signal: AbortSignal;
  readonly now: () => number;
}): Promise<Enrolled> {
  const { code } = options;
  const failures: string[] = [];
  for (const url of code.urls) {
    try {
      return await enrolAt(url, options);
    } catch (error) {
      if (error instanceof EnrolmentRefused || options.signal.aborted) throw error;
      const remedy = error instanceof LineError && error.trouble === 'clock' ? '; expected ' + remedyOf('clock') : '';
      failures.push(url + ': ' + describe(error) + remedy);
    }
  }
  throw new CollectorAway(
    'Cannot enrol ' +
      nameOf(code) +
      ': ' +
      failures.join('; ') +
      ', expected the collector that gave the code; nothing was changed, the code can be used again',
  );
}

type Options = Parameters<typeof enrol>[0];

async function enrolAt(url: string, options: Options): Promise<Enrolled> {
  const { code, now, signal } = options;
  const { fingerprint } = code;
  const authority =
    fingerprint === undefined || !isSecure(url) ? undefined : await findAuthority(url, fingerprint, options);
  const answer = Promise.withResolvers<EnrolAnswer>();
  const topics = { enrol: topicOf(code, 'enrol'), enrolled: topicOf(code, 'enrolled') };
  const connection = await connectOrExplain(
    {
      url,
      ca: authority === undefined ? [] : [authority],
      clientId: enrolClientIdOf(code, randomBytes(8).toString('hex')),
      user: enrolUserOf(code),
      password: code.secret,
      keepAliveSeconds,
      signal,
      now,
      onMessage(topic, payload) {
        const decoded = topic === topics.enrolled ? decodeEnrolAnswer(payload) : undefined;
        if (decoded?.ok === true) answer.resolve(decoded.value);
      },
    },
    code,
  );
  try {
    await connection.subscribe(topics.enrolled);
    const { secret, version, publicKey } = options;
    connection.publish(
      topics.enrol,
      encodeEnrolRequest({ secret, version, ...(publicKey !== undefined && { key: publicKey }) }),
      () => {},
    );
    const { ok, problem = 'no reason was given' } = await within(answer.promise, connection);
    if (!ok)
      throw new EnrolmentRefused(
        'Cannot enrol ' +
          nameOf(code) +
          ': the collector refuses: ' +
          problem +
          ', expected a code that was not used yet; ask for another one',
      );
    return { url, authority };
  } finally {
    connection.end();
  }
}

async function connectOrExplain(
  options: Parameters<typeof openConnection>[0],
  code: EnrolmentCode,
): Promise<Connection> {
  try {
    return await openConnection(options);
  } catch (error) {
    if (!/Not authorized/.test(describe(error))) throw error;
    const expired =
      code.expires * 1_000 < options.now()
        ? ' (it was to be used until ' + new Date(code.expires * 1_000).toISOString() + ')'
        : '';
    throw new EnrolmentRefused(
      'Cannot enrol ' +
        nameOf(code) +
        ': the collector does not know this code, it was used or has expired' +
        expired +
        ', expected a fresh one; ask for it with `mailferry-collector enrol ' +
        code.tenant +
        ' ' +
        code.agent +
        '`',
      { cause: error },
    );
  }
}

async function within(answer: Promise<EnrolAnswer>, connection: Connection): Promise<EnrolAnswer> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error('no answer within ' + answerMs / 1_000 + ' s')), answerMs);
  try {
    return await Promise.race([
      answer,
      promise,
      connection.ended.then(({ reason }) => Promise.reject(new Error(reason))),
    ]);
  } finally {
    clearTimeout(timer);
  }
}

/** The certificate that the code means, among those that the server shows. */
async function findAuthority(url: string, fingerprint: string, { signal, now }: Options): Promise<string> {
  const chain = await readChain({ url, signal, now });
  const found = chain.find((certificate) => fingerprintOf(certificate.raw) === fingerprint);
  if (found !== undefined) return found.toString();
  throw new LineError(
    'certificate',
    'the server there shows another authority than the code names: it is another collector, or somebody is in between',
  );
}

const isSecure = (url: string): boolean => /^(?:mqtts|wss):/.test(url);
const nameOf = ({ tenant, agent }: EnrolmentCode): string => tenant + '/' + agent;
