// Failures of POP3 fetchers at sessions, state and crashes.
import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { join } from 'node:path';
import { waitFor } from '../../../lab/wait.ts';
import { createBench } from '../bench.ts';
import { count, delivered, failure, impatient, left, mails, setScene } from './scene.ts';

failure('37', 'half a mail is never handed over', async (t) => {
  for (const end of ['close', 'reset'] as const) {
    const { pop3, smtp, bench } = await setScene(t, {
      pop3: {
        mails: mails('a', 'b'),
        script: ({ verb, good, before }) =>
          verb === 'RETR' && before === 0 ? [good.subarray(0, good.length - 9), { end }] : undefined,
      },
    });
    const [status] = await bench.fetch();
    assert.equal(status?.up, false);
    assert.deepEqual([delivered(smtp), left(pop3).length], [[], 2], end);
    await bench.fetch();
    assert.deepEqual([delivered(smtp), left(pop3)], [['a', 'b'], []], end);
  }
});

failure('38', 'a deletion whose QUIT was lost is asked for again, without reading or delivering again', async (t) => {
  const { pop3, smtp, bench } = await setScene(t, {
    pop3: {
      mails: mails('a', 'b', 'c'),
      script: ({ verb, before }) => (verb === 'QUIT' && before === 0 ? { end: 'reset' } : undefined),
    },
  });
  const [status] = await bench.fetch();
  assert.deepEqual([status?.up, left(pop3).length], [false, 3]);
  await bench.fetch();
  assert.deepEqual([delivered(smtp), left(pop3)], [['a', 'b', 'c'], []]);
  assert.equal(count(pop3.commands, /^RETR/), 3);
});

failure('39', 'what was handed over is on disk while the session goes on', async (t) => {
  const { smtp, bench } = await setScene(t, {
    pop3: { mails: mails('a', 'b') },
    smtp: {
      script: ({ verb, before }) => (verb === 'body' && before === 1 ? [{ pauseMs: 700 }, '250 ok\r\n'] : undefined),
    },
    bench: { sessions: 1 },
  });
  const done = bench.fetch();
  await waitFor('the second mail', () => count(smtp.commands, /^DATA/) === 2);
  const db = new DatabaseSync(join(bench.folder, 'agent.db'), { readOnly: true });
  const row = db.prepare("SELECT count(*) AS n FROM received WHERE state = 'handed-over'").get();
  db.close();
  assert.deepEqual([smtp.mails.length, row?.['n']], [1, 1]);
  await done;
});

failure('40', 'a mail that was delivered and not deleted is deleted by a later life', async (t) => {
  const { lab, pop3, smtp, bench } = await setScene(t, {
    pop3: {
      mails: mails('a', 'b'),
      script: ({ verb, before }) => (verb === 'DELE' && before === 0 ? { end: 'reset' } : undefined),
    },
  });
  await bench.fetch();
  await bench.stop();
  assert.deepEqual([delivered(smtp), left(pop3).length], [['a', 'b'], 2]);
  const again = await createBench(t, lab, {
    accounts: [{ endpoint: { host: pop3.host, port: pop3.port, tls: 'none' } }],
    local: { host: smtp.host, port: smtp.port, tls: 'none' },
  });
  await again.fetch();
  assert.deepEqual([delivered(smtp), left(pop3)], [['a', 'b'], []]);
});

failure('41', 'a new start does not bring the mailbox again', async (t) => {
  const { lab, pop3, smtp, bench } = await setScene(t, {
    pop3: { mails: mails('a', 'b') },
    account: { keep: 'forever' },
  });
  await bench.fetch();
  await bench.stop();
  pop3.mails.push(...mails('c'));
  const again = await createBench(t, lab, {
    accounts: [{ endpoint: { host: pop3.host, port: pop3.port, tls: 'none' }, keep: 'forever' }],
    local: { host: smtp.host, port: smtp.port, tls: 'none' },
  });
  const [status] = await again.fetch();
  assert.deepEqual([status?.problem, delivered(smtp)], ['', ['a', 'b', 'c']]);
});

failure('42', 'the state is written so that a power cut cannot tear it', async (t) => {
  const { bench } = await setScene(t);
  // 2 is FULL: a commit has reached the disk when it returns.
  assert.equal(bench.db.prepare('PRAGMA synchronous').get()?.['synchronous'], 2);
  assert.equal(bench.db.prepare('PRAGMA journal_mode').get()?.['journal_mode'], 'wal');
});

failure('43', 'a server that falls silent at any step stops nothing for long', async (t) => {
  for (const verb of ['connect', 'CAPA', 'USER', 'PASS', 'STAT', 'UIDL', 'LIST', 'RETR', 'DELE', 'QUIT']) {
    const { smtp, bench } = await setScene(t, {
      pop3: {
        mails: mails('a'),
        script: (step) => (step.verb === verb && step.before === 0 ? { end: 'hang' } : undefined),
      },
      bench: impatient,
    });
    const [status] = await bench.fetch();
    assert.match(status?.problem ?? '', /nothing more came within/, verb);
    await bench.fetch();
    assert.deepEqual(delivered(smtp), ['a'], verb);
  }
});
