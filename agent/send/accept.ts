// Takes one mail from a client into the queue. Promise: `ok` means that envelope and mail are on disk under their name and
// the index knows them; anything else leaves no trace. The stream is always read to its end, or the client never gets its answer.
import { randomBytes } from 'node:crypto';
import type { Reached } from '#shared/checkpoint.ts';
import type { Clock } from '#shared/clock.ts';
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import type { Refusal } from './access.ts';
import type { Envelope } from './envelope.ts';
import type { GroupCommit } from './group-commit.ts';
import { checkFrom } from './header-from.ts';
import { rewriteHeader } from './header.ts';
import { createHeaderSplitter } from './header-splitter.ts';
import type { Split } from './header-splitter.ts';
import { formatDate } from './notice.ts';
import type { Queue } from './queue.ts';
import type { Spool, SpoolFile } from './spool.ts';

export type Submission = {
  readonly user: string;
  /** What the user may send as, as configured. */
  readonly senders: readonly string[];
  /** Envelope sender and recipients, domains in ASCII. */
  readonly from: string;
  readonly recipients: readonly string[];
  /** What the client called itself. */
  readonly clientName: string;
  /** RFC 3848: ESMTPSA and the like. */
  readonly transmission: string;
};
export type Accepted = { readonly ok: true; readonly id: string } | Refusal;

export type AcceptOptions = {
  readonly spool: Pick<Spool, 'create' | 'remove'>;
  readonly queue: Pick<Queue, 'add'>;
  readonly group: Pick<GroupCommit, 'join'>;
  readonly clock: Clock;
  readonly reached: Reached;
  readonly traceId: string;
  readonly hostname: string;
  readonly maxSizeBytes: number;
  readonly onAccepted: () => void;
  readonly log: Log;
};

/** A header is kept in memory; 5,000 ordinary lines are a third of this. */
const maxHeaderBytes = 1024 * 1024;
const maxHops = 50;

export function createAccept(
  options: AcceptOptions,
): (submission: Submission, chunks: AsyncIterable<Uint8Array>) => Promise<Accepted> {
  const { clock, log } = options;

  return async (submission, chunks) => {
    const { user, from } = submission;
    const id = Math.round(clock.now()).toString(36) + '-' + randomBytes(6).toString('hex');
    const acceptedAt = Math.round(clock.now());
    const envelope: Envelope = { v: 1, id, from, recipients: submission.recipients, user, acceptedAt };
    const intake = createIntake(options, submission, envelope);
    try {
      for await (const chunk of chunks) await intake.take(chunk);
    } catch (error) {
      await intake.drop();
      log.info({ user, error: describe(error) }, 'client left in the middle of a mail, nothing is kept');
      return { ok: false, code: 451, text: '4.4.2 The connection broke in the middle of the mail' };
    }
    return intake.finish();
  };
}

type Intake = {
  /** Never throws: after a failure the rest is swallowed. */
  readonly take: (chunk: Uint8Array) => Promise<void>;
  readonly drop: () => Promise<void>;
  readonly finish: () => Promise<Accepted>;
};

/** One mail on its way into its file. */
function createIntake(options: AcceptOptions, submission: Submission, envelope: Envelope): Intake {
  const { group, log, maxSizeBytes, queue, spool } = options;
  const { id } = envelope;
  const splitter = createHeaderSplitter(maxHeaderBytes);
  let file: SpoolFile | undefined;
  let inBody = false;
  let receivedBytes = 0;
  let refusal: Refusal | undefined;

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
    const header = rewriteHeader(split, rulesOf(options, submission, envelope));
    if (!header.ok) return header;
    const from = checkFrom(header.fields, submission.senders);
    if (!from.ok) return from;
    inBody = true;
    file = await spool.create(envelope);
    await file.write(header.bytes);
    return undefined;
  }

  async function push(chunk: Uint8Array): Promise<Refusal | undefined> {
    receivedBytes += chunk.length;
    if (receivedBytes > maxSizeBytes) return tooBig(maxSizeBytes);
    if (inBody) {
      await file?.write(chunk);
      return undefined;
    }
    const split = splitter.push(chunk);
    if (split === undefined) return undefined;
    return split === 'too-large' ? headerTooBig : begin(split);
  }

  async function commit(): Promise<Refusal | undefined> {
    const early = inBody ? undefined : await begin(splitter.end());
    if (early !== undefined || file === undefined) return early;
    const place = await file.finish();
    file = undefined;
    try {
      await group.join(() => queue.add(envelope, place));
    } catch (error) {
      await spool.remove(id);
      throw error;
    }
    options.reached('send.accepted');
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
const noRoom: Refusal = { ok: false, code: 452, text: '4.3.1 The mail could not be stored; try again later' };
const headerTooBig: Refusal = {
  ok: false,
  code: 552,
  text: '5.3.4 The header is larger than ' + maxHeaderBytes + ' bytes',
};
const tooBig = (limit: number): Refusal => ({
  ok: false,
  code: 552,
  text: '5.3.4 The mail is larger than ' + limit + ' bytes',
});

function rulesOf(options: AcceptOptions, submission: Submission, envelope: Envelope) {
  const { hostname, traceId } = options;
  // The name is what the client says of itself, so only what a host name or address literal can have is kept.
  const client = submission.clientName.replaceAll(/[^A-Za-z0-9.:_[\]-]/g, '_').slice(0, 255) || 'unknown';
  return {
    received: 'from ' + client + '\r\n\tby ' + hostname + ' with ' + submission.transmission + ' id ' + envelope.id,
    date: formatDate(envelope.acceptedAt),
    messageId: '<' + envelope.id + '@' + hostname + '>',
    traceId,
    maxHops,
  };
}
