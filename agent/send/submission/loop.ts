// Rule of safety 5 on the way out: mail that goes round in circles is stopped at the door. A mail that came in through this agent
// (`in` in the trace header) may go out once, as a forwarding does; but back to a local address it must not go: then the local
// server relays what it should deliver. That answer is a 4xx: the local server keeps the mail, and it is delivered when the
// server is mended; a 5xx would send a bounce to a stranger for each mail that comes in.
import { refuse } from './access.ts';
import type { Refusal } from './access.ts';
import { valueOf } from './header.ts';
import type { Field } from './header.ts';
import { ownAddress, traceHeader } from '../notice/note.ts';
import type { OperatorNote } from '../notice/operator.ts';

export type LoopRules = {
  readonly traceId: string;
  readonly hostname: string;
  readonly isLocal: (address: string) => boolean;
};
export type Loop = {
  /** back: the local server gives back what was handed to it; round: it went out here before; answer: to a notice of ours. */
  readonly kind: 'back' | 'round' | 'answer';
  readonly refusal: Refusal;
  /** A recipient that shows it. */
  readonly address: string;
};

/** Pure. Undefined when the mail goes no circle. */
export function findLoop(rules: LoopRules, fields: readonly Field[], recipients: readonly string[]): Loop | undefined {
  const own = recipients.find((address) => address.toLowerCase() === ownAddress(rules.hostname).toLowerCase());
  if (own !== undefined) return { kind: 'answer', refusal: nobodyReads, address: own };
  if (tracesIn(fields).includes('out ' + rules.traceId))
    return { kind: 'round', refusal: wentOutBefore, address: recipients[0] ?? '' };
  const local = cameIn(rules, fields) ? recipients.find(rules.isLocal) : undefined;
  return local === undefined ? undefined : { kind: 'back', refusal: comesBack, address: local };
}

const tracesIn = (fields: readonly Field[]): readonly string[] =>
  fields.filter((field) => field.name === traceHeader.toLowerCase()).map(valueOf);

/** A person who resends a mail (RFC 5322 section 3.6.6) does so on purpose. */
function cameIn({ traceId }: Pick<LoopRules, 'traceId'>, fields: readonly Field[]): boolean {
  return tracesIn(fields).includes('in ' + traceId) && !fields.some((field) => field.name === 'resent-from');
}

const aboutSender: readonly string[] = ['sender', 'null-sender', 'header-from'];
const nobodyReads = refuse(
  550,
  '5.1.1 Nobody reads at this address; reports of the agent are not to be answered',
  'loop',
);
const wentOutBefore = refuse(554, '5.4.6 Mail loop: this mail has gone out through this agent before', 'loop');
const comesBack = refuse(
  451,
  '4.4.6 Mail loop: this mail came in through this agent, for this very address; the mail server must deliver it itself',
  'loop',
);

const strangersMail = refuse(
  451,
  '4.4.6 This sender is a stranger whose mail came in through this agent; a forwarding must be allowed, and mail for local addresses be delivered',
  'loop',
);

export type LoopGuard = {
  readonly check: (fields: readonly Field[], recipients: readonly string[]) => Refusal | undefined;
  /** At MAIL, about a sender that this client may not use: mail of it came in here, and the header will tell whether it is that. */
  readonly decidesLater: (sender: string) => boolean;
  /**
   * Mail of a sender that this client may not use. If it came in through this agent the local server sends it on: refused for good
   * it would be lost, for the bounce to a stranger is not taken here either.
   */
  readonly checkRefused: (fields: readonly Field[], refusal: Refusal) => Refusal;
  /** Mails refused within the last hour because they went in circles. */
  readonly recent: () => number;
};

const hourMs = 3_600_000;
/** More need not be told apart. */
const maxCounted = 10_000;

export function createLoopGuard(
  options: LoopRules & {
    /** Mail of this sender was handed to the local server lately. */
    readonly handedOver: (sender: string) => boolean;
    readonly clock: { readonly monotonic: () => number };
    readonly tell: (note: OperatorNote) => void;
    /** Something is to be reported. */
    readonly onLoop: () => void;
  },
): LoopGuard {
  let times: number[] = [];
  const recent = (): number => {
    times = times.filter((at) => at > options.clock.monotonic() - hourMs);
    return times.length;
  };
  function stop(refusal: Refusal, note: OperatorNote): Refusal {
    if (recent() < maxCounted) times.push(options.clock.monotonic());
    options.onLoop();
    options.tell(note);
    return refusal;
  }
  return {
    recent,
    check(fields, recipients) {
      const loop = findLoop(options, fields, recipients);
      if (loop === undefined) return undefined;
      // An answer to a notice is somebody's silly program, and it ends here; it needs no operator.
      if (loop.kind === 'answer') return loop.refusal;
      return stop(loop.refusal, noteOf(loop));
    },
    decidesLater: options.handedOver,
    checkRefused: (fields, refusal) =>
      aboutSender.includes(refusal.reason) && cameIn(options, fields) ? stop(strangersMail, strangersNote) : refusal,
  };
}

function noteOf({ address, kind }: Loop): OperatorNote {
  const domain = address.slice(address.lastIndexOf('@') + 1);
  if (kind === 'round')
    return {
      topic: 'loop round',
      subject: 'A mail that went out has come back to be sent again',
      text: [
        'A mail server handed a mail to the agent that had gone out through it before. It was refused: sending it again',
        'would send it round for ever.',
        '',
        'What helps: look for a forwarding that leads back to this site, at the local mail server or at the provider.',
      ].join('\n'),
    };
  return {
    topic: 'loop back ' + domain,
    subject: 'Mail that came in for ' + domain + ' is sent back instead of being delivered',
    text: [
      'The agent handed mail for ' +
        domain +
        ' to the local mail server, and that server gave it back to the agent to send it',
      'to the Internet. It is not sent: it would come in again. The local mail server keeps it and tries again; none is lost.',
      '',
      'What helps: the local mail server must know ' +
        domain +
        ' as a domain of its own, and the mailbox must exist there.',
      'At a Postfix that is mydestination or virtual_mailbox_domains; at a Synology, the domain in Mail Server.',
      'The relay host must only be used for other domains.',
    ].join('\n'),
  };
}

const strangersNote: OperatorNote = {
  topic: 'loop stranger',
  subject: 'The local mail server sends out mail of strangers that came in here',
  text: [
    'The agent handed mail to the local mail server, and that server gave mail of the same sender to the agent to send it to the',
    'Internet. It is not sent. The local mail server keeps it and tries again; it gives the mail up after some days.',
    '',
    'If it is a forwarding: say so with `mailServer` and its policy for foreign senders at the account of that server.',
    'If not: the local mail server does not know the domain of the recipient as its own, and sends back what it should',
    'deliver. At a Postfix that is mydestination or virtual_mailbox_domains; at a Synology, the domain in Mail Server.',
  ].join('\n'),
};
