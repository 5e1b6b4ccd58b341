// Two agents of one identity at a real mosquitto, with the rights that collector/broker/README.md gives.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '#shared/clock.ts';
import { createJournal, journalSchema } from '#shared/journal.ts';
import { createLog } from '#shared/log.ts';
import { openDatabase } from '#shared/sqlite.ts';
import { openOutbox } from '../../../agent/telemetry/outbox.ts';
import { createPublisher } from '../../../agent/telemetry/publisher.ts';
import { createLab } from '../../lab/lab.ts';
import type { Lab } from '../../lab/lab.ts';
import { waitFor } from '../../lab/wait.ts';

const readme = readFileSync(new URL('../../../collector/broker/README.md', import.meta.url), 'utf8');
const rights = readme.split('```')[1] ?? '';

function startAgent(lab: Lab, url: string, name: string) {
  const folder = join(lab.dir, name);
  mkdirSync(folder);
  const db = openDatabase({ path: ':memory:', schema: [journalSchema] });
  const outbox = openOutbox({ folder, journal: createJournal(db), maxBytes: 1e9, clock: systemClock });
  const doubts: string[] = [];
  const publisher = createPublisher({
    origin: 'report',
    url,
    user: 'acme/nas-1',
    password: 'right',
    address: { tenant: 'acme', agent: 'nas-1' },
    version: '1.0.0',
    outbox,
    clock: { ...systemClock, sleep: (ms, signal) => systemClock.sleep(Math.min(ms, 50), signal) },
    random: () => 0.5,
    log: createLog({ name: 'test', level: 'silent' }),
    onDoubt: (reason) => void doubts.push(reason),
  });
  const stop = async (): Promise<void> => {
    await publisher.stop();
    outbox.close();
    db.close();
  };
  publisher.start();
  return { publisher, doubts, stop };
}

for (const [what, extra, expected] of [
  ['with the rights that the README gives, both notice', '', 1],
  ['a broker that keeps the status to itself keeps them from noticing, and from nothing else', 'status', 0],
] as const) {
  test('two agents at one mosquitto: ' + what, async (t) => {
    const lab = createLab(t);
    const acl = join(lab.dir, 'acl');
    const lines = rights.split('\n').filter((line) => extra === '' || line !== 'pattern read mailferry/1/%u/' + extra);
    assert.ok(lines.includes('pattern read mailferry/1/%u/ack'));
    writeFileSync(acl, lines.join('\n'), { mode: 0o600 });
    const broker = await lab.mosquitto({ users: { 'acme/nas-1': 'right' }, extra: 'acl_file ' + acl });
    const first = startAgent(lab, broker.url, 'first');
    lab.onStop(first.stop);
    await waitFor('the first one', () => first.publisher.connected());
    // A former life of the first one, and a restart of the broker, are no second agent.
    await broker.crash();
    await broker.start();
    await waitFor('the first one again', () => first.publisher.connected());
    assert.deepEqual(first.doubts, []);
    const second = startAgent(lab, broker.url, 'second');
    lab.onStop(second.stop);
    const takeovers = (): number => broker.log().split('already connected, closing old connection').length - 1;
    await waitFor('them to throw each other out', () => takeovers() >= 6, { timeoutMs: 30_000 });
    if (expected === 1) await waitFor('both to notice', () => first.doubts.length === 1 && second.doubts.length === 1);
    assert.deepEqual([first.doubts.length, second.doubts.length], [expected, expected]);
  });
}
