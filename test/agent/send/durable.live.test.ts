// What the process asks of the system when it takes a mail and when it sends it, in which order: a power cut is not a kill.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { createLab } from '../../lab/lab.ts';
import { isListening } from '../../lab/port.ts';
import { readTrace } from '../../lab/trace.ts';
import type { Call } from '../../lab/trace.ts';
import { waitFor } from '../../lab/wait.ts';
import type { Setup } from './child.ts';
import { openState, submit } from './rig.ts';

const login = { user: 'relay-user', password: 'relay-password' };
const traced = 'openat,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,write,writev,pwrite64,sendto,sendmsg';
const answered = '"250 2.0.0 Queued as';

type Watched = {
  readonly id: string;
  readonly calls: readonly Call[];
  /** The first such call after another; it succeeded. */
  readonly find: (what: string, match: (call: Call) => boolean, after?: Call) => Call;
  readonly queue: string;
  readonly temp: string;
  readonly index: (call: Call) => boolean;
};

/** One mail through an agent's send room; its calls until one of them is `last`. */
async function watch(
  t: TestContext,
  options: {
    readonly relay: Pick<Setup, 'relay' | 'relayPassword' | 'relayConfig'>;
    readonly last: (call: Call) => boolean;
  },
): Promise<Watched> {
  const lab = createLab(t);
  const { folder, db } = await openState(t);
  db.close();
  const trace = join(lab.dir, 'trace');
  const setup: Setup = { folder, port: await lab.freePort(), ...options.relay };
  const program = [process.execPath, join(import.meta.dirname, 'child.ts'), JSON.stringify(setup)];
  const child = await lab.run({
    name: 'strace',
    command: 'strace',
    // A page of the index is shown whole.
    args: ['-f', '-y', '-s', '5000', '-e', 'trace=' + traced, '-o', trace, ...program],
    env: { UV_USE_IO_URING: '0' },
    ready: () => isListening(setup.port),
    startTimeoutMs: 60_000,
  });
  await submit(setup.port, { raw: 'Subject: watched\r\n\r\nbody of the watched mail\r\n' });
  const found = await waitFor(
    'the last call in the trace',
    async () => {
      const all = readTrace(await readFile(trace, 'latin1'));
      return all.some(options.last) && all.some((call) => call.text.includes(answered)) ? all : undefined;
    },
    { timeoutMs: 30_000 },
  );
  const calls = found ?? [];
  await child.stop(100);
  const said = calls.filter((call) => call.text.includes(answered));
  assert.equal(said.length, 1, 'one 250');
  const id = /Queued as ([a-z0-9-]+)/.exec(said[0]?.text ?? '')?.[1] ?? 'none';
  const spool = join(folder, 'spool');
  return {
    id,
    calls,
    queue: join(spool, 'queue'),
    temp: join(spool, 'temp', id),
    index: named(join(folder, 'agent.db-wal')),
    find(what, match, after) {
      const call = calls.find((candidate) => candidate.begin > (after?.end ?? -1) && match(candidate));
      assert.ok(call, what + ' is in the trace' + (after === undefined ? '' : ', after ' + after.text.slice(0, 120)));
      assert.doesNotMatch(call.text, / = -1 /, what + ' succeeded');
      t.diagnostic(call.begin + ' ' + call.text.replaceAll(folder, '').replaceAll(/"(.{60}).*?"/g, '"$1..."'));
      return call;
    },
  };
}

const named = (path: string) => (call: Call) => call.text.includes('<' + path + '>');
const isSync = (call: Call): boolean => call.name === 'fsync' || call.name === 'fdatasync';
const isRemoval = (call: Call): boolean => call.name.startsWith('unlink');

test('fsync of the file, rename, fsync of the folder and the row of the index all come before the 250, in this order', async (t) => {
  const { find, id, index, queue, temp } = await watch(t, {
    relay: {
      relay: { host: '127.0.0.1', port: 1 },
      relayPassword: 'x',
      relayConfig: { retryFirstSeconds: 600, retryMaxSeconds: 600 },
    },
    last: (call) => call.text.includes(answered),
  });
  const create = find('the new file', ({ name, text }) => {
    return name === 'openat' && text.includes('"' + temp + '", O_WRONLY|O_CREAT|O_EXCL');
  });
  const isWrite = (call: Call): boolean => call.name.startsWith('write') && named(temp)(call);
  const write = find('the mail', (call) => isWrite(call) && call.text.includes('body of the watched mail'), create);
  const sync = find('fsync of the file', (call) => call.name === 'fsync' && named(temp)(call), write);
  const isName = ({ name, text }: Call): boolean =>
    name.startsWith('rename') && text.includes('"' + join(queue, id) + '"');
  const rename = find('the rename', isName, sync);
  const folder = find('fsync of the folder', (call) => call.name === 'fsync' && named(queue)(call), rename);
  const isRow = (call: Call): boolean => call.name === 'pwrite64' && index(call) && call.text.includes(id);
  const row = find('the row', isRow, folder);
  find('the 250', (call) => call.text.includes(answered), row);
});

test('the mark is on disk before the dot, and that the relay took the mail before its file goes', async (t) => {
  const relay = await createLab(t).scriptedSmtp({ login });
  const { calls, find, id, index, queue } = await watch(t, {
    relay: { relay, relayPassword: login.password, relayConfig: {} },
    last: isRemoval,
  });
  const isRecord = (text: string) => (call: Call) =>
    call.name === 'pwrite64' && index(call) && call.text.includes(id) && call.text.includes(text);
  const mark = find('the mark', isRecord('sending'));
  const marked = find('the mark on disk', (call) => isSync(call) && index(call), mark);
  const isDot = ({ text }: Call): boolean => text.includes(String.raw`body of the watched mail\r\n.\r\n`);
  assert.equal(calls.filter(isDot).length, 1, 'one dot');
  const dot = find('the dot', isDot, marked);
  const record = find('the answer of the relay', isRecord('2.0.0 taken'), dot);
  const recorded = find('the answer on disk', (call) => isSync(call) && index(call), record);
  const isGone = (call: Call): boolean => isRemoval(call) && call.text.includes('"' + join(queue, id) + '"');
  assert.equal(calls.filter(isGone).length, 1, 'one removal');
  find('the removal', isGone, recorded);
});
