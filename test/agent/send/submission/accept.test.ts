// A mail is in the queue whole, or not at all; whatever the disk does, the client is told to come again.
import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { systemClock } from '#shared/clock.ts';
import { createLog } from '#shared/log.ts';
import { transaction } from '#shared/sqlite.ts';
import { createAccept } from '../../../../agent/send/submission/accept.ts';
import { createAccounts } from '../../../../agent/send/submission/accounts.ts';
import type { Submission } from '../../../../agent/send/submission/accept.ts';
import type { Envelope } from '../../../../agent/send/queue/envelope.ts';
import { createGroupCommit } from '../../../../agent/send/queue/group-commit.ts';
import { createListener } from '../../../../agent/send/submission/listener.ts';
import { createSpool } from '../../../../agent/send/queue/spool.ts';
import type { Files } from '../../../../agent/send/queue/spool.ts';
import { baseSubmission, loggedIn, letter, noQuota, openState, password, user } from '../rig.ts';

type Failing = 'open' | 'write' | 'sync' | 'close' | 'rename' | 'folder' | 'index';
const submission: Submission = {
  rights: { user, senders: ['@office.test'], limits: {} },
  from: 'a@office.test',
  recipients: ['b@world.test'],
  clientName: 'desk',
  transmission: 'ESMTPSA',
};

/** The real file system, but one call of it fails once the spool is open. */
function failingFiles(failing: Failing | undefined, code: string, armed: () => boolean): Files {
  const fail = (what: Failing): void => {
    if (armed() && failing === what) throw Object.assign(new Error(code + ': planted at ' + what), { code });
  };
  return {
    ...fs,
    async open(path, flags, mode) {
      if (flags === 'wx') fail('open');
      const handle = await fs.open(path, flags, mode);
      const folder = flags === 'r';
      return new Proxy(handle, {
        get(target, name) {
          const value: unknown = Reflect.get(target, name, target);
          if (typeof value !== 'function') return value;
          return async (...values: unknown[]): Promise<unknown> => {
            if (name === 'appendFile') fail('write');
            if (name === 'sync') fail(folder ? 'folder' : 'sync');
            const result: unknown = await Reflect.apply(value, target, values);
            if (name === 'close') fail('close');
            return result;
          };
        },
      });
    },
    async rename(from, to) {
      fail('rename');
      await fs.rename(from, to);
    },
  };
}

async function start(
  t: TestContext,
  failing?: Failing,
  code = 'EIO',
  maxSizeBytes = 100_000,
  freeBytes?: () => Promise<number>,
) {
  const state = await openState(t);
  let armed = false;
  const spool = createSpool({
    folder: join(state.folder, 'spool'),
    reached: () => {},
    files: failingFiles(failing, code, () => armed),
  });
  await spool.open();
  t.after(async () => {
    armed = false;
    await spool.close();
  });
  armed = true;
  const added: Envelope[] = [];
  const group = createGroupCommit({
    syncFolder: spool.syncFolder,
    commit: (work) =>
      transaction(state.db, () => {
        work();
        if (failing === 'index') throw new Error('database or disk is full');
      }),
    onLazyFailure: () => {},
  });
  const log = createLog({ name: 'test', level: 'silent' });
  const accept = createAccept({
    spool: freeBytes === undefined ? spool : { ...spool, freeBytes },
    group,
    quota: noQuota,
    log,
    maxSizeBytes,
    clock: systemClock,
    reached: () => {},
    traceId: 'own',
    hostname: 'nas',
    queue: { add: (envelope) => void added.push(envelope) },
    onAccepted: () => {},
  });
  const left = async () => ({
    queue: await fs.readdir(join(state.folder, 'spool', 'queue')),
    temp: await fs.readdir(join(state.folder, 'spool', 'temp')),
  });
  return { accept, added, left, spool, log };
}

async function* chunks(...parts: (string | Buffer)[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield Buffer.from(part);
}

test('an accepted mail is one file: its envelope, then the mail as it goes out, its body untouched', async (t) => {
  const { accept, added, left, spool } = await start(t);
  const body = Buffer.concat([
    Buffer.from('a\0\u00ff\r\n.\r\n..\n\rbare'),
    Buffer.from((String.fromCharCode(0xff).repeat(700) + '\r\n').repeat(100), 'latin1'),
  ]);
  const answer = await accept(submission, chunks('Subject: a\r\nBcc: x@y.test\r\n\r\n', body));
  assert.ok(answer.ok);
  const { queue, temp } = await left();
  assert.deepEqual([queue, temp], [[answer.id], []]);
  const found = await spool.read(answer.id);
  assert.deepEqual(found?.envelope, added[0]);
  assert.deepEqual(
    { ...found?.envelope, id: '', acceptedAt: 0 },
    { v: 1, id: '', from: 'a@office.test', recipients: ['b@world.test'], user, acceptedAt: 0 },
  );
  const mail = await spool.head(found?.place ?? { id: '', offsetBytes: 0, sizeBytes: 0 }, 1_000_000);
  assert.equal(mail.length, found?.place.sizeBytes);
  const start_ = mail.indexOf('\r\n\r\n') + 4;
  assert.ok(mail.subarray(start_).equals(body));
  assert.match(
    mail.toString('latin1', 0, start_),
    /^Received: from desk\r\n\tby nas with ESMTPSA id [a-z0-9-]+;\r\n\t[^\r]*\r\nX-Mailferry-Trace: out own\r\nDate: [^\r]*\r\nMessage-ID: <[^\r]*@nas>\r\nSubject: a\r\n\r\n$/,
  );
});

for (const failing of ['open', 'write', 'sync', 'close', 'rename', 'folder', 'index'] as const) {
  for (const code of ['ENOSPC', 'EIO', 'EROFS']) {
    test('accept() answers 452 and keeps nothing when ' + failing + ' fails with ' + code, async (t) => {
      const { accept, left } = await start(t, failing, code);
      const answer = await accept(submission, chunks(letter(), 'more\r\n'.repeat(20_000 / 6)));
      const text = '4.3.1 The mail could not be stored; try again later';
      assert.deepEqual(answer, { ok: false, code: 452, text, reason: 'disk' });
      assert.deepEqual(await left(), { queue: [], temp: [] });
    });
  }
}

test('the client sees the 452, and the same session goes on', async (t) => {
  const { accept, log, left } = await start(t, 'rename', 'ENOSPC');
  const listener = createListener({
    submission: baseSubmission,
    accounts: createAccounts({
      submission: baseSubmission,
      passwords: new Map([[user, password]]),
      clock: systemClock,
      log,
    }),
    quota: noQuota,
    accept,
    freeBytes: async () => 1e12,
    clock: systemClock,
    log,
  });
  await listener.start();
  t.after(() => listener.stop(10));
  const client = await loggedIn(t, listener.status().port);
  for (let round = 0; round < 2; round += 1) {
    assert.match((await client.say('MAIL FROM:<sales@office.test>')) ?? '', /^250/);
    assert.match((await client.say('RCPT TO:<someone@world.test>')) ?? '', /^250/);
    assert.match((await client.say('DATA')) ?? '', /^354/);
    assert.match((await client.say(letter() + '.')) ?? '', /^452 4\.3\.1 /);
  }
  assert.deepEqual(await left(), { queue: [], temp: [] });
});

test('accept() keeps nothing when the mail breaks off', async (t) => {
  const { accept, left } = await start(t);
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(letter());
    throw new Error('the client left');
  }
  const answer = await accept(submission, broken());
  assert.equal(answer.ok, false);
  assert.deepEqual(await left(), { queue: [], temp: [] });
});

test('accept() stops writing when a mail is too big, reads it to its end, and keeps nothing', async (t) => {
  const { accept, left } = await start(t, undefined, '', 10_000);
  let given = 0;
  async function* big(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('Subject: a\r\n\r\n');
    for (; given < 100; given += 1) {
      yield Buffer.alloc(1_000, 0x61);
      if (given === 20) assert.deepEqual(await left(), { queue: [], temp: [] }, 'removed before the client is done');
    }
  }
  assert.deepEqual(await accept(submission, big()), {
    ok: false,
    code: 552,
    text: '5.3.4 The mail is larger than 10000 bytes',
    reason: 'size',
  });
  assert.equal(given, 100);
  const exact = 'Subject: a\r\n\r\n' + 'b'.repeat(10_000 - 14);
  assert.equal((await accept(submission, chunks(exact))).ok, true);
  assert.equal((await accept(submission, chunks(exact, 'c'))).ok, false);
});

test('accept() refuses a loop, too many hops and a header without end, and keeps nothing', async (t) => {
  const { accept, left } = await start(t, undefined, '', 10_000_000);
  const answers = [
    await accept(submission, chunks('X-Mailferry-Trace: out own\r\n', '\r\nbody')),
    await accept(submission, chunks('Received: x\r\n'.repeat(51), '\r\n')),
    await accept(submission, chunks(...Array.from({ length: 20 }, () => 'X: ' + 'y'.repeat(64_000) + '\r\n'))),
  ];
  assert.deepEqual(
    answers.map((answer) => (answer.ok ? '' : answer.code + ' ' + answer.text.slice(0, 5))),
    ['554 5.4.6', '554 5.4.6', '552 5.3.4'],
  );
  assert.deepEqual(await left(), { queue: [], temp: [] });
});

test('a mail that said nothing of its size stops before it has filled the disk, and leaves nothing', async (t) => {
  let read = 0;
  const { accept, added, left } = await start(t, undefined, 'EIO', 50_000_000, async () =>
    read < 10_000_000 ? 20_000_000 : 5_000_000,
  );
  async function* endless(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('From: sales@office.test\r\n\r\n');
    for (; read < 40_000_000; read += 1_000_000) yield Buffer.alloc(1_000_000, 'x\r\n');
  }
  const answer = await accept(submission, endless());
  assert.deepEqual([answer.ok, 'code' in answer && answer.code], [false, 452]);
  assert.deepEqual(await left(), { queue: [], temp: [] });
  assert.equal(added.length, 0);
  assert.equal(read, 40_000_000, 'read to its end, or the client would never see the answer');
});

test('a client cannot write its own header lines with its name', async (t) => {
  const { accept, spool, added } = await start(t);
  await accept({ ...submission, clientName: 'x\r\nBcc: a@b (c) <d>; ä' }, chunks(letter()));
  const found = await spool.read(added[0]?.id ?? '');
  const mail = await spool.head(found?.place ?? { id: '', offsetBytes: 0, sizeBytes: 0 }, 1_000);
  assert.match(mail.toString(), /^Received: from x__Bcc:_a_b__c___d____\r\n\tby nas/);
});

test('those who come while a group is under way go with the next one, and fail or succeed with it', async () => {
  const steps: string[] = [];
  let broken = false;
  const group = createGroupCommit({
    syncFolder: async () => {
      steps.push('sync');
      await new Promise((resolve) => setImmediate(resolve));
      if (broken) throw new Error('planted');
    },
    commit: (work) => {
      work();
      steps.push('commit');
    },
    onLazyFailure: () => void steps.push('lazy failed'),
  });
  const join = (name: string) => group.join(() => void steps.push(name));
  await Promise.all([join('a'), join('b'), new Promise((resolve) => setImmediate(resolve)).then(() => join('late'))]);
  assert.deepEqual(steps.splice(0), ['sync', 'a', 'b', 'commit', 'sync', 'late', 'commit']);
  broken = true;
  group.joinLater(() => void steps.push('lazy'));
  assert.deepEqual(
    (await Promise.allSettled([join('c'), join('d')])).map((result) => result.status),
    ['rejected', 'rejected'],
  );
  assert.deepEqual(steps.splice(0), ['sync', 'lazy failed']);
  broken = false;
  group.joinLater(() => void steps.push('lazy'));
  await group.flush();
  assert.deepEqual(steps.splice(0), ['sync', 'lazy', 'commit']);
  await group.flush();
  assert.deepEqual(steps, []);
});
