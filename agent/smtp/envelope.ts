// MAIL, RCPT and DATA: who sends, who receives, and whether the server lets the mail begin. In one write where the server
// offers PIPELINING (RFC 2920), else one by one.
import { pathOf, replyOf } from './address.ts';
import { ChannelError } from './channel.ts';
import type { Phase, RecipientReply } from './conversation-error.ts';
import type { Mail } from './mail.ts';
import { mailParameters, recipientParameters } from './parameters.ts';
import { answered, AnswerError, isDone, isRefusal } from './session.ts';
import type { Progress, Session } from './session.ts';
import type { Reply } from './reply.ts';

/** A recipient of this mail; `answer` is undefined as long as the server may still take the mail for it. */
export type Slot = {
  readonly address: string;
  /** What stands behind `RCPT TO:`. */
  readonly line: string;
  answer: RecipientReply | undefined;
};

export type Plan = { readonly mailLine: string; readonly slots: readonly Slot[] };

export function openSlots(slots: readonly Slot[]): readonly Slot[] {
  return slots.filter((slot) => slot.answer === undefined);
}

export function answerAll(slots: readonly Slot[], reply: Reply, phase: Phase): void {
  for (const slot of slots) slot.answer ??= { address: slot.address, reply, phase };
}

/** What to say; recipients that the server could not take are answered already. */
export function planEnvelope(mail: Mail, capabilities: ReadonlyMap<string, string>): Plan {
  const smtpUtf8 = capabilities.has('SMTPUTF8');
  const sender = pathOf(mail.from, 'sender', smtpUtf8);
  let utf8 = 'utf8' in sender && sender.utf8;
  const slots = mail.recipients.map((address, index): Slot => {
    const path = pathOf(address, 'recipient', smtpUtf8);
    if ('refused' in path) {
      return { address, line: '', answer: { address, reply: path.refused, phase: 'recipients' } };
    }
    utf8 ||= path.utf8;
    const parameters = recipientParameters(mail.recipientDsn?.[index], capabilities);
    return { address, line: ['<' + path.path + '>', ...parameters].join(' '), answer: undefined };
  });
  const refusal = 'refused' in sender ? sender.refused : (tooBig(mail, capabilities) ?? tooWide(mail, capabilities));
  if (refusal !== undefined) answerAll(slots, refusal, 'mail');
  const parameters = mailParameters(mail, capabilities, { sizeBytes: sizeOf(mail), utf8 });
  const path = 'path' in sender ? sender.path : '';
  return { mailLine: ['MAIL FROM:<' + path + '>', ...parameters].join(' '), slots };
}

function sizeOf(mail: Mail): number {
  return mail.head.length + mail.body.sizeBytes;
}

/** RFC 1870 section 6.1: a mail over the announced limit need not be tried. */
function tooBig(mail: Mail, capabilities: ReadonlyMap<string, string>): Reply | undefined {
  const limit = Number(capabilities.get('SIZE') ?? '');
  if (!Number.isSafeInteger(limit) || limit <= 0 || sizeOf(mail) <= limit) return undefined;
  const text = 'not sent: the mail has ' + sizeOf(mail) + ' bytes, the server takes ' + limit;
  return replyOf(552, '5.3.4', text);
}

/** To convert it would break its signatures (DKIM, S/MIME), so it goes back (RFC 3463 X.6.3). */
function tooWide(mail: Mail, capabilities: ReadonlyMap<string, string>): Reply | undefined {
  if (mail.eightBit !== true || capabilities.has('8BITMIME')) return undefined;
  return replyOf(554, '5.6.3', 'not sent: the mail has bytes above 127, the server takes none (8BITMIME)');
}

/**
 * Says the envelope, with DATA unless `bodyCommand` is BDAT. Afterwards the slots still open are those that the body goes
 * to; without any of them nothing more may be sent.
 */
export async function sendEnvelope(
  session: Session,
  plan: Plan,
  bodyCommand: 'DATA' | 'BDAT',
  progress: Progress,
): Promise<void> {
  const { channel, timeouts } = session;
  const tried = openSlots(plan.slots);
  const pipelined = session.capabilities.has('PIPELINING');
  const recipientLines = tried.map((slot) => 'RCPT TO:' + slot.line);
  const lines = [plan.mailLine, ...recipientLines, ...(bodyCommand === 'DATA' ? ['DATA'] : [])];
  progress.phase = 'mail';
  if (pipelined) await channel.write(lines.join('\r\n') + '\r\n', lines.length, timeouts.commandMs);
  const ask = async (phase: Phase): Promise<Reply> => {
    progress.phase = phase;
    const line = lines.shift();
    if (!pipelined) await channel.write(line + '\r\n', 1, timeouts.commandMs);
    const reply = await channel.reply(timeouts.commandMs);
    if (reply.code === 421) throw new AnswerError(answered(reply), reply);
    return reply;
  };

  const mailReply = checked(await ask('mail'));
  if (!isDone(mailReply)) answerAll(tried, mailReply, 'mail');
  if (!isDone(mailReply) && !pipelined) return;
  for (const slot of tried) {
    const reply = checked(await ask('recipients'));
    if (!isDone(reply)) answerAll([slot], reply, 'recipients');
  }
  if (bodyCommand === 'BDAT') return;
  const takers = openSlots(tried);
  if (takers.length === 0 && !pipelined) return;
  const go = await ask('data');
  if (go.code === 354) {
    if (takers.length === 0) await abandonData(session);
  } else if (isRefusal(go)) answerAll(takers, go, 'data');
  else throw new AnswerError(answered(go) + ' to DATA');
}

/** An answer to MAIL or RCPT is a yes or a no; anything else means that we and the server are out of step. */
function checked(reply: Reply): Reply {
  if (isDone(reply) || isRefusal(reply)) return reply;
  throw new AnswerError(answered(reply) + ' to the envelope');
}

/** RFC 2920 section 3.1: DATA was accepted without a recipient; only the lone dot may follow, whatever it is answered. */
async function abandonData(session: Session): Promise<void> {
  const { channel, timeouts } = session;
  if (session.protocol === 'lmtp') {
    // RFC 2033 section 4.2 forbids the server to do so, and nothing says how many answers would come.
    channel.fail(new ChannelError('the server accepted DATA without recipients', 'protocol'));
    return;
  }
  await channel.write('.\r\n', 1, timeouts.commandMs);
  await channel.reply(timeouts.finalMs);
}
