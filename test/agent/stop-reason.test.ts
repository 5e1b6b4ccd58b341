import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { forgetStopReason, readStopReason, stopReasonFile } from '../../agent/stop-reason.ts';

test('only the word power-off means that the machine goes down, and it is forgotten with the next start', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'mailferry-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  assert.equal(readStopReason(folder), 'stopping');
  for (const [text, expected] of [
    ['power-off\n', 'power-off'],
    ['upgrade\n', 'stopping'],
    ['stop', 'stopping'],
    ['', 'stopping'],
    ['x'.repeat(10_000), 'stopping'],
  ] as const) {
    writeFileSync(join(folder, stopReasonFile), text);
    assert.equal(readStopReason(folder), expected, JSON.stringify(text.slice(0, 20)));
  }
  writeFileSync(join(folder, stopReasonFile), 'power-off');
  forgetStopReason(folder);
  assert.equal(readStopReason(folder), 'stopping');
  forgetStopReason(folder);
});
