// The POP3 client alone through many sessions: many times as fast as the whole room, so most mutations run here. Its user
// deletes what was read whole, at once.
import { mock } from 'node:test';
import { describe } from '#shared/failure.ts';
import { Pop3Error } from '../../agent/receive/pop3/pop3-error.ts';
import type { Pop3Trouble } from '../../agent/receive/pop3/pop3-error.ts';
import { openPop3 } from '../../agent/receive/pop3/pop3.ts';
import type { Pop3 } from '../../agent/receive/pop3/pop3.ts';
import { seeded } from '../agent/receive/random.ts';
import { createJudge } from './judge.ts';
import { describeSession } from './life.ts';
import type { LifeReport } from './life.ts';
import { createMail } from './mail.ts';
import { below } from './mutations.ts';
import { openSession } from './server.ts';
import type { Mail } from './server.ts';
import { createTime } from './virtual-time.ts';

const names: Readonly<Partial<Record<Pop3Trouble, string>>> = {
  'not-pop3': 'greeting is not POP3',
  refused: 'command refused',
  'out-of-step': 'out of step',
  lost: 'line broke',
  timeout: 'no answer in time',
};

export async function runClientLife(options: { readonly seed: number; readonly rounds: number }): Promise<LifeReport> {
  const { seed } = options;
  const random = seeded(seed);
  const time = createTime();
  const endStates: Record<string, number> = {};
  const mutations: Record<string, number> = {};
  const faults: string[] = [];
  let [rounds, handedOver, deleted] = [0, 0, 0];
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    for (; rounds < options.rounds && faults.length === 0; rounds += 1) {
      const mailbox: Mail[] = [];
      for (let n = below(random, 5); n > 0; n -= 1) mailbox.push(createMail(n, random, mailbox));
      const judge = createJudge();
      judge.begin(mailbox);
      const session = openSession(mailbox, random);
      const stop = new AbortController();
      const opening = openPop3({
        endpoint: { host: 'pop3.test', port: 110, tls: 'none' },
        user: 'info',
        password: 'secret',
        signal: stop.signal,
        clock: time.clock,
        connect: () => Promise.resolve(session.line.socket),
      });
      const state = (await time.until(useOnce(opening, judge.handedOver))) ?? 'hangs';
      endStates[state] = (endStates[state] ?? 0) + 1;
      for (const { name } of session.applied) mutations[name] = (mutations[name] ?? 0) + 1;
      handedOver += judge.count();
      deleted += session.deleted.length;
      judge.doubt(session, mailbox);
      const found = [...judge.end(session)];
      if (state === 'hangs' || state.startsWith('other')) found.push(state);
      for (const text of found)
        faults.push('seed ' + seed + ', session ' + rounds + ': ' + text + describeSession(session));
    }
    return { seed, rounds, endStates, mutations, handedOver, deleted, faults };
  } finally {
    mock.timers.reset();
  }
}

/** Lists, reads all, deletes what was read, quits; how it ended. */
async function useOnce(opening: Promise<Pop3>, handedOver: (body: string) => void): Promise<string> {
  let pop3: Pop3 | undefined;
  try {
    pop3 = await opening;
    await useSession(pop3, handedOver);
    return 'well';
  } catch (error) {
    return error instanceof Pop3Error ? (names[error.trouble] ?? error.trouble) : 'other: ' + describe(error);
  } finally {
    pop3?.close();
  }
}

async function useSession(pop3: Pop3, handedOver: (body: string) => void): Promise<void> {
  await pop3.stat();
  const [uidl] = await Promise.all([pop3.uidl(), passRefusal(pop3.list())]);
  const numbers = [...uidl.entries.keys()].slice(0, 20);
  const read = await Promise.all(
    numbers.map(async (number) => {
      const parts: Buffer[] = [];
      const done = await passRefusal(pop3.retr(number, (bytes) => void parts.push(bytes)).then(() => true));
      if (done === undefined) return [];
      handedOver(Buffer.concat(parts).toString('latin1'));
      return [number];
    }),
  );
  await Promise.all(read.flat().map((number) => passRefusal(pop3.dele(number))));
  await pop3.quit();
}

async function passRefusal<T>(work: Promise<T>): Promise<T | undefined> {
  return work.catch((error: unknown) => {
    if (error instanceof Pop3Error && error.trouble === 'refused') return undefined;
    throw error;
  });
}
