// What the commands answer, as schemas: the agent fills them, the command line checks them, since the two may be of
// different versions. Open for more: a newer agent may say more than an older command line knows.
import { Type } from 'typebox';
import type { Static, TSchema } from 'typebox';

const orNull = <S extends TSchema>(schema: S) => Type.Union([schema, Type.Null()]);
const list = <S extends TSchema>(schema: S) => Type.Immutable(Type.Array(schema));

const account = Type.Object({
  id: Type.String(),
  /** The last round succeeded. */
  up: Type.Boolean(),
  problem: Type.String(),
  /** Mails at the provider that were not handed over yet. */
  backlog: Type.Number(),
  /** Mails handed over and kept at the provider. */
  kept: Type.Number(),
  /** Wall clock, milliseconds since 1970; 0 when never. */
  lastRoundAt: Type.Number(),
  nextRoundAt: Type.Number(),
  paused: Type.Boolean(),
  /** Mails that stay at the provider: too large, or from before and not wanted. */
  oversized: Type.Optional(Type.Number()),
  passedOver: Type.Optional(Type.Number()),
  /** Worth knowing although all is well. */
  hint: Type.Optional(Type.String()),
  /** Wake by IMAP IDLE: ok, or why not; empty when none is configured. */
  wake: Type.Optional(Type.String()),
});
const blockList = Type.Object({
  target: Type.String(),
  zone: Type.String(),
  state: Type.String(),
  codes: list(Type.String()),
  reason: Type.String(),
  checkedAt: Type.Number(),
});

export const agentStatusSchema = Type.Object({
  tenant: Type.String(),
  agent: Type.String(),
  version: Type.String(),
  /** Why no mail moves until somebody says `adopt`; empty when it does. */
  hold: Type.Optional(Type.String()),
  uptimeSeconds: Type.Number(),
  accounts: list(account),
  relays: list(
    Type.Object({
      id: Type.String(),
      up: Type.Boolean(),
      problem: Type.String(),
      /** Why mail waits although the relay works; empty when it does not. */
      waits: Type.Optional(Type.String()),
      sessions: Type.Optional(Type.Number()),
      budget: Type.Optional(
        Type.Object({
          mails: Type.Optional(Type.Number()),
          recipients: Type.Optional(Type.Number()),
        }),
      ),
      /** The relay that sends in its place. */
      standIn: Type.Optional(Type.String()),
    }),
  ),
  queue: orNull(
    Type.Object({ depth: Type.Number(), oldestSeconds: Type.Number(), held: Type.Number(), unknown: Type.Number() }),
  ),
  dnsbl: list(blockList),
  /** Null: no collector is configured. `dropped`: points that were dropped because the outbox was full. */
  /** Changes of the configuration that the collector proposes. */
  proposed: Type.Optional(Type.Number()),
  report: orNull(
    Type.Object({
      connected: Type.Boolean(),
      /** Why not, or why nobody acknowledges; empty when all is well. */
      problem: Type.Optional(Type.String()),
      /** Measurements that a broker breaks the connection at. */
      aside: Type.Optional(Type.Number()),
      batches: Type.Number(),
      bytes: Type.Number(),
      oldestSeconds: Type.Number(),
      dropped: Type.Number(),
    }),
  ),
  /** Where mail is handed in. Null: nowhere. `certificate`: what clients see; absent when passwords travel in clear. */
  submission: Type.Optional(
    orNull(
      Type.Object({
        host: Type.String(),
        port: Type.Number(),
        implicitPort: Type.Optional(Type.Number()),
        certificate: Type.Optional(Type.Object({ fingerprint: Type.String(), validUntil: Type.Number() })),
        problem: Type.Optional(Type.String()),
      }),
    ),
  ),
  /** Null: no local mail server is configured. `problem` is empty when it answers. */
  local: orNull(Type.Object({ problem: Type.String() })),
  /** Mails that wait for a person. Null: no account is configured. */
  quarantine: Type.Optional(
    orNull(Type.Object({ count: Type.Number(), bytes: Type.Number(), oldestSeconds: Type.Number() })),
  ),
  /** The content check. */
  scanners: Type.Optional(list(Type.Object({ name: Type.String(), problem: Type.String() }))),
});
export type AgentStatus = Static<typeof agentStatusSchema>;

/** One mail of the queue. Times are wall clock, milliseconds since 1970. */
export const queueEntrySchema = Type.Object({
  id: Type.String(),
  from: Type.String(),
  sizeBytes: Type.Number(),
  acceptedAt: Type.Number(),
  /** 0 when no try is planned. */
  nextTryAt: Type.Number(),
  state: Type.String(),
  /** Why it is still here; empty when nothing went wrong. */
  problem: Type.String(),
  recipients: list(
    Type.Object({
      address: Type.String(),
      state: Type.String(),
      attempts: Type.Number(),
      lastReply: Type.String(),
      /** 0 when it was not tried yet. */
      triedAt: Type.Optional(Type.Number()),
      /** What the last reply means: whom it concerns (recipient, message, account, relay), in plain words, what helps. */
      scope: Type.Optional(Type.String()),
      meaning: Type.Optional(Type.String()),
      remedy: Type.Optional(Type.String()),
      /** What the client asked to be told (RFC 3461). */
      notify: Type.Optional(list(Type.String())),
    }),
  ),
  /** The relay by which it goes, or may have gone. */
  relay: Type.Optional(Type.String()),
  /** Who handed it in. */
  user: Type.Optional(Type.String()),
  /** What its sender is still to be told. */
  notices: Type.Optional(
    list(Type.Object({ kind: Type.String(), nextTryAt: Type.Number(), tries: Type.Number(), summed: Type.Boolean() })),
  ),
});
export type QueueEntry = Static<typeof queueEntrySchema>;

/** `total` is more than there are entries when the list was cut. */
export const queueListSchema = Type.Object({ total: Type.Number(), entries: list(queueEntrySchema) });
export type QueueList = Static<typeof queueListSchema>;

/** `mayHaveArrived`: those of the recipients at whom an earlier try ended without an answer. */
export const queueChangeSchema = Type.Object({
  id: Type.String(),
  recipients: list(Type.String()),
  mayHaveArrived: list(Type.String()),
});
export type QueueChange = Static<typeof queueChangeSchema>;
/** `mails`: those that are tried now. */
export const flushedSchema = Type.Object({ mails: Type.Number() });
export type Flushed = Static<typeof flushedSchema>;

export const fetchedSchema = Type.Object({ accounts: list(account) });
export type Fetched = Static<typeof fetchedSchema>;

/** Why the state was held; empty when it was not. */
export const adoptedSchema = Type.Object({ was: Type.String() });

/** What another configuration changed; `reopened`: rooms, or `all`; `restart`: options that count from the next start on. */
export const reloadedSchema = Type.Object({
  changes: list(Type.String()),
  reopened: list(Type.String()),
  restart: list(Type.String()),
});
export type Reloaded = Static<typeof reloadedSchema>;

/** One mail in quarantine. `at`: since when, ISO 8601. */
const heldSchema = Type.Object({
  id: Type.String(),
  account: Type.String(),
  from: Type.String(),
  subject: Type.String(),
  reason: Type.String(),
  at: Type.String(),
  sizeBytes: Type.Number(),
  sha256: Type.String(),
  recipients: list(Type.Object({ address: Type.String(), verdict: Type.String(), text: Type.String() })),
});
export type HeldMail = Static<typeof heldSchema>;

/** `total` is more than there are entries when the list was cut. */
export const heldListSchema = Type.Object({ total: Type.Number(), entries: list(heldSchema) });
export type HeldList = Static<typeof heldListSchema>;

/** `header`: the mail's own, latin1, perhaps cut; `file`: where it is on the agent's disk. */
export const heldMailSchema = Type.Intersect([heldSchema, Type.Object({ header: Type.String(), file: Type.String() })]);
export type ShownMail = Static<typeof heldMailSchema>;

/** `recipients`: who got it now. */
export const releasedSchema = Type.Object({ id: Type.String(), recipients: list(Type.String()) });
export type ReleasedMail = Static<typeof releasedSchema>;
export const droppedSchema = Type.Object({ id: Type.String() });
export type DroppedMail = Static<typeof droppedSchema>;

/** `level`: ok, info, warning, critical, unknown; that of the answer is the worst. */
export const checkedSchema = Type.Object({
  what: Type.String(),
  level: Type.String(),
  findings: list(
    Type.Object({
      target: Type.String(),
      check: Type.String(),
      level: Type.String(),
      text: Type.String(),
      remedy: Type.Optional(Type.String()),
    }),
  ),
});
export type Checked = Static<typeof checkedSchema>;

/** In the answer to `status` and `fetch`. */
export const troublesSchema = Type.Object({ troubles: list(Type.String()) });

/** What a person should look at, one line each; empty when all is well. Decides the exit code of `mailferry status`. */
export function troublesOf(status: Partial<AgentStatus>): readonly string[] {
  const { accounts = [], relays = [], queue = null, dnsbl = [], report = null, local = null } = status;
  const { scanners = [] } = status;
  const troubles: string[] = [];
  const { hold = '' } = status;
  if (hold !== '') troubles.push('held, no mail moves: ' + hold + '; if it is to be used here: mailferry adopt');
  for (const { id, problem, paused } of accounts) {
    if (problem !== '') troubles.push('mailbox ' + id + ': ' + problem);
    else if (paused) troubles.push('mailbox ' + id + ': paused');
  }
  if (local !== null && local.problem !== '') troubles.push('local mail server: ' + local.problem);
  const { problem: submissionProblem = '' } = status.submission ?? {};
  if (submissionProblem !== '') troubles.push('submission: ' + submissionProblem);
  for (const { problem } of scanners) if (problem !== '') troubles.push('content check: ' + problem);
  for (const { id, problem, standIn, waits = '' } of relays) {
    const other = standIn === undefined ? '' : ' (' + standIn + ' sends in its place)';
    if (problem !== '' || waits !== '') troubles.push('relay ' + id + ': ' + (problem || waits) + other);
  }
  if (queue !== null && queue.held > 0) troubles.push('queue: ' + queue.held + ' held, waiting for a person');
  for (const { target, zone, state, reason } of dnsbl)
    if (state === 'listed') troubles.push('block list: ' + target + ' is listed at ' + zone + ': ' + reason);
  const { connected = true, problem: reportProblem = '' } = report ?? {};
  if (!connected) troubles.push('report: ' + (reportProblem === '' ? 'not connected to the collector' : reportProblem));
  const { proposed = 0 } = status;
  if (proposed > 0)
    troubles.push(
      'configuration: ' + proposed + ' proposed by the collector wait for an answer: mailferry change list',
    );
  return troubles;
}
