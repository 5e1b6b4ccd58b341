// What the process asks of the system when it takes a mail, in which order: a power cut is not a kill.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createLab } from '../../lab/lab.ts';
import { isListening } from '../../lab/port.ts';
import { readTrace } from '../../lab/trace.ts';
import type { Call } from '../../lab/trace.ts';
import { waitFor } from '../../lab/wait.ts';
import type { Setup } from './child.ts';
import { openState, submit } from './rig.ts';

test('fsync of the file, rename, fsync of the folder and the row of the index all come before the 250, in this order', async (t) => {
  const lab = createLab(t);
  const { folder, db } = await openState(t);
  db.close();
  const trace = join(lab.dir, 'trace');
  const setup: Setup = {
    folder,
    port: await lab.freePort(),
    relay: { host: '127.0.0.1', port: 1 },
    relayPassword: 'x',
    relayConfig: { retryFirstSeconds: 600, retryMaxSeconds: 600 },
  };
  const calls = 'trace=openat,fsync,fdatasync,rename,renameat,renameat2,write,writev,pwrite64,sendto,sendmsg';
  const child = await lab.run({
    name: 'strace',
    command: 'strace',
    args: [
      '-f',
      '-y',
      '-s',
      '5000', // a page of the index, whole
      '-e',
      calls,
      '-o',
      trace,
      process.execPath,
      join(import.meta.dirname, 'child.ts'),
      JSON.stringify(setup),
    ],
    env: { UV_USE_IO_URING: '0' },
    ready: () => isListening(setup.port),
    startTimeoutMs: 60_000,
  });
  await submit(setup.port, { raw: 'Subject: watched\r\n\r\nbody of the watched mail\r\n' });
  const found = await waitFor('the answer in the trace', async () => {
    const all = readTrace(await readFile(trace, 'latin1'));
    return all.some((call) => call.text.includes('"250 2.0.0 Queued as')) ? all : undefined;
  });

  const spool = join(folder, 'spool');
  const id =
    /"250 2\.0\.0 Queued as ([a-z0-9-]+)/.exec(found?.map((call) => call.text).join('\n') ?? '')?.[1] ?? 'none';
  const find = (what: string, match: (call: Call) => boolean, after: Call | undefined): Call => {
    const call = found?.find((candidate) => candidate.begin > (after?.end ?? -1) && match(candidate));
    assert.ok(call, what + ' is in the trace' + (after === undefined ? '' : ', after ' + after.text.slice(0, 120)));
    assert.doesNotMatch(call.text, / = -1 /, what + ' succeeded');
    return call;
  };
  const named = (path: string) => (call: Call) => call.text.includes('<' + path + '>');
  const temp = join(spool, 'temp', id);
  const create = find(
    'the new file',
    (call) => call.name === 'openat' && call.text.includes('"' + temp + '", O_WRONLY|O_CREAT|O_EXCL'),
    undefined,
  );
  const write = find(
    'the mail',
    (call) => call.name.startsWith('write') && named(temp)(call) && call.text.includes('body of the watched mail'),
    create,
  );
  const sync = find('fsync of the file', (call) => call.name === 'fsync' && named(temp)(call), write);
  const rename = find(
    'the rename',
    (call) => call.name.startsWith('rename') && call.text.includes('"' + join(spool, 'queue', id) + '"'),
    sync,
  );
  const folderSync = find(
    'fsync of the folder',
    (call) => call.name === 'fsync' && named(join(spool, 'queue'))(call),
    rename,
  );
  const commit = find(
    'the row',
    (call) => call.name === 'pwrite64' && named(join(folder, 'agent.db-wal'))(call) && call.text.includes(id),
    folderSync,
  );
  const answer = find('the 250', (call) => call.text.includes('"250 2.0.0 Queued as ' + id), commit);
  const order = [create, write, sync, rename, folderSync, commit, answer];
  assert.equal(
    found?.filter((call) => call.text.includes('"250 2.0.0 Queued as')).length,
    1,
    'there is no earlier 250',
  );
  for (const call of order)
    t.diagnostic(call.begin + ' ' + call.text.replaceAll(folder, '').replaceAll(/"(.{60}).*?"/g, '"$1..."'));
  await child.stop(100);
});
