// What a client may do, command by command. Promise: each of MAIL, RCPT and DATA asks anew for the rights of the session,
// which come from a login or from a trusted address and from nowhere else; the client gets its answer whatever happens.
import type { SMTPServerAddress, SMTPServerAuthentication, SMTPServerOptions, SMTPServerSession } from 'smtp-server';
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import { maskAddress } from '#shared/log.ts';
import type { Accepted, Submission } from './accept.ts';
import { asciiAddress, needsUtf8, refuse } from './access.ts';
import type { Answer, Refusal, RefusalReason } from './access.ts';
import type { Handlers } from './door.ts';
import { readMailDsn, readRecipientDsn } from '../queue/envelope.ts';
import type { Login } from './login.ts';
import type { Quota } from './quota.ts';
import { judgeEnvelope, notLoggedIn } from './rights.ts';
import type { Rights } from './rights.ts';

export type HandlerOptions = {
  readonly logIn: Login;
  /** Rights of an address that needs no login. */
  readonly trust: (address: string | undefined) => Rights | undefined;
  readonly quota: Pick<Quota, 'check'>;
  /** Whether a sender that the client may not use is refused behind the header instead of now: DATA asks for the rights again. */
  readonly decidesLater?: ((sender: string) => boolean) | undefined;
  readonly accept: (submission: Submission, chunks: AsyncIterable<Uint8Array>) => Promise<Accepted>;
  /** Free space where the mail goes. */
  readonly freeBytes: () => Promise<number>;
  readonly maxSizeBytes: number;
  /** Has logged in, or need not: it may stay. */
  readonly known: (session: SMTPServerSession) => void;
  /** A mail is on its way in, until `end`. */
  readonly begin: () => void;
  readonly end: () => void;
  readonly log: Log;
};

/** As Postfix does: a mail and half of it again must fit. */
const freeSpaceFactor = 1.5;
/** RFC 3461 sections 4.2 and 4.4. */
const maxOrcptLength = 500;
const maxEnvidLength = 100;
const tooLong = (name: string): Refusal => refuse(501, '5.5.4 The parameter ' + name + ' is too long', 'protocol');

export function createHandlers(options: HandlerOptions): {
  readonly handlers: Handlers;
  /** Why the refusal that is about to be said was made. */
  readonly reasonOf: (session: SMTPServerSession) => RefusalReason | undefined;
} {
  const { log } = options;
  const loggedIn = new WeakMap<SMTPServerSession, Rights>();
  const reasons = new WeakMap<SMTPServerSession, RefusalReason>();

  /** smtp-server forgets the user when TLS starts: what was said in clear before does not count. */
  const rightsOf = (session: SMTPServerSession): Rights | undefined =>
    isLoggedIn(session) ? loggedIn.get(session) : options.trust(session.remoteAddress);

  async function mailFrom(address: SMTPServerAddress, session: SMTPServerSession): Promise<Answer> {
    const rights = rightsOf(session);
    if (rights === undefined || (await rights.current?.()) === false) return notLoggedIn;
    const from = asciiAddress(address.address);
    if (from === undefined) return refuse(553, '5.1.7 This is no mail address', 'address');
    const answer = judgeEnvelope(rights, from);
    if (!answer.ok && options.decidesLater?.(from) !== true) {
      log.warn({ user: rights.user, from: maskAddress(from) }, 'sender refused');
      return answer;
    }
    if (needsUtf8(from) && session.envelope.smtpUtf8 !== true)
      return refuse(553, '5.6.7 This address needs SMTPUTF8', 'address');
    if ((session.envelope.dsn?.envid?.length ?? 0) > maxEnvidLength) return tooLong('ENVID');
    return options.quota.check(rights, from) ?? room(address);
  }

  async function room(address: SMTPServerAddress): Promise<Answer> {
    const declared = address.args === false ? NaN : Number(address.args['SIZE']);
    const sizeBytes = Number.isFinite(declared) ? declared : options.maxSizeBytes;
    const neededBytes = sizeBytes * freeSpaceFactor;
    const freeBytes = await options.freeBytes();
    if (freeBytes >= neededBytes) return { ok: true };
    log.error({ freeBytes, neededBytes }, 'the disk of the queue is nearly full, mail is not taken');
    return refuse(452, '4.3.1 Not enough room on the disk; try again later', 'disk');
  }

  function rcptTo(address: SMTPServerAddress, session: SMTPServerSession): Answer {
    const rights = rightsOf(session);
    if (rights === undefined) return notLoggedIn;
    const to = asciiAddress(address.address);
    if (to === undefined || to === '') return refuse(553, '5.1.3 This is no mail address with a domain', 'address');
    if (needsUtf8(to) && session.envelope.smtpUtf8 !== true)
      return refuse(553, '5.6.7 This address needs SMTPUTF8', 'address');
    if ((address.dsn?.orcpt?.length ?? 0) > maxOrcptLength) return tooLong('ORCPT');
    const others = session.envelope.rcptTo.filter((one) => one.address !== address.address).length;
    if (others < (rights.limits.recipientsPerMail ?? Infinity)) return { ok: true };
    return refuse(452, '4.5.3 Too many recipients for this user; send the mail to the others once more', 'recipients');
  }

  async function data(stream: NodeJS.ReadableStream, session: SMTPServerSession): Promise<Accepted> {
    const rights = rightsOf(session);
    if (rights === undefined) return notLoggedIn;
    const submission = submissionOf(session, rights);
    const { from, recipients } = submission;
    const accepted = await options.accept(submission, bytesOf(stream));
    const { user } = rights;
    if (accepted.ok)
      log.info({ mail: accepted.id, user, from: maskAddress(from), recipients: recipients.length }, 'mail accepted');
    else {
      const { address, code, text } = accepted;
      const about = address === undefined ? {} : { about: maskAddress(address) };
      log.warn({ user, from: maskAddress(from), code, answer: text, ...about }, 'mail refused');
    }
    return accepted;
  }

  /** Runs a handler; the client gets its answer whatever happens. */
  async function respond<T extends Answer>(
    work: Promise<T | Refusal>,
    session: SMTPServerSession,
    reply: (answer: T | Refusal) => void,
  ): Promise<void> {
    let answer: T | Refusal;
    try {
      answer = await work;
    } catch (error) {
      log.error({ error: describe(error) }, 'a command of a client failed here');
      answer = refuse(451, '4.3.0 Something went wrong here; try again later', 'trouble');
    }
    note(answer, session);
    reply(answer);
  }

  function note(answer: Answer, session: SMTPServerSession): void {
    if (!answer.ok) reasons.set(session, answer.reason);
  }

  const handlers: Handlers = {
    onConnect(session, done) {
      if (options.trust(session.remoteAddress) !== undefined) options.known(session);
      done();
    },
    onAuth(auth: SMTPServerAuthentication, session, done) {
      void respond(options.logIn(auth, session), session, (answer) => {
        if (!answer.ok) return done(smtpError(answer));
        options.known(session);
        loggedIn.set(session, answer.rights);
        done(null, { user: answer.rights.user });
      });
    },
    onMailFrom(address, session, done) {
      void respond(mailFrom(address, session), session, (answer) => done(answer.ok ? null : smtpError(answer)));
    },
    onRcptTo(address, session, done) {
      const answer = rcptTo(address, session);
      note(answer, session);
      done(answer.ok ? null : smtpError(answer));
    },
    onData(stream, session, done) {
      options.begin();
      void respond(data(stream, session), session, (accepted) => {
        options.end();
        if (accepted.ok) done(null, '2.0.0 Queued as ' + accepted.id);
        else done(smtpError(accepted));
      });
    },
  };
  return {
    handlers,
    reasonOf(session) {
      const reason = reasons.get(session);
      reasons.delete(session);
      return reason;
    },
  };
}

function submissionOf(session: SMTPServerSession, rights: Rights): Submission {
  const { bodyType, dsn, mailFrom, rcptTo, smtpUtf8 } = session.envelope;
  return {
    rights,
    from: mailFrom === false ? '' : (asciiAddress(mailFrom.address) ?? mailFrom.address),
    recipients: rcptTo.map((to) => asciiAddress(to.address) ?? to.address),
    dsn: readMailDsn(dsn),
    recipientDsn: rcptTo.map((to) => readRecipientDsn(to.dsn)),
    eightBit: bodyType === '8bitmime',
    smtpUtf8: smtpUtf8 === true,
    clientName: session.hostNameAppearsAs,
    transmission: session.transmissionType,
  };
}

type Done = NonNullable<Parameters<NonNullable<SMTPServerOptions['onMailFrom']>>[2]>;

function smtpError({ address, code, text }: Refusal): NonNullable<Parameters<Done>[0]> {
  return Object.assign(new Error(address === undefined ? text : text + ': ' + address), { responseCode: code });
}

/** Set by onAuth above, and only there; cleared by smtp-server when TLS starts. */
function isLoggedIn(session: SMTPServerSession): boolean {
  const user: unknown = session.user;
  return typeof user === 'string' && user !== '';
}

async function* bytesOf(stream: NodeJS.ReadableStream): AsyncGenerator<Uint8Array> {
  for await (const chunk of stream) yield typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
}
