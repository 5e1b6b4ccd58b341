// An agent comes with its code and says the secret it has made for itself. Promise: the broker goes by the new secret before
// the agent is told so, and whoever used the agent's name before is thrown out: of two there is one that the operator meant.
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import { decodeEnrolRequest, encodeEnrolAnswer } from '#shared/wire.ts';
import type { Accounts } from './accounts.ts';
import type { Origin } from './members.ts';

export type Enrolment = {
  /** What came on the topic `enrol`. Never throws. */
  readonly received: (origin: Origin, payload: Uint8Array) => Promise<void>;
};

export function createEnrolment(options: {
  readonly accounts: Pick<Accounts, 'redeem'>;
  readonly broker: { readonly enrolled: (origin: Origin, secret: string) => Promise<void> };
  readonly answer: (origin: Origin, payload: string) => void;
  readonly log: Log;
}): Enrolment {
  const { accounts, broker, answer, log } = options;

  async function redeem(
    origin: Origin,
    payload: Uint8Array,
  ): Promise<{ readonly ok: boolean; readonly problem?: string }> {
    const request = decodeEnrolRequest(payload);
    if (!request.ok) return { ok: false, problem: 'the request cannot be read: ' + request.problem.slice(0, 200) };
    const { ok, problem, isNew } = accounts.redeem(origin, request.value);
    if (!ok) return { ok, ...(problem === undefined ? {} : { problem }) };
    if (isNew === true) await broker.enrolled(origin, request.value.secret);
    return { ok };
  }

  return {
    async received(origin, payload) {
      try {
        const result = await redeem(origin, payload);
        log.info({ ...origin, ...result }, result.ok ? 'an agent has enrolled' : 'an agent could not enrol');
        answer(origin, encodeEnrolAnswer(result));
      } catch (error) {
        log.error({ ...origin, error: describe(error) }, 'an agent could not enrol');
        answer(origin, encodeEnrolAnswer({ ok: false, problem: 'the collector cannot do it now, try again' }));
      }
    },
  };
}
