// 50 MB over a line of 1 Mbit/s, with the time limits that are in force, in time that passes only when nothing else happens.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mock, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { neverCrash } from '#shared/checkpoint.ts';
import { createJournal, journalSchema } from '#shared/journal.ts';
import { createLog } from '#shared/log.ts';
import { createMeter } from '#shared/meter.ts';
import { openDatabase } from '#shared/sqlite.ts';
import type { Local } from '../../../agent/local/local.ts';
import { ledgerSchema } from '../../../agent/receive/ledger/ledger.ts';
import { createReceive } from '../../../agent/receive/receive.ts';
import { createMemoryLine } from '../../fuzz/memory-line.ts';
import type { MemoryLine } from '../../fuzz/memory-line.ts';
import { createLab } from '../../lab/lab.ts';

const bytesPerSecond = 125_000;
const text = 'line of a slow mail '.padEnd(78, 'x') + '\r\n';
const large = 'Subject: large\r\n\r\n' + text.repeat(625_000);
const small = 'Subject: small\r\n\r\ntext\r\n';

/** Gives out what it says at the rate of the line. */
function openProvider(mails: readonly string[]): MemoryLine & { readonly gone: () => boolean } {
  let waiting = '';
  let sending = false;
  let quit = false;
  const marked = new Set<string>();
  const flow = (): void => {
    line.send(waiting.slice(0, bytesPerSecond));
    waiting = waiting.slice(bytesPerSecond);
    sending = waiting !== '';
    if (sending) setTimeout(flow, 1_000);
  };
  const say = (...lines: readonly string[]): void => {
    waiting += lines.join('\r\n') + '\r\n';
    if (!sending) {
      sending = true;
      setTimeout(flow, 1_000);
    }
  };
  const answer = (command: string): void => {
    const [verb = '', argument = ''] = command.split(' ');
    const mail = mails[Number(argument) - 1] ?? '';
    if (verb === 'CAPA') say('+OK', 'PIPELINING', 'UIDL', '.');
    else if (verb === 'STAT') say('+OK ' + mails.length + ' ' + mails.join('').length);
    else if (verb === 'UIDL') say('+OK', ...mails.map((_, index) => index + 1 + ' uid-' + index), '.');
    else if (verb === 'LIST') say('+OK', ...mails.map(({ length }, index) => index + 1 + ' ' + length), '.');
    else if (verb === 'RETR') say('+OK', mail + '.');
    else say('+OK');
    if (verb === 'DELE') marked.add(argument);
    quit ||= verb === 'QUIT';
  };
  const line = createMemoryLine((lines) => {
    for (const command of lines.split('\r\n').slice(0, -1)) answer(command);
  });
  say('+OK ready');
  return { ...line, gone: () => quit && marked.size === mails.length };
}

test(
  '50 MB over a line of 1 Mbit/s arrive whole, within the time limits that are in force',
  { timeout: 120_000 },
  async (t) => {
    const lab = createLab(t);
    const mails = [large, small];
    const db = openDatabase({ path: ':memory:', schema: [[journalSchema, ledgerSchema].join(';\n')] });
    t.after(() => db.close());
    let nowMs = 1_790_000_000_000;
    const clock = {
      now: () => nowMs,
      monotonic: () => nowMs,
      sleep: (ms: number, signal?: AbortSignal) =>
        new Promise<void>((resolve) => {
          if (ms <= 0 || signal?.aborted === true) resolve();
          else signal?.addEventListener('abort', () => resolve(), { once: true });
        }),
    };
    const taken: string[] = [];
    const local: Local = {
      async deliver({ recipients, body, beforeEnd }) {
        const hash = createHash('sha256');
        for await (const part of body.open()) hash.update(part);
        const session = {};
        await beforeEnd?.(session);
        taken.push(hash.digest('hex'));
        const answers = recipients.map((address) => ({ address, verdict: 'delivered' as const, text: '250 ok' }));
        return { session, recipients: answers, bareLineEnds: 0 };
      },
      problem: () => undefined,
      close: () => Promise.resolve(),
    };
    const endpoint = { host: 'pop3.test', port: 110, tls: 'none' } as const;
    const config = {
      ...endpoint,
      id: 'info',
      user: 'info',
      password: { env: 'UNUSED' },
      recipients: ['info@example.org'],
    };
    const providers: ReturnType<typeof openProvider>[] = [];
    const receive = createReceive({
      accounts: [
        { config: { ...config, keep: 'none', firstRun: 'all', intervalSeconds: 60 }, endpoint, password: 'secret' },
      ],
      db,
      journal: createJournal(db),
      local,
      sessions: 2,
      meter: createMeter({ clock, sink: () => {} }),
      clock,
      random: () => 0.5,
      log: createLog({ level: 'silent', name: 'test' }),
      reached: neverCrash,
      traceId: 'slow',
      folder: lab.dir,
      connect: () => {
        const provider = openProvider(mails);
        providers.push(provider);
        return Promise.resolve(provider.socket);
      },
    });
    mock.timers.enable({ apis: ['setTimeout'] });
    t.after(() => mock.timers.reset());
    const stop = new AbortController();
    const running = receive.run(stop.signal);
    const startedAt = nowMs;
    const done: { problem?: string } = {};
    void receive.fetchNow().then(([status]) => void (done.problem = status?.problem ?? 'no status'));
    while (done.problem === undefined && nowMs - startedAt < 3_600_000) {
      // What was read is written to a file in real time.
      for (let quiet = 0; quiet < 4; quiet += 1) {
        await turn();
        if (process.getActiveResourcesInfo().some((name) => /FSReq|CloseReq/.test(name))) quiet = 0;
      }
      nowMs += 1_000;
      mock.timers.tick(1_000);
    }
    stop.abort();
    mock.timers.tick(10_000);
    await running;
    const seconds = (nowMs - startedAt) / 1_000;
    t.diagnostic(large.length + ' bytes in ' + seconds + ' s of the time of the line');
    assert.equal(done.problem, '');
    assert.ok(seconds >= large.length / bytesPerSecond, 'the line was not slow');
    const sha256 = (mail: string): string => createHash('sha256').update(mail, 'latin1').digest('hex');
    assert.deepEqual(taken, [sha256(large), sha256(small)]);
    assert.deepEqual([providers.length, providers[0]?.gone()], [1, true]);
  },
);
