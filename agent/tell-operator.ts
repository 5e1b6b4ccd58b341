// A note from the agent itself to whoever looks after it, when nobody else can tell him: into his mailbox at the local server,
// and by the first relay to addresses elsewhere. Promise: it goes past the queue, whose own trouble may be a part of it.
import { hostname } from 'node:os';
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import type { Clock } from '#shared/clock.ts';
import type { Local } from './local/local.ts';
import { composeNote } from './send/notice/note.ts';
import { openRelaySession } from './send/relay/relay-session.ts';
import type { RelaySetup } from './send/send.ts';
import { verdictOf } from './smtp/verdict.ts';

export type OperatorNote = { readonly subject: string; readonly text: string };
export type OperatorWays = {
  readonly local: Pick<Local, 'deliver'> | undefined;
  /** In a domain of the local server. */
  readonly operator: string | undefined;
  readonly relay: RelaySetup | undefined;
  readonly to: readonly string[];
  readonly from: string | undefined;
  readonly traceId: string;
  readonly clock: Clock;
  readonly log: Log;
};

const limitMs = 120_000;

/** Resolves when one of them has it at least; throws with what went wrong when nobody has, or there is nobody. */
export async function tellOperator(ways: OperatorWays, note: OperatorNote): Promise<void> {
  const tries: Promise<void>[] = [];
  if (ways.operator !== undefined && ways.local !== undefined)
    tries.push(byLocal(ways, ways.local, ways.operator, note));
  if (ways.to.length > 0 && ways.relay !== undefined) tries.push(byRelay(ways, ways.relay, note));
  if (tries.length === 0)
    throw new Error('nobody is named who could be told, expected option operator, or report.tell.to with a relay');
  const results = await Promise.allSettled(tries);
  const failures = results.flatMap((result) => (result.status === 'rejected' ? [describe(result.reason)] : []));
  if (failures.length === results.length) throw new Error(failures.join('; '));
  for (const failure of failures)
    ways.log.warn({ problem: failure }, 'one of those who are to be told could not be reached');
}

async function byLocal(
  ways: OperatorWays,
  local: Pick<Local, 'deliver'>,
  to: string,
  note: OperatorNote,
): Promise<void> {
  const bytes = compose(ways, to, note);
  const body = { open: () => [bytes], sizeBytes: bytes.length };
  const signal = AbortSignal.timeout(limitMs);
  const { recipients } = await local.deliver({ from: '', recipients: [to], head: new Uint8Array(0), body, signal });
  const [answer] = recipients;
  if (answer?.verdict !== 'delivered')
    throw new Error('the local server did not take it: ' + (answer?.text ?? 'no answer'));
}

async function byRelay(ways: OperatorWays, setup: RelaySetup, note: OperatorNote): Promise<void> {
  const { clock, log, to } = ways;
  const from = ways.from ?? senderOf(setup) ?? ways.operator;
  if (from === undefined) throw new Error('no sender for the relay is known, expected option report.tell.from');
  const signal = AbortSignal.timeout(limitMs);
  const session = await openRelaySession({ setup, hostname: hostname(), clock, log, signal });
  try {
    const bytes = compose(ways, to.join(', '), note, from);
    const result = await session.send({
      from,
      recipients: to,
      head: new Uint8Array(0),
      body: { open: () => [bytes], sizeBytes: bytes.length },
      keepBareLineEnds: false,
      signal,
    });
    const refused = result.recipients.filter(({ reply, phase }) => verdictOf(reply, phase) !== 'delivered');
    if (refused.length > 0)
      throw new Error(
        'relay ' +
          setup.config.id +
          ' answered ' +
          refused.map(({ reply }) => reply.code + ' ' + reply.text).join(', '),
      );
  } finally {
    await session.quit();
  }
}

function senderOf({ config }: RelaySetup): string | undefined {
  return /^[^@\s<>]+@[^@\s<>]+$/.test(config.user) ? config.user : undefined;
}

function compose(ways: OperatorWays, to: string, note: OperatorNote, from?: string): Buffer {
  const createdAt = Math.round(ways.clock.now());
  const bytes = composeNote({
    id: 'agent-' + createdAt.toString(36),
    to,
    subject: note.subject,
    text: note.text,
    createdAt,
    hostname: hostname(),
    traceId: ways.traceId,
  });
  if (from === undefined) return bytes;
  // A relay takes a mail only from whom it knows.
  return Buffer.from(
    bytes
      .toString('utf8')
      .replace(/^From: .*\r\n/, 'From: mailferry <' + from + '>\r\n')
      .replace(/^To: <(.*)>\r\n/m, 'To: $1\r\n'),
    'utf8',
  );
}
