// What the process asks of the system between the local server's 250 and DELE: a power cut is not a kill.
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { stringify } from 'yaml';
import { createLab } from '../../lab/lab.ts';
import { readTrace } from '../../lab/trace.ts';
import type { Call } from '../../lab/trace.ts';
import { waitFor } from '../../lab/wait.ts';

const mail = (name: string) => ({
  uid: name,
  bytes: Buffer.from('Subject: ' + name + '\r\nMessage-ID: <' + name + '@example.net>\r\n\r\nbody of ' + name + '\r\n'),
});

test('the record of a mail is on the disk before its session ends another mail, and before DELE', async (t) => {
  const lab = createLab(t);
  const pop3 = await lab.scriptedPop3({ mails: ['first', 'second', 'third'].map(mail) });
  const smtp = await lab.scriptedSmtp({});
  const file = join(lab.dir, 'agent.yaml');
  const state = join(lab.dir, 'state');
  const trace = join(lab.dir, 'trace');
  writeFileSync(join(lab.dir, 'secret'), 'secret', { mode: 0o600 });
  const account = {
    id: 'info',
    host: pop3.host,
    port: pop3.port,
    tls: 'none',
    user: 'info',
    password: { file: 'secret' },
  };
  const config = {
    tenant: 'lab',
    agent: 'lab',
    state,
    local: { protocol: 'smtp', host: smtp.host, port: smtp.port, domains: ['example.org'], sessions: 1 },
    accounts: [{ ...account, recipients: ['info@example.org'], keep: 'none', firstRun: 'all' }],
  };
  writeFileSync(file, stringify(config));
  const calls = 'trace=fsync,fdatasync,write,writev,sendto,sendmsg,pwrite64,read,recvfrom';
  const program = join(import.meta.dirname, '../../../agent/main.ts');
  const child = await lab.run({
    name: 'strace',
    command: 'strace',
    args: ['-f', '-y', '-s', '400', '-e', calls, '-o', trace, process.execPath, program, '--config', file],
    env: { UV_USE_IO_URING: '0' },
    ready: () => existsSync(join(state, 'agent.sock')),
    startTimeoutMs: 60_000,
  });
  await waitFor('the provider to be empty', () => pop3.mails.length === 0, { timeoutMs: 60_000 });
  assert.equal(smtp.mails.length, 3);
  await child.stop(100);
  const found = readTrace(await readFile(trace, 'latin1'));
  const find = (what: string, match: (call: Call) => boolean, after?: Call): Call => {
    const call = found.find((candidate) => candidate.begin > (after?.end ?? -1) && match(candidate));
    assert.ok(call, what + ' is in the trace' + (after === undefined ? '' : ', after ' + after.text.slice(0, 120)));
    return call;
  };
  const writes = (text: string) => (call: Call) =>
    /^(?:write|writev|sendto|sendmsg)$/.test(call.name) && call.text.includes(text);
  const isLog = (call: Call): boolean => call.text.includes('<' + join(state, 'agent.db-wal') + '>');
  const record = (after: Call): Call => {
    const written = find('the record', (call) => call.name === 'pwrite64' && isLog(call), after);
    return find('its fsync', (call) => /^f(?:data)?sync$/.test(call.name) && isLog(call), written);
  };
  const order: Call[] = [];
  for (const name of ['first', 'second', 'third']) {
    const sent = find('the end of ' + name, writes('body of ' + name + '\\r\\n.\\r\\n'));
    const before = order.at(-1);
    if (before !== undefined) assert.ok(before.end < sent.begin, 'the record before ' + name + ' is on the disk');
    order.push(sent, record(sent));
  }
  const remove = find('DELE', writes('DELE 1'));
  assert.ok((order.at(-1)?.end ?? Infinity) < remove.begin, 'the last record is on the disk before DELE');
  for (const call of [...order, remove])
    t.diagnostic(call.begin + ' ' + call.text.replaceAll(lab.dir, '').slice(0, 140));
});
