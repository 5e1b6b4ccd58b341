// A small part of `npm run fuzz:receive` in every run of the tests.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runClientLife } from './client-life.ts';
import { runLife } from './life.ts';
import { kinds } from './mutations.ts';
import { readTranscript } from './reference.ts';
import { createTally } from './tally.ts';

test(
  '5,000 mutated sessions: no crash, no hang, no half mail, no DELE without hand-over',
  { timeout: 120_000 },
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'mailferry-fuzz-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const tally = createTally();
    for (let seed = 1; seed <= 8; seed += 1)
      tally.add(await runLife({ seed, rounds: 100, folder: join(folder, String(seed)) }));
    for (let seed = 9; seed <= 50; seed += 1) tally.add(await runClientLife({ seed, rounds: 100 }));
    t.diagnostic(tally.text());
    assert.deepEqual(tally.faults(), []);
    assert.equal(tally.rounds(), 5_000);
    for (const state of ['well', 'out of step', 'no answer in time', 'line broke', 'command refused'])
      assert.ok((tally.endStates().get(state) ?? 0) > 20, state);
    for (const { name } of kinds) assert.ok((tally.mutations().get(name) ?? 0) > 20, name);
  },
);

test('the same seed plays the same life', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'mailferry-fuzz-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const play = () => runLife({ seed: 7, rounds: 50, folder });
  assert.deepEqual(await play(), await play());
});

test('the reference reads a transcript', () => {
  const stream = '+OK hi\r\n+OK\r\n.\r\n-ERR no\r\n+OK 1\r\na\r\n..b\r\n.\r\n+ERR\r\n';
  assert.deepEqual(readTranscript(['CAPA', 'STAT', 'RETR 1', 'QUIT'], stream), [
    { command: 'CAPA', status: 'ok', data: '' },
    { command: 'STAT', status: 'err' },
    { command: 'RETR 1', status: 'ok', data: 'a\r\n.b\r\n' },
    { command: 'QUIT', status: 'bad' },
  ]);
});
