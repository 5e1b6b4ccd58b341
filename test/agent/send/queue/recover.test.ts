// The table of README.md: each combination of file and row that a crash, a power cut or a restored backup can leave.
import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { Local } from '../../../../agent/local/local.ts';
import { createLab } from '../../../lab/lab.ts';
import { waitFor } from '../../../lab/wait.ts';
import { letter, openStateDb, startRig } from '../rig.ts';
import type { Rig, State } from '../rig.ts';

const login = { user: 'relay-user', password: 'relay-password' };
const down = { host: '127.0.0.1', port: 1 };

/** A stopped room with one queued mail, as the relay was down. */
async function leave(t: TestContext, mails = 1): Promise<Rig> {
  const rig = await startRig(t, { relay: down });
  for (let n = 0; n < mails; n += 1) await rig.submit();
  await rig.send.stop();
  return rig;
}
const queueFolder = (state: State): string => join(state.folder, 'spool', 'queue');
const run = (state: State, sql: string): void => state.db.exec(sql);
const restart = (t: TestContext, rig: Rig) => startRig(t, { relay: down, state: rig.state });

test('file and open row: queued', async (t) => {
  const rig = await leave(t);
  const again = await restart(t, rig);
  assert.deepEqual(
    again.send.queue.list().map((mail) => mail.state),
    ['queued'],
  );
  const relay = await createLab(t).scriptedSmtp({ login });
  await again.send.stop();
  const last = await startRig(t, { relay, state: rig.state });
  await waitFor('the mail', () => relay.mails.length === 1);
  await waitFor('an empty queue', async () => (await last.files()).length === 0);
});

test('half a file in temp/: removed', async (t) => {
  const rig = await leave(t, 0);
  const temp = join(rig.state.folder, 'spool', 'temp');
  await fs.writeFile(join(temp, 'abcdefgh-half'), 'half');
  const again = await restart(t, rig);
  assert.deepEqual(await fs.readdir(temp), []);
  assert.equal(again.send.queue.summary().depth, 0);
});

test('file without a row, index intact: queued, and counted as accepted', async (t) => {
  const rig = await leave(t, 2);
  run(rig.state, 'DELETE FROM mail WHERE id = (SELECT MIN(id) FROM mail); DELETE FROM journal');
  const again = await restart(t, rig);
  const entries = again.send.queue.list();
  assert.deepEqual(
    entries.map((mail) => [mail.state, mail.from, mail.recipients[0]?.address]),
    [
      ['queued', 'sales@office.test', 'someone@world.test'],
      ['queued', 'sales@office.test', 'someone@world.test'],
    ],
  );
  assert.deepEqual(
    again.journal().map((point) => [point.name, point.tags['user']]),
    [['mail_accepted', 'sales']],
  );
});

test('files, but a new index: held until a person decides, and still held after the next start', async (t) => {
  const rig = await leave(t, 2);
  rig.state.db.close();
  for (const name of await fs.readdir(rig.state.folder))
    if (name.startsWith('agent.db')) await fs.rm(join(rig.state.folder, name));
  for (let start = 0; start < 2; start += 1) {
    const state = { ...rig.state, db: openStateDb(rig.state.folder), sends: [] };
    const relay = await createLab(t).scriptedSmtp({ login });
    const again = await startRig(t, { relay, state });
    assert.deepEqual(
      again.send.queue.list().map((mail) => mail.state),
      ['held', 'held'],
    );
    assert.match(again.send.queue.list()[0]?.problem ?? '', /^The index is new or another one/);
    await again.submit();
    await waitFor('a new mail is sent as ever', () => relay.mails.length === 1);
    await waitFor('two files', async () => (await again.files()).length === 2);
    assert.deepEqual(again.send.queue.summary(), { depth: 2, oldestSeconds: 0, held: 2, unknown: 0 });
    await again.send.stop();
    state.db.close();
  }
});

test('files and an index of another life: held', async (t) => {
  const rig = await leave(t, 1);
  run(rig.state, "DELETE FROM mail; UPDATE spool SET value = 'another' WHERE key = 'life'");
  const again = await restart(t, rig);
  assert.deepEqual(
    again.send.queue.list().map((mail) => mail.state),
    ['held'],
  );
});

test('a new index and no files: nothing is held', async (t) => {
  const rig = await leave(t, 0);
  run(rig.state, 'DELETE FROM spool');
  const again = await restart(t, rig);
  await again.submit();
  assert.deepEqual(
    again.send.queue.list().map((mail) => mail.state),
    ['queued'],
  );
});

test('open row without a file: held and told as lost', async (t) => {
  const rig = await leave(t, 1);
  for (const name of await fs.readdir(queueFolder(rig.state))) await fs.rm(join(queueFolder(rig.state), name));
  const again = await restart(t, rig);
  assert.deepEqual(
    again.send.queue.list().map((mail) => [mail.state, mail.problem]),
    [['held', 'Its spool file is missing']],
  );
});

test('done row with its file: the file is removed and nothing is sent again', async (t) => {
  const rig = await leave(t, 1);
  run(rig.state, "UPDATE recipient SET state = 'sent'; UPDATE mail SET done = 1");
  const again = await restart(t, rig);
  await waitFor('no file', async () => (await again.files()).length === 0);
  await waitFor('no row', () => rig.state.db.prepare('SELECT COUNT(*) AS n FROM mail').get()?.['n'] === 0);
});

test('done row without a file: forgotten', async (t) => {
  const rig = await leave(t, 1);
  run(rig.state, "UPDATE recipient SET state = 'sent'; UPDATE mail SET done = 1");
  for (const name of await fs.readdir(queueFolder(rig.state))) await fs.rm(join(queueFolder(rig.state), name));
  await restart(t, rig);
  await waitFor('no row', () => rig.state.db.prepare('SELECT COUNT(*) AS n FROM mail').get()?.['n'] === 0);
});

test('a try that stood at the dot: unknown; a second time: held', async (t) => {
  const rig = await leave(t, 1);
  for (const expected of ['unknown', 'held']) {
    run(rig.state, "UPDATE recipient SET state = 'sending'");
    const again = await restart(t, rig);
    assert.deepEqual(
      again.send.queue.list().map((mail) => mail.state),
      [expected],
    );
    await again.send.stop();
  }
});

test('a file that is no mail of ours is left alone and stops nothing', async (t) => {
  const rig = await leave(t, 1);
  await fs.writeFile(join(queueFolder(rig.state), 'notes.txt'), 'not ours');
  const again = await restart(t, rig);
  assert.equal(again.send.queue.summary().depth, 1);
  assert.equal((await again.files()).length, 2);
});

test('an open row whose file vanishes while running is held when its try comes', async (t) => {
  const lab = createLab(t);
  const relay = await lab.scriptedSmtp({ login });
  const proxy = await lab.proxy({ to: relay });
  await proxy.refuse(true);
  const rig = await startRig(t, { relay: proxy, submission: { maxSizeBytes: 4_000_000 } });
  // A small one would go all the same, from memory.
  await rig.submit({ raw: letter('A line of a long mail.\r\n'.repeat(60_000)) });
  for (const name of await rig.files()) await fs.rm(join(queueFolder(rig.state), name));
  await proxy.refuse(false);
  await waitFor('held', () => rig.send.queue.list()[0]?.problem === 'Its spool file is missing');
  assert.equal(relay.mails.length, 0);
});

test('folders that the NAS puts everywhere (@eaDir) stop nothing, and no file that cannot be read does', async (t) => {
  const rig = await leave(t, 1);
  for (const place of ['temp', 'queue']) {
    const folder = join(rig.state.folder, 'spool', place, '@eaDir');
    await fs.mkdir(folder);
    await fs.writeFile(join(folder, 'SYNO@.fileindexdb'), 'index');
  }
  await fs.symlink('/nowhere/at/all', join(queueFolder(rig.state), 'abcdefgh-1'));
  const again = await restart(t, rig);
  assert.equal(again.send.queue.summary().depth, 1);
  await again.submit();
  assert.equal(again.send.queue.summary().depth, 2);
});

/** A local server that takes every notice. */
function noticesOf(): { readonly local: Local; readonly notices: string[] } {
  const notices: string[] = [];
  const local: Local = {
    async deliver({ body, recipients }) {
      const parts: Uint8Array[] = [];
      for await (const part of body.open()) parts.push(part);
      notices.push(Buffer.concat(parts).toString());
      return {
        recipients: recipients.map((address) => ({ address, verdict: 'delivered', text: '250' })),
        session: undefined,
        bareLineEnds: 0,
      };
    },
    problem: () => undefined,
    close: async () => {},
  };
  return { local, notices };
}

test('two kills at the dot: held with its reason, and its sender is told that nobody knows', async (t) => {
  const { local, notices } = noticesOf();
  const rig = await leave(t, 1);
  let last = rig;
  for (let kill = 0; kill < 2; kill += 1) {
    run(rig.state, "UPDATE recipient SET state = 'sending'");
    last = await startRig(t, { relay: down, state: rig.state, local });
    if (kill === 0) await last.send.stop();
  }
  const [entry] = last.send.queue.list();
  assert.equal(entry?.state, 'held');
  assert.match(entry?.problem ?? '', /^Two tries ended without a known outcome; it may have arrived/);
  assert.deepEqual(last.send.queue.summary(), { depth: 1, oldestSeconds: 0, held: 1, unknown: 0 });
  await waitFor('the notice', () => notices.length === 1);
  assert.match(notices[0] ?? '', /Subject: Your mail may not have arrived\r\n/);
  assert.match(
    notices[0] ?? '',
    /It is not known whether your mail of .* has arrived at:\r\n\r\n {2}someone@world\.test/,
  );
  assert.match(notices[0] ?? '', /It is not sent again by itself/);
  assert.doesNotMatch(notices[0] ?? '', /You need not send it again/);
  assert.match(notices[0] ?? '', /Action: delayed\r\nStatus: 4\.4\.2/);
  assert.equal((await last.files()).length, 1, 'the mail is kept');
});

test('a mail whose file is lost is counted as failed, and its sender is told, once', async (t) => {
  const { local, notices } = noticesOf();
  const rig = await leave(t, 1);
  for (const name of await fs.readdir(queueFolder(rig.state))) await fs.rm(join(queueFolder(rig.state), name));
  for (let start = 0; start < 2; start += 1) {
    const again = await startRig(t, { relay: down, state: rig.state, local });
    await waitFor('the notice', () => notices.length === 1 && again.send.queue.summary().held === 1);
    const failed = again.journal().filter((point) => point.tags['outcome'] === 'failed');
    assert.equal(failed.length, 1);
    await again.send.stop();
  }
  assert.equal(notices.length, 1);
  assert.match(
    notices[0] ?? '',
    /could not be delivered to:\r\n\r\n {2}someone@world\.test\r\n {6}Its spool file is missing/,
  );
  assert.match(notices[0] ?? '', /Action: failed\r\nStatus: 5\.3\.0/);
});
