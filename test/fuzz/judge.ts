// What must hold whatever the server says, judged by the transcript and by what the local server took.
import { readTranscript, uidlsOf } from './reference.ts';
import type { Mail, Session } from './server.ts';

export type Judge = {
  /** A round begins with this mailbox. */
  readonly begin: (mailbox: readonly Mail[]) => void;
  /** The local server took this body. */
  readonly handedOver: (body: string) => void;
  /** The round is over: what must not have happened. */
  readonly end: (session: Session, mailbox: readonly Mail[]) => readonly string[];
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
  let bodies: string[] = [];
  let count = 0;

  /** Half mails and mails that were never sent. */
  function strangers(complete: readonly string[]): readonly string[] {
    const open = [...complete];
    return bodies.flatMap((body) => {
      const at = open.indexOf(body);
      if (at < 0) return ['handed over what no complete answer to RETR holds: ' + JSON.stringify(body.slice(0, 300))];
      open.splice(at, 1);
      return [];
    });
  }

  return {
    begin(mailbox) {
      bodies = [];
      for (const { id, bytes } of mailbox) ids.set(bytes.endsWith('\r\n') ? bytes : bytes + '\r\n', id);
    },
    handedOver(body) {
      bodies.push(body);
      count += 1;
      const id = ids.get(body);
      if (id !== undefined) taken.set(id, (taken.get(id) ?? 0) + 1);
    },
    end(session, mailbox) {
      const { commands, applied, deleted } = session;
      const faults: string[] = [];
      if (applied.some(({ visible }) => !visible))
        for (const { id } of [...mailbox, ...session.listed()]) doubtful.add(id);
      const answers = readTranscript(commands, session.stream());
      const read = new Map<string, string>();
      for (const { command, data } of answers) {
        const number = /^RETR (\d+)$/.exec(command)?.[1];
        if (number !== undefined && data !== undefined) read.set(number, data);
      }
      faults.push(...strangers([...read.values()]));
      for (const [number, body] of read) {
        if (bodies.includes(body)) for (const uidl of uidlsOf(answers, number)) knownUidls.add(uidl);
      }
      for (const [index, command] of commands.entries()) {
        const number = /^DELE (.*)$/.exec(command)?.[1];
        if (number === undefined) continue;
        const body = read.get(number);
        const readNow = body !== undefined && bodies.includes(body);
        const readBefore = uidlsOf(answers, number).some((uidl) => knownUidls.has(uidl));
        if (!readNow && !readBefore) faults.push(command + ' without a hand-over');
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
      for (const [id, times] of taken) {
        if (times > 1 && !doubtful.has(id)) faults.push('mail ' + id + ' was handed over ' + times + ' times');
      }
      return faults;
    },
    count: () => count,
  };
}
