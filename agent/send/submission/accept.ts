// Takes one mail from a client into the queue. Promise: `ok` means that envelope and mail are on disk under their name and
// the index knows them; anything else leaves no trace. The stream is always read to its end, or the client never gets its answer.
import { randomUUID } from 'node:crypto';
import type { Reached } from '#shared/checkpoint.ts';
import type { Clock } from '#shared/clock.ts';
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import { refuse } from './access.ts';
import type { Refusal } from './access.ts';
import type { Envelope, MailDsn, RecipientDsn } from '../queue/envelope.ts';
import type { GroupCommit } from '../queue/group-commit.ts';
import type { Guards } from '../guards.ts';
import { readFields, rewriteHeader } from './header.ts';
import type { HeaderRules } from './header.ts';
import { createHeaderSplitter } from './header-splitter.ts';
import type { Split } from './header-splitter.ts';
import { createLineGuard, isSigned } from './long-lines.ts';
import type { LineGuard } from './long-lines.ts';
import type { LoopGuard } from './loop.ts';
import { formatDate } from '../notice/note.ts';
import type { Queue } from '../queue/queue.ts';
import type { Quota, Reservation } from './quota.ts';
import { judgeMail } from './rights.ts';
import type { Passage, Rights } from './rights.ts';
import type { Spool, SpoolFile } from '../queue/spool.ts';

export type Submission = {
  readonly rights: Rights;
  /** Envelope sender and recipients, domains in ASCII. */
  readonly from: string;
  readonly recipients: readonly string[];
  readonly dsn?: MailDsn;
  /** In the order of `recipients`. */
  readonly recipientDsn?: readonly RecipientDsn[];
  readonly eightBit?: boolean;
  readonly smtpUtf8?: boolean;
  /** What the client called itself. */
  readonly clientName: string;
  /** RFC 3848: ESMTPSA and the like. */
  readonly transmission: string;
};
export type Accepted = { readonly ok: true; readonly id: string } | Refusal;

export type AcceptOptions = {
  readonly spool: Pick<Spool, 'create' | 'freeBytes' | 'remove'>;
  readonly queue: Pick<Queue, 'add'>;
  readonly group: Pick<GroupCommit, 'join'>;
  readonly quota: Pick<Quota, 'reserve'>;
  readonly clock: Clock;
  readonly reached: Reached;
  readonly traceId: string;
  readonly hostname: string;
  readonly maxSizeBytes: number;
  /** Mail that goes in circles, and mail that its relay is known to refuse. */
  readonly guards?: Pick<Guards, 'preflight' | 'warn'> & { readonly loops: Pick<LoopGuard, 'check' | 'checkRefused'> };
  readonly onAccepted: () => void;
  /** A mail is in the queue, with this header. */
  readonly onStored?: (id: string, header: Uint8Array) => void;
  readonly log: Log;
};

/** A header is kept in memory; 5,000 ordinary lines are a third of this. */
const maxHeaderBytes = 1024 * 1024;
const maxHops = 50;
/** A client may say a small SIZE, or none, and send much: so often the disk is asked again. */
const askEveryBytes = 4 * 1024 * 1024;
/** The index must still be written when a mail has filled the disk. */
const keptFreeBytes = 8 * 1024 * 1024;

export function createAccept(
  options: AcceptOptions,
): (submission: Submission, chunks: AsyncIterable<Uint8Array>) => Promise<Accepted> {
  const { log } = options;

  return async (submission, chunks) => {
    const { rights, from } = submission;
    const place = options.quota.reserve(rights, from);
    const intake = createIntake(options, submission, 'ok' in place ? { refusal: place } : { reservation: place });
    try {
      for await (const chunk of chunks) await intake.take(chunk);
      return await intake.finish();
    } catch (error) {
      await intake.drop();
      log.info({ user: rights.user, error: describe(error) }, 'client left in the middle of a mail, nothing is kept');
      return refuse(451, '4.4.2 The connection broke in the middle of the mail', 'broken-off');
    } finally {
      if (!('ok' in place)) place.release();
    }
  };
}

type Intake = {
  /** Never throws: after a failure the rest is swallowed. */
  readonly take: (chunk: Uint8Array) => Promise<void>;
  readonly drop: () => Promise<void>;
  readonly finish: () => Promise<Accepted>;
};

/** One mail on its way into its file. */
function createIntake(
  options: AcceptOptions,
  submission: Submission,
  start: { readonly refusal?: Refusal; readonly reservation?: Reservation },
): Intake {
  const { clock, group, log, maxSizeBytes, queue, spool } = options;
  const acceptedAt = Math.round(clock.now());
  // Of a UUID these are random digits; drawn from a store, without asking the system each time.
  const id = acceptedAt.toString(36) + '-' + randomUUID().replace('-', '').slice(0, 12);
  const splitter = createHeaderSplitter(maxHeaderBytes);
  let { refusal } = start;
  let envelope: Envelope | undefined;
  /** The header as it goes out. */
  let outgoing: Buffer = Buffer.alloc(0);
  let file: SpoolFile | undefined;
  /** There once the header is over. */
  let guard: LineGuard | undefined;
  let receivedBytes = 0;
  let askAtBytes = askEveryBytes;

  async function drop(): Promise<void> {
    await file?.abort();
    file = undefined;
  }

  /** Runs a step; a refusal or an error ends the mail. */
  async function step(work: () => Promise<Refusal | undefined>): Promise<void> {
    try {
      refusal ??= await work();
    } catch (error) {
      refusal = noRoom;
      log.error({ mail: id, error: describe(error) }, 'a mail could not be stored, the client was told to come again');
    }
    if (refusal !== undefined) await drop();
  }

  async function begin(split: Split): Promise<Refusal | undefined> {
    const parts = readFields(split);
    const loop = options.guards?.loops.check(parts.fields, submission.recipients);
    if (loop !== undefined) return loop;
    const passage = judgeMail(submission.rights, submission.from, parts.fields);
    if (!passage.ok) return options.guards?.loops.checkRefused(parts.fields, passage) ?? passage;
    const header = rewriteHeader(parts, rulesOf(options, submission, passage, { id, acceptedAt }));
    if (!header.ok) return header;
    envelope = envelopeOf(submission, passage, { id, acceptedAt });
    outgoing = header.bytes;
    guard = createLineGuard({ signed: isSigned(parts.fields) });
    file = await spool.create(envelope);
    await file.write(header.bytes);
    for (const bytes of parts.body) {
      const problem = await pushBody(guard, bytes);
      if (problem !== undefined) return problem;
    }
    return undefined;
  }

  async function pushBody({ pass }: LineGuard, bytes: Uint8Array): Promise<Refusal | undefined> {
    const pieces = pass(bytes);
    if ('ok' in pieces) return pieces;
    for (const piece of pieces) if (piece.length > 0) await file?.write(piece);
    return undefined;
  }

  async function push(chunk: Uint8Array): Promise<Refusal | undefined> {
    receivedBytes += chunk.length;
    if (receivedBytes > maxSizeBytes) return tooBig(maxSizeBytes);
    if (receivedBytes >= askAtBytes) {
      askAtBytes = receivedBytes + askEveryBytes;
      if ((await spool.freeBytes()) < keptFreeBytes) throw new Error('the disk of the queue is nearly full');
    }
    if (guard !== undefined) return pushBody(guard, chunk);
    const split = splitter.push(chunk);
    if (split === undefined) return undefined;
    return split === 'too-large' ? headerTooBig : begin(split);
  }

  async function commit(): Promise<Refusal | undefined> {
    const early = guard === undefined ? await begin(splitter.end()) : undefined;
    if (early !== undefined || file === undefined || envelope === undefined) return early;
    const queued = envelope;
    const { from } = queued;
    const found = options.guards?.preflight({ from, header: outgoing, sizeBytes: receivedBytes }) ?? [];
    if ('ok' in found) return found;
    const place = await file.finish();
    file = undefined;
    try {
      await group.join(() => {
        queue.add(queued, place);
        options.guards?.warn({ id, sender: from }, found);
        start.reservation?.count();
      });
    } catch (error) {
      await spool.remove(id);
      throw error;
    }
    options.reached('send.accepted');
    options.onStored?.(id, outgoing);
    if (queued.held !== undefined)
      log.warn({ mail: id, user: queued.user, why: queued.held }, 'mail waits for a person');
    return undefined;
  }

  return {
    take: async (chunk) => {
      if (refusal === undefined) await step(() => push(chunk));
    },
    drop,
    finish: async () => {
      if (refusal === undefined) await step(commit);
      if (refusal !== undefined) return refusal;
      options.onAccepted();
      return { ok: true, id };
    },
  };
}

// A full disk and a broken one look the same from here, and a 5xx would make the client give the mail up (RFC 5321 section 4.2.4.2).
const noRoom: Refusal = refuse(452, '4.3.1 The mail could not be stored; try again later', 'disk');
const headerTooBig: Refusal = refuse(552, '5.3.4 The header is larger than ' + maxHeaderBytes + ' bytes', 'header');
const tooBig = (limit: number): Refusal => refuse(552, '5.3.4 The mail is larger than ' + limit + ' bytes', 'size');

type Basis = Pick<Envelope, 'id' | 'acceptedAt'>;

function envelopeOf(submission: Submission, passage: Passage, { id, acceptedAt }: Basis): Envelope {
  const { dsn = {}, eightBit, recipientDsn = [], recipients, rights, smtpUtf8 } = submission;
  return {
    v: 1,
    id,
    from: passage.from,
    recipients,
    user: rights.user,
    acceptedAt,
    ...(Object.keys(dsn).length > 0 && { dsn }),
    ...(recipientDsn.some((one) => Object.keys(one).length > 0) && { recipientDsn }),
    ...(eightBit === true && { eightBit }),
    ...(smtpUtf8 === true && { smtpUtf8 }),
    ...(passage.held !== undefined && { held: passage.held }),
    ...(passage.from !== submission.from && { givenFrom: submission.from }),
  };
}

function rulesOf(
  options: AcceptOptions,
  submission: Submission,
  passage: Passage,
  { id, acceptedAt }: Basis,
): HeaderRules {
  const { hostname, traceId } = options;
  const { replaceFrom, resentFrom } = passage;
  // The name is what the client says of itself, so only what a host name or address literal can have is kept.
  const client = submission.clientName.replaceAll(/[^A-Za-z0-9.:_[\]-]/g, '_').slice(0, 255) || 'unknown';
  return {
    received: 'from ' + client + '\r\n\tby ' + hostname + ' with ' + submission.transmission + ' id ' + id,
    date: formatDate(acceptedAt),
    messageId: '<' + id + '@' + hostname + '>',
    traceId,
    maxHops,
    // Nobody answers a report or an out-of-office reply.
    ...(replaceFrom !== undefined && { replaceFrom, answerOriginal: submission.from !== '' }),
    ...(resentFrom !== undefined && { resentFrom }),
  };
}
