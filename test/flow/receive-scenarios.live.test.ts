// What happens to small offices, with the agent as a process of its own and real servers on both sides: rebuilt and moved
// mailboxes, states that were copied or put back, wrong clocks, a local server that refuses. Counted in Maildirs.
import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { createLab } from '../lab/lab.ts';
import { makeMaildir } from '../lab/maildir.ts';
import { waitFor } from '../lab/wait.ts';
import {
  arrived,
  copyState,
  createSite,
  dropIndex,
  localUsers,
  mailFiles,
  mailOf,
  recipient,
  replaceInConfig,
  user,
  users,
  waitForMails,
} from './receive-site.ts';

const names = (from: number, to: number): readonly string[] =>
  Array.from({ length: to - from }, (_, index) => 'm' + String(from + index).padStart(4, '0'));

async function setUp(t: TestContext, options: { readonly format?: string; readonly account?: object } = {}) {
  const lab = createLab(t);
  const { format } = options;
  const extra = format === undefined ? {} : { extra: 'pop3_uidl_format = ' + format };
  const [provider, local] = await Promise.all([lab.dovecot({ users, ...extra }), lab.dovecot({ users: localUsers })]);
  const site = (name: string) =>
    createSite({
      lab,
      name,
      provider,
      local: { protocol: 'lmtp', host: local.host, port: local.lmtp },
      ...(options.account && { account: options.account }),
    });
  const put = async (list: readonly string[]): Promise<void> => {
    for (const name of list) await provider.put(user, mailOf(name, 'x'.repeat(Number(name.slice(1)) % 97) + '\r\n'));
  };
  return { lab, provider, local, site, put, kept: () => provider.count(user) };
}

test('UIDLs of another form, round after round: nothing is delivered again, what is new is', async (t) => {
  const { provider, local, site, put, kept } = await setUp(t, { format: '%f' });
  const agent = site('agent');
  await put(names(0, 12));
  await agent.start();
  await waitForMails(local, names(0, 12));
  let total = 12;
  for (const format of ['%v.%u', '%08Xu%08Xv', '%u', '%g']) {
    await provider.stop();
    await replaceInConfig(provider, /pop3_uidl_format = .*/, 'pop3_uidl_format = ' + format);
    await provider.start();
    await put(names(total, total + 2));
    total += 2;
    const status = await agent.fetch();
    assert.deepEqual([status.problem, status.kept], ['', total], format);
    assert.deepEqual(await arrived(local), names(0, total), format);
  }
  assert.equal(await kept(), total);
});

test('a mailbox is rebuilt and numbers begin anew: known UIDLs stand for other mails, and each mail comes once', async (t) => {
  const { provider, local, site, put, kept } = await setUp(t, { format: '%u' });
  const agent = site('agent');
  await put(names(0, 30));
  await agent.start();
  await waitForMails(local, names(0, 30));
  for (const [gone, from] of [
    [[0], 30],
    [[3, 4, 11], 33],
  ] as const) {
    await provider.stop();
    const files = await mailFiles(provider);
    for (const index of gone) await rm(files[index] ?? '');
    await dropIndex(provider);
    await provider.start();
    await put(names(from, from + 3));
    await agent.fetch();
    await waitFor('all to be known', async () => (await agent.fetch()).backlog === 0);
    assert.deepEqual(await arrived(local), names(0, from + 3));
  }
  assert.equal(await kept(), 36 - 4);
});

test('a provider moves 1,000 mails, with new UIDLs and changed headers: none is delivered again, a new one is', async (t) => {
  const { provider, local, site, put, kept } = await setUp(t, { format: '%08Xu%08Xv' });
  const agent = site('agent');
  await put(names(0, 1_000));
  await agent.start();
  await waitForMails(local, names(0, 1_000));
  await provider.stop();
  for (const file of await mailFiles(provider)) {
    // Dovecot knows the size by the file's name when it was put there with one; these names hold none.
    await writeFile(file, Buffer.concat([Buffer.from('X-Moved-By: new.test\nStatus: RO\n'), await readFile(file)]));
  }
  await dropIndex(provider);
  await replaceInConfig(provider, /pop3_uidl_format = .*/, 'pop3_uidl_format = %v-%u');
  await provider.start();
  await put(names(1_000, 1_001));
  const status = await agent.fetch();
  assert.deepEqual([status.problem, status.kept], ['', 1_001]);
  assert.deepEqual([(await arrived(local)).length, await kept()], [1_001, 1_001]);
});

test('two mails share a UIDL and the local server refuses one of them: both stay at the provider', async (t) => {
  const lab = createLab(t);
  const [provider, local] = await Promise.all([
    lab.dovecot({ users, extra: 'pop3_uidl_format = %v' }),
    lab.postfix({
      role: 'local',
      domains: ['example.org'],
      main: { header_checks: 'regexp:{{/^Subject: unwanted/ REJECT not here}}' },
    }),
  ]);
  const account = { keep: 'none' };
  const agent = createSite({ lab, name: 'agent', provider, account, local: { host: local.host, port: local.smtp } });
  for (const name of ['one', 'unwanted', 'two']) await provider.put(user, mailOf(name));
  await agent.start();
  await waitForMails(local, ['one', 'two']);
  for (let n = 0; n < 3; n += 1) await agent.fetch();
  assert.deepEqual([await arrived(local), await provider.count(user)], [['one', 'two'], 3]);
  const { entries } = (await agent.ask('quarantine list')) as { readonly entries: readonly { readonly id: string }[] };
  assert.equal(entries.length, 1);
  // When a person has dropped it, all copies may go.
  await agent.ask('quarantine drop', { id: entries[0]?.id ?? '' });
  await waitFor('an empty mailbox', async () => {
    await agent.fetch();
    return (await provider.count(user)) === 0;
  });
  assert.deepEqual(await arrived(local), ['one', 'two']);
});

test('the state is copied to a second machine: nothing moves there before it is adopted, and then a person is asked', async (t) => {
  const { local, site, put, kept } = await setUp(t);
  const [first, second] = [site('first'), site('second')];
  await put(names(0, 5));
  const original = await first.start();
  await waitForMails(local, names(0, 5));
  await original.stop();
  copyState(first.state, second.state);
  // The copy was made on another machine.
  second.edit("UPDATE meta SET value = json_set(value, '$.machine', 'another') WHERE key = 'identity'");
  // The first one goes on, and knows what the copy does not.
  await first.start();
  await put(names(5, 8));
  await first.fetch();
  await waitForMails(local, names(0, 8));
  await second.start();
  assert.match((await second.status()).hold, /another machine|copied/);
  await second.ask('fetch').catch(() => {}); // no account may answer
  assert.deepEqual([await arrived(local), await kept()], [names(0, 8), 8]);
  await second.ask('adopt');
  await waitFor('the question', async () => (await second.status()).paused);
  const asked = await second.status();
  assert.match(
    asked.problem,
    /does not know 3 mails at the provider: they may have been delivered before; answer with/,
  );
  assert.deepEqual([await arrived(local), await kept()], [names(0, 8), 8], 'nothing before the answer');
  await second.ask('confirm', { account: 'info', answer: 'known' });
  await put(names(8, 9));
  const after = await second.fetch();
  assert.deepEqual([after.problem, await arrived(local), await kept()], ['', names(0, 9), 9]);
});

test("last week's state is put back: mails delivered since then wait for an answer, and none is deleted", async (t) => {
  for (const [answer, expected] of [
    ['known', names(0, 8)],
    ['since:2026-11-26', names(0, 8)],
    ['since:2026-11-25', [...names(0, 8), ...names(4, 8)].sort()],
  ] as const) {
    const { lab, local, site, put, kept } = await setUp(t, { account: { keep: { days: 14 } } });
    const agent = site('agent');
    await put(names(0, 4));
    const before = await agent.start();
    await waitForMails(local, names(0, 4));
    await waitFor('the last record', async () => (await agent.status()).kept === 4);
    // A backup of the folder, while the agent is at work.
    before.kill('SIGSTOP');
    const backup = join(lab.dir, 'backup');
    copyState(agent.state, backup);
    before.kill('SIGCONT');
    await put(names(4, 8));
    await agent.fetch();
    await waitForMails(local, names(0, 8));
    await before.stop();
    copyState(backup, agent.state);
    agent.edit("UPDATE seen_day SET day = day - 7; UPDATE meta SET value = value - 7 WHERE key = 'last-alive'");
    await agent.start();
    await waitFor('the question', async () => (await agent.status()).paused);
    assert.match((await agent.status()).problem, /does not know 4 mails at the provider/);
    assert.deepEqual([await arrived(local), await kept()], [names(0, 8), 8]);
    await agent.ask('confirm', { account: 'info', answer });
    const after = await agent.fetch();
    assert.deepEqual([after.problem, await arrived(local), await kept()], ['', expected, 8], answer);
  }
});

test('an agent that was switched off in good order for weeks fetches what has come, and asks nothing', async (t) => {
  const { local, site, put } = await setUp(t);
  const agent = site('agent');
  await put(names(0, 2));
  const child = await agent.start();
  await waitForMails(local, names(0, 2));
  await child.stop();
  agent.edit("UPDATE seen_day SET day = day - 21; UPDATE meta SET value = value - 21 WHERE key = 'last-alive'");
  await put(names(2, 5));
  await agent.start();
  await waitForMails(local, names(0, 5));
  await waitFor('the end of the round', async () => (await agent.status()).problem === '');
});

test('the clock is a year ahead: mails that are to be kept stay', async (t) => {
  const { local, site, put, kept } = await setUp(t, { account: { keep: { days: 14 } } });
  const agent = site('agent');
  await put(names(0, 3));
  const child = await agent.start();
  await waitForMails(local, names(0, 3));
  await child.stop();
  // To the agent it is the same whether its last day lies a year back or its clock is a year ahead.
  agent.edit('UPDATE seen_day SET day = day - 365');
  await agent.start();
  for (let n = 0; n < 3; n += 1) await agent.fetch();
  assert.deepEqual([await kept(), await arrived(local)], [3, names(0, 3)]);
});

test('every mail is refused by the local server: the account pauses, none is deleted, and then they arrive', async (t) => {
  const lab = createLab(t);
  const [provider, local] = await Promise.all([
    lab.dovecot({ users }),
    lab.dovecot({ users: { 'other@example.org': 'x' } }),
  ]);
  const agent = createSite({
    lab,
    name: 'agent',
    provider,
    local: { protocol: 'lmtp', host: local.host, port: local.lmtp, sessions: 2 },
    account: { keep: 'none' },
  });
  for (const name of names(0, 60)) await provider.put(user, mailOf(name));
  await agent.start();
  await waitFor('the pause', async () => (await agent.status()).paused);
  const status = await agent.status();
  assert.match(
    status.problem,
    /^info: paused, the local server refused \d+ mails in a row \("550 5\.1\.1 .*User doesn't exist/,
  );
  assert.equal(await provider.count(user), 60);
  const { entries } = (await agent.ask('quarantine list')) as { readonly entries: readonly { readonly id: string }[] };
  assert.ok(entries.length >= 5 && entries.length < 30, String(entries.length));
  // The mailbox is made after all.
  const file = join(local.maildir(recipient), '..', '..', 'users');
  await writeFile(file, (await readFile(file, 'utf8')) + recipient + ':{PLAIN}secret::::::\n');
  await makeMaildir(local.maildir(recipient));
  await local.stop();
  await local.start();
  for (const { id } of entries) await agent.ask('quarantine release', { id });
  await waitFor('an empty mailbox', async () => {
    await agent.fetch();
    return (await provider.count(user)) === 0;
  });
  assert.deepEqual(await arrived(local), names(0, 60));
});
