// The answers of a POP3 server to a whole session, cut at every position: what the client reads may not depend on it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '#shared/clock.ts';
import { openPop3 } from '../../agent/receive/pop3/pop3.ts';
import { createScanner } from '../../agent/receive/pop3/scanner.ts';
import { corpus } from '../corpus/corpus.ts';
import { multiline } from '../lab/scripted-pop3.ts';
import { createMemoryLine } from './memory-line.ts';

/** Above this, a whole session for every position takes too long; the scanner alone is cut then. */
const maxSessionBytes = 400;
/** Above this, positions are those around every CR, LF and dot at the ends, and some between. */
const maxScannedBytes = 4_000;

const answers: Readonly<Record<string, string>> = {
  CAPA: '+OK\r\nUSER\r\nUIDL\r\n.\r\n',
  STAT: '+OK 1 100\r\n',
  UIDL: '+OK\r\n1 uid-1\r\n.\r\n',
  LIST: '+OK\r\n1 100\r\n.\r\n',
};

/** Plays a session whose stream of answers is cut at `cut`; gives the mail, and how long the stream was. */
async function play(mail: Buffer, cut: number): Promise<{ readonly read: Buffer; readonly streamBytes: number }> {
  let at = 0;
  const line = createMemoryLine((text) => {
    for (const command of text.split('\r\n').slice(0, -1)) {
      const verb = command.split(' ')[0] ?? '';
      say(verb === 'RETR' ? multiline(mail).toString('latin1') : (answers[verb] ?? '+OK\r\n'));
    }
  });
  function say(answer: string): void {
    const inside = cut - at;
    at += answer.length;
    if (inside <= 0 || inside >= answer.length) return line.send(answer);
    line.send(answer.slice(0, inside));
    setImmediate(() => line.send(answer.slice(inside)));
  }
  say('+OK ready\r\n');
  const pop3 = await openPop3({
    endpoint: { host: 'pop3.test', port: 110, tls: 'none' },
    user: 'info',
    password: 'secret',
    signal: new AbortController().signal,
    clock: systemClock,
    connect: () => Promise.resolve(line.socket),
  });
  assert.equal((await pop3.stat()).count, 1);
  assert.deepEqual([...(await pop3.uidl()).entries], [[1, 'uid-1']]);
  assert.deepEqual([...(await pop3.list()).entries], [[1, 100]]);
  const parts: Buffer[] = [];
  await pop3.retr(1, (bytes) => void parts.push(bytes));
  await pop3.dele(1);
  await pop3.quit();
  return { read: Buffer.concat(parts), streamBytes: at };
}

/** The data of an answer to RETR, cut in two. */
function scan(wire: Buffer, cut: number): Buffer | undefined {
  const scanner = createScanner();
  const parts: Buffer[] = [];
  let [started, ended] = [false, false];
  for (const piece of [wire.subarray(0, cut), wire.subarray(cut)]) {
    scanner.push(piece);
    if (!started && scanner.line(512) !== undefined) {
      started = true;
      scanner.startData();
    }
    if (!started || ended) continue;
    const data = scanner.data();
    parts.push(...data.parts);
    ended = data.ended;
  }
  return ended && scanner.pending() === 0 ? Buffer.concat(parts) : undefined;
}

/** All, or those where something may go wrong. */
function positions(wire: Buffer): readonly number[] {
  if (wire.length <= maxScannedBytes) return Array.from({ length: wire.length + 1 }, (_, index) => index);
  const ends = Array.from({ length: 60 }, (_, index) => [index, wire.length - index]).flat();
  const inside: number[] = [];
  for (let at = wire.indexOf('\r\n.'); at >= 0 && inside.length < 140; at = wire.indexOf('\r\n.', at + 1))
    for (let near = at - 1; near <= at + 5; near += 1) inside.push(near);
  return [...ends, ...inside];
}

const mails = corpus()
  .map(({ name, bytes }) => ({ name, bytes: bytes() }))
  .filter(({ bytes }) => bytes.length < 1_000_000);

test('a session with every small mail of the corpus is read the same, cut at every position', async () => {
  const small = mails.filter(({ bytes }) => bytes.length <= maxSessionBytes);
  assert.ok(small.length >= 10, 'only ' + small.length + ' small mails');
  for (const { name, bytes } of small) {
    const { streamBytes } = await play(bytes, -1);
    for (let cut = 0; cut <= streamBytes; cut += 1) {
      const { read } = await play(bytes, cut);
      assert.ok(read.equals(bytes), name + ' cut at ' + cut);
    }
  }
});

test('every mail of the corpus is scanned the same, cut at every position', () => {
  for (const { name, bytes } of mails) {
    const wire = multiline(bytes);
    for (const cut of positions(wire)) assert.ok(scan(wire, cut)?.equals(bytes) === true, name + ' cut at ' + cut);
  }
});
