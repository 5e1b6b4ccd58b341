// What must hold whatever the server says, judged by the transcript and by what the local server took.
import { readTranscript, uidlsOf } from './reference.ts';
import type { Mail, Session } from './server.ts';

export type Judge = {
  /** A round begins with this mailbox. */
  readonly begin: (mailbox: readonly Mail[]) => void;
  /** The local server took this body. */
  readonly handedOver: (body: string) => void;
  /** To be called for all sessions of a round before any is judged. */
  readonly doubt: (session: Session, mailbox: readonly Mail[]) => void;
  /** The round is over: what must not have happened. `last`: no other session of this round is still to be judged. */
  readonly end: (session: Session, last?: boolean) => readonly string[];
  /** Mails taken so far. */
  readonly count: () => number;
};

export function createJudge(): Judge {
  const ids = new Map<string, number>();
  const taken = new Map<number, number>();
  /** UIDLs, as the server spelt them, under which a mail was handed over. */
  const knownUidls = new Set<string>();
  /** Mails that were there when the server lied: nobody can know what became of them. */
  const doubtful = new Set<number>();
  /** Bodies that the local server took, and all that complete answers to RETR held, in all sessions so far. */
  const bodies = new Set<string>();
  const complete = new Set<string>();
  let unchecked: string[] = [];
  let count = 0;

  /** Half mails and mails that were never sent. */
  function strangers(): readonly string[] {
    const found = unchecked.filter((body) => !complete.has(body));
    unchecked = [];
    return found.map(
      (body) => 'handed over what no complete answer to RETR holds: ' + JSON.stringify(body.slice(0, 300)),
    );
  }

  return {
    begin(mailbox) {
      for (const { id, bytes } of mailbox) ids.set(bytes.endsWith('\r\n') ? bytes : bytes + '\r\n', id);
    },
    handedOver(body) {
      bodies.add(body);
      unchecked.push(body);
      count += 1;
      const id = ids.get(body);
      if (id !== undefined) taken.set(id, (taken.get(id) ?? 0) + 1);
    },
    doubt({ applied, listed }, mailbox) {
      if (applied.every(({ visible }) => visible)) return;
      for (const { id } of [...mailbox, ...listed()]) doubtful.add(id);
    },
    end(session, last = true) {
      const { commands, deleted } = session;
      const faults: string[] = [];
      const answers = readTranscript(commands, session.stream());
      // A mail may be read more than once in a session: to fetch it, and to prove it before it is deleted.
      const read: (readonly [number: string, body: string])[] = [];
      for (const { command, data } of answers) {
        const number = /^RETR (\d+)$/.exec(command)?.[1];
        if (number === undefined || data === undefined) continue;
        read.push([number, data]);
        complete.add(data);
      }
      if (last) faults.push(...strangers());
      for (const [number, body] of read) {
        if (bodies.has(body)) for (const uidl of uidlsOf(answers, number)) knownUidls.add(uidl);
      }
      for (const [index, command] of commands.entries()) {
        const number = /^DELE (.*)$/.exec(command)?.[1];
        if (number === undefined) continue;
        const readNow = read.some(([read, body]) => read === number && bodies.has(body));
        const readBefore = uidlsOf(answers, number).some((uidl) => knownUidls.has(uidl));
        // It may have been handed over under another UIDL, that of a lie, and have been recognised by size and header.
        const id = session.listed()[Number(number) - 1]?.id;
        const takenBefore = id !== undefined && taken.has(id);
        if (!readNow && !readBefore && !takenBefore) faults.push(command + ' without a hand-over');
        // Deletions are sent when everything else was answered, and are answered by a window at a time.
        const first = commands.findIndex((one) => one.startsWith('DELE '));
        const bad = answers.slice(0, first).find(({ status }) => status === 'bad' || status === 'missing');
        if (index === first && (bad !== undefined || answers.length < first))
          faults.push(command + ' in a session out of step');
      }
      for (const { id, uid } of deleted) {
        if (!doubtful.has(id) && !taken.has(id))
          faults.push('mail ' + id + ' (' + uid + ') is lost: deleted, never handed over');
      }
      if (!last) return faults;
      for (const [id, times] of taken) {
        if (times > 1 && !doubtful.has(id)) faults.push('mail ' + id + ' was handed over ' + times + ' times');
      }
      return faults;
    },
    count: () => count,
  };
}
