// When a person is told that the collector is not heard, and when not.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { createLog } from '#shared/log.ts';
import { createSilence } from '../../../agent/telemetry/silence.ts';
import type { SilenceNote } from '../../../agent/telemetry/silence.ts';

const hour = 3_600;

/** Lives through `hours`, and tells at which hours somebody was told. `unheard` gives the seconds at an hour. */
function setup(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'mailferry-silence-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const start = 1_700_000_000_000;
  let passed = 0;
  const notes: SilenceNote[] = [];
  const live = async (options: {
    readonly hours: number;
    readonly afterHours?: number;
    readonly unheard?: (hours: number) => number;
    readonly works?: (hours: number) => boolean;
    readonly random?: number;
  }): Promise<readonly number[]> => {
    const { hours, afterHours = 24, unheard = (at) => at * hour, works = () => true, random = 0.5 } = options;
    const told: number[] = [];
    const stop = new AbortController();
    const until = passed + hours;
    const life = passed;
    await createSilence({
      afterHours,
      address: { tenant: 'acme', agent: 'nas-1' },
      state: () => ({ unheardSeconds: unheard(passed), problem: 'Cannot report' }),
      async tell(note) {
        if (!works(passed)) throw new Error('nobody takes it');
        notes.push(note);
        told.push(passed);
      },
      folder,
      clock: {
        now: () => start + passed * hour * 1_000,
        monotonic: () => (passed - life) * hour * 1_000,
        async sleep(ms) {
          passed += ms / 1_000 / hour;
          if (passed >= until) stop.abort();
        },
      },
      random: () => random,
      log: createLog({ name: 'test', level: 'silent' }),
    }).run(stop.signal);
    return told;
  };
  return { live, notes };
}

test('a person is told after the hours that are set, then once a day, over restarts', async (t) => {
  const { live, notes } = setup(t);
  assert.deepEqual(await live({ hours: 40 }), [24]);
  assert.deepEqual(await live({ hours: 60 }), [48, 72, 96]);
  assert.match(notes[0]?.subject ?? '', /no collector hears acme\/nas-1 for 24 hours/);
  assert.match(notes[0]?.text ?? '', /Cannot report[\s\S]*mailferry status/);
});

test('nobody is told while reports are acknowledged, or when it is switched off', async (t) => {
  const { live } = setup(t);
  assert.deepEqual(await live({ hours: 100, unheard: (at) => (at % 20) * hour }), []);
  assert.deepEqual(await live({ hours: 100, afterHours: 0 }), []);
});

test('a mail that nobody took is tried again within the hour', async (t) => {
  const { live } = setup(t);
  const told = await live({ hours: 40, works: (at) => at >= 30 });
  assert.deepEqual(told, [30]);
});

test('agents of one collector do not all write at once', async (t) => {
  const first = await setup(t).live({ hours: 40, random: 0 });
  const last = await setup(t).live({ hours: 40, random: 0.999 });
  assert.ok((last[0] ?? 0) - (first[0] ?? 0) > 4, first.join() + ' ' + last.join());
});
