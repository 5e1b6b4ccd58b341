import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { createLog } from '#shared/log.ts';
import { UserError } from '#shared/failure.ts';
import { runCli } from '../../../agent/cli/program.ts';
import { createCommands } from '../../../agent/control/commands.ts';
import type { CommandWork } from '../../../agent/control/commands.ts';
import { createControl } from '../../../agent/control/control.ts';
import { sampleHeld, sampleQuarantine, sampleStatus } from '../control/sample.ts';

async function startSite(t: TestContext, work: Partial<CommandWork> = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'mf-held-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const commands = createCommands({
    status: () => sampleStatus,
    queueList: () => [],
    queueShow: () => undefined,
    queue: () => undefined,
    fetch: async () => [],
    quarantine: () => sampleQuarantine,
    ...work,
  });
  const control = createControl({
    path: join(folder, 's'),
    commands,
    log: createLog({ level: 'silent', name: 'test' }),
  });
  t.after(() => control.stop());
  await control.start();
  return async (...args: string[]) => {
    let out = '';
    let error = '';
    const add = { out: (text: string) => void (out += text), error: (text: string) => void (error += text) };
    const code = await runCli(['--socket', 's', ...args], { ...add, folder, now: () => 1_060_000 });
    return { code, out, error };
  };
}

test('quarantine list shows a line a mail, and why it is there', async (t) => {
  const mailferry = await startSite(t);
  assert.deepEqual((await mailferry('quarantine', 'list')).out.split('\n'), [
    'ID       SINCE     SIZE  SENDER                SUBJECT   WHY',
    'info-12  60 s   2.0 KiB  stranger@example.net  An offer  rspamd says reject, score 20.00 of 15.00: GTUBE',
    '',
  ]);
  const empty = await startSite(t, { quarantine: () => ({ ...sampleQuarantine, list: async () => [] }) });
  assert.equal((await empty('quarantine', 'list')).out, 'The quarantine is empty.\n');
  const more = await startSite(t, { quarantine: () => ({ ...sampleQuarantine, summary: () => ({ count: 7 }) }) });
  assert.match((await more('quarantine', 'list')).out, /\nand 6 more\n$/);
});

test('quarantine show shows all of one mail, and its header cannot steer the terminal', async (t) => {
  const mailferry = await startSite(t);
  const { code, out } = await mailferry('quarantine', 'show', 'info-12');
  assert.equal(code, 0);
  assert.match(
    out,
    /^id +info-12\nmailbox +info\nwhy +rspamd says reject, .*\nsince +1970-01-01T00:16:40\.000Z \(60 s\)\n/,
  );
  assert.match(
    out,
    /file +\/state\/quarantine\/info-12\.eml\n\nRECIPIENT +STATE +REPLY\ninfo@example\.org +refused +rspamd says reject\n/,
  );
  assert.match(out, /\nHeader:\n {2}Subject: An offer\n {2}X: {1,2}\[2J\n/);
  assert.doesNotMatch(out, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
});

test('release and drop say what they did; each command answers with JSON too', async (t) => {
  const mailferry = await startSite(t);
  assert.equal((await mailferry('quarantine', 'release', 'info-12')).out, 'info-12: handed over to info@example.org\n');
  assert.match((await mailferry('quarantine', 'drop', 'info-12')).out, /^info-12: dropped; the provider's copy may be/);
  const answers = [
    [['list'], { total: 1, entries: [sampleHeld] }],
    [['release', 'info-12'], { id: 'info-12', recipients: ['info@example.org'] }],
    [['drop', 'info-12'], { id: 'info-12' }],
  ] as const;
  for (const [words, expected] of answers) {
    const { code, out } = await mailferry('quarantine', ...words, '--json');
    assert.deepEqual([code, JSON.parse(out)], [0, expected]);
  }
});

test('what cannot be done ends with 1 and one line', async (t) => {
  const none = await startSite(t, { quarantine: () => undefined });
  for (const words of [['list'], ['show', 'x'], ['release', 'x'], ['drop', 'x']]) {
    const { code, error } = await none('quarantine', ...words);
    assert.equal(code, 1);
    assert.match(error, /^Cannot .*: no account is configured, expected at least one under `accounts`\n$/);
  }
  const release = () => Promise.reject(new UserError('Cannot release x: no'));
  const failing = await startSite(t, { quarantine: () => ({ ...sampleQuarantine, release }) });
  assert.deepEqual(await failing('quarantine', 'release', 'x'), { code: 1, out: '', error: 'Cannot release x: no\n' });
  assert.equal((await failing('quarantine', 'release')).code, 2);
});

test('status tells what is in quarantine, and that the content check fails', async (t) => {
  const status = {
    ...sampleStatus,
    quarantine: { count: 2, bytes: 4_096, oldestSeconds: 7_200 },
    scanners: [
      { name: 'clamd', problem: '' },
      { name: 'rspamd', problem: 'rspamd: Cannot ask' },
    ],
  };
  const mailferry = await startSite(t, { status: () => status });
  const { code, out } = await mailferry('status');
  assert.match(
    out,
    /\nquarantine +2 mails \(4\.0 KiB, oldest 2 h 0 min\)\ncheck by clamd +ok\ncheck by rspamd +rspamd: Cannot ask\n/,
  );
  assert.match(out, /Trouble:\n {2}content check: rspamd: Cannot ask/);
  assert.equal(code, 1);
  const well = await startSite(t, { status: () => ({ ...status, scanners: [] }) });
  assert.equal((await well('status')).code, 0, 'mails in quarantine are no trouble');
});
