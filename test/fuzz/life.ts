// The whole receive room through many rounds against a server whose answers are mutated; judged by the transcript.
// The room is the real one, with a real ledger; the line, the local server and time are not. Time passes only when nothing
// else happens any more, so a round of many minutes takes no time, and a round that never ends is seen at once.
import { mkdirSync } from 'node:fs';
import { mock } from 'node:test';
import { neverCrash } from '#shared/checkpoint.ts';
import { createJournal, journalSchema } from '#shared/journal.ts';
import { createLog } from '#shared/log.ts';
import { createMeter } from '#shared/meter.ts';
import { openDatabase } from '#shared/sqlite.ts';
import type { Local, LocalRecipient } from '../../agent/local/local.ts';
import { ledgerSchema } from '../../agent/receive/ledger/ledger.ts';
import { createReceive } from '../../agent/receive/receive.ts';
import { seeded } from '../agent/receive/random.ts';
import { createJudge } from './judge.ts';
import { createMail } from './mail.ts';
import { below } from './mutations.ts';
import type { Random } from './mutations.ts';
import { openSession } from './server.ts';
import type { Mail, Session } from './server.ts';
import { createTime } from './virtual-time.ts';

export type LifeReport = {
  readonly seed: number;
  readonly rounds: number;
  /** How rounds ended. */
  readonly endStates: Readonly<Record<string, number>>;
  /** Mutations that took place. */
  readonly mutations: Readonly<Record<string, number>>;
  readonly handedOver: number;
  readonly deleted: number;
  /** What must not happen, each with the round. */
  readonly faults: readonly string[];
};

const maxMails = 8;

export async function runLife(options: {
  readonly seed: number;
  readonly rounds: number;
  readonly folder: string;
}): Promise<LifeReport> {
  const { seed, folder } = options;
  const random = seeded(seed);
  const time = createTime();
  const mailbox: Mail[] = [];
  const judge = createJudge();
  const endStates: Record<string, number> = {};
  const mutations: Record<string, number> = {};
  const faults: string[] = [];
  /** Those of this round, and the one before, which may have gone on: a room with more to do does not wait to be asked. */
  const sessions: Session[] = [];
  let deleted = 0;
  const account = (session: Session): void => {
    for (const { name } of session.applied) mutations[name] = (mutations[name] ?? 0) + 1;
    deleted += session.deleted.length;
  };
  const stop = new AbortController();
  mkdirSync(folder, { recursive: true });
  const db = openDatabase({ path: ':memory:', schema: [[journalSchema, ledgerSchema].join(';\n')] });
  const log = createLog({ level: 'silent', name: 'fuzz' });
  const endpoint = { host: 'pop3.test', port: 110, tls: 'none' } as const;
  const receive = createReceive({
    accounts: [
      {
        config: {
          ...endpoint,
          id: 'info',
          user: 'info',
          password: { env: 'UNUSED' },
          recipients: ['info@example.org'],
          keep: 'none',
          firstRun: 'all',
          intervalSeconds: 15,
        },
        endpoint,
        password: 'secret',
      },
    ],
    db,
    journal: createJournal(db),
    local: createLocalServer(random, judge.handedOver),
    sessions: 2,
    meter: createMeter({ clock: time.clock, sink: () => {} }),
    clock: time.clock,
    random,
    log,
    reached: neverCrash,
    traceId: 'fuzz',
    folder,
    connect: () => {
      const session = openSession(mailbox, random);
      sessions.push(session);
      return Promise.resolve(session.line.socket);
    },
  });

  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    const running = receive.run(stop.signal);
    let serial = 0;
    let rounds = 0;
    for (; rounds < options.rounds && faults.length === 0; rounds += 1) {
      if (mailbox.length > maxMails) mailbox.length = 0;
      for (let n = below(random, 4); n > 0; n -= 1) mailbox.push(createMail((serial += 1), random, mailbox));
      judge.begin(mailbox);
      for (const over of sessions.splice(0, sessions.length - 1)) account(over);
      const [status] = (await time.until(receive.fetchNow())) ?? [];
      const state = status === undefined ? 'hangs' : endState(status.problem);
      endStates[state] = (endStates[state] ?? 0) + 1;
      const found = status === undefined ? ['the round does not end'] : [];
      if (state.startsWith('other')) found.push(state);
      for (const session of sessions) judge.doubt(session, mailbox);
      for (const session of sessions) found.push(...judge.end(session, session === sessions.at(-1)));
      for (const text of found)
        faults.push('seed ' + seed + ', round ' + rounds + ': ' + text + describeSession(sessions.at(-1)));
    }
    sessions.forEach(account);
    stop.abort();
    if ((await time.until(running.then(() => true))) === undefined)
      faults.push('seed ' + seed + ': the room does not stop');
    return { seed, rounds, endStates, mutations, handedOver: judge.count(), deleted, faults };
  } finally {
    mock.timers.reset();
    db.close();
  }
}

export function describeSession(session: Session | undefined): string {
  if (session === undefined) return '';
  const { applied, commands, stream } = session;
  const names = applied.map(({ name }) => name).join(', ');
  return (
    '\n  mutations: ' +
    names +
    '\n  commands: ' +
    commands.join(' | ') +
    '\n  stream: ' +
    JSON.stringify(stream().slice(0, 3_000))
  );
}

/** Takes most mails; what it says about one is left to chance. */
function createLocalServer(random: Random, taken: (body: string) => void): Local {
  return {
    async deliver({ recipients, body, beforeEnd }) {
      const session = {};
      const parts: Uint8Array[] = [];
      for await (const part of body.open()) parts.push(Buffer.from(part));
      await beforeEnd?.(session);
      const chance = random();
      if (chance < 0.01) throw new Error('cannot hand over');
      const verdict = chance < 0.013 ? 'refused' : chance < 0.1 ? 'later' : 'delivered';
      if (verdict === 'delivered') taken(Buffer.concat(parts).toString('latin1'));
      const answers: readonly LocalRecipient[] = recipients.map((address) => ({ address, verdict, text: verdict }));
      return { session, recipients: answers, bareLineEnds: 0 };
    },
    problem: () => undefined,
    close: () => Promise.resolve(),
  };
}

const endings: readonly (readonly [RegExp, string])[] = [
  [/^$/, 'well'],
  [/greets with/, 'greeting is not POP3'],
  [/a line of more than/, 'line without end'],
  [/Cannot go on after/, 'out of step'],
  [/nothing more came within/, 'no answer in time'],
  [/closed the connection|ECONNRESET|session is closed/, 'line broke'],
  [/login refused/, 'login refused'],
  [/no usable UIDL/, 'mails without UIDL'],
  [/paused|confirm|adopt/i, 'paused'],
  [/mails that wait at the provider/, 'mails wait'],
  [/the server said/, 'command refused'],
];

function endState(problem: string): string {
  return endings.find(([pattern]) => pattern.test(problem))?.[1] ?? 'other: ' + problem;
}
