import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { pino } from 'pino';
import { UserError } from '#shared/failure.ts';
import { createCommands } from '../../../agent/control/commands.ts';
import type { CommandWork } from '../../../agent/control/commands.ts';
import { createControl } from '../../../agent/control/control.ts';
import type { Control, ControlOptions } from '../../../agent/control/control.ts';
import { maxRequestBytes } from '../../../agent/control/protocol.ts';
import { waitFor } from '../../lab/wait.ts';
import { sampleMail, sampleStatus } from './sample.ts';

const log = pino({ level: 'silent' });

function tempFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'mf-control-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function startControl(
  t: TestContext,
  work: Partial<CommandWork> = {},
  options: Partial<ControlOptions> = {},
): Promise<{ readonly path: string; readonly control: Control }> {
  const path = join(tempFolder(t), 'agent.sock');
  const commands = createCommands({
    status: () => sampleStatus,
    queueList: () => [],
    queueShow: () => undefined,
    queue: () => undefined,
    fetch: async () => sampleStatus.accounts,
    quarantine: () => undefined,
    ...work,
  });
  const control = createControl({ path, commands, log, ...options });
  t.after(() => control.stop());
  await control.start();
  return { path, control };
}

/** Sends raw bytes and gives everything that comes back until the other side closes. */
async function talk(path: string, bytes: string | Buffer, end = true): Promise<string> {
  const socket = connect(path);
  let text = '';
  socket.on('data', (chunk) => (text += chunk.toString('utf8')));
  socket.on('error', () => {});
  await once(socket, 'connect');
  if (end) socket.end(bytes);
  else socket.write(bytes);
  await once(socket, 'close');
  return text;
}

function parse(text: string): { ok: boolean; value?: unknown; refusal?: string; message?: string } {
  return JSON.parse(text) as ReturnType<typeof parse>; // the test reads it field by field
}

test('the socket answers status as one line of JSON', async (t) => {
  const { path } = await startControl(t);
  const answer = await talk(path, '{"command":"status"}\n');
  assert.equal(answer.split('\n').length, 2);
  assert.deepEqual(parse(answer), { ok: true, value: { ...sampleStatus, troubles: [] } });
});

test('the socket belongs to its owner alone', async (t) => {
  const { path } = await startControl(t);
  assert.equal(statSync(path).mode & 0o777, 0o600);
});

test('several requests on one connection are answered in order, however they are cut', async (t) => {
  const { path } = await startControl(t, { queueShow: (id) => (id === 'a' ? sampleMail : undefined) });
  const requests = [
    '{"command":"queue show","arguments":{"id":"a"}}',
    '{"command":"nope"}',
    'x',
    '{"command":"status"}',
  ];
  const socket = connect(path);
  let text = '';
  socket.on('data', (chunk) => (text += chunk.toString('utf8')));
  for (const byte of Buffer.from(requests.join('\n') + '\n')) socket.write(Buffer.of(byte));
  socket.end();
  await once(socket, 'close');
  const answers = text.trimEnd().split('\n').map(parse);
  assert.deepEqual(
    answers.map((answer) => answer.refusal ?? 'ok'),
    ['ok', 'command', 'request', 'ok'],
  );
});

test('an unknown command names the nearest', async (t) => {
  const { path } = await startControl(t);
  const answer = parse(await talk(path, '{"command":"stauts"}\n'));
  assert.equal(answer.message, 'Cannot run "stauts": unknown command, expected status (the nearest known command)');
});

test('wrong arguments are refused with the argument, what was found and what was expected', async (t) => {
  const { path } = await startControl(t);
  const cases: [string, RegExp][] = [
    ['{"command":"queue show"}', /argument id: found nothing, expected the id of a mail/],
    ['{"command":"queue show","arguments":{"id":7}}', /argument id: found 7, expected the id of a mail/],
    ['{"command":"queue show","arguments":[]}', /its arguments: found a list/],
    ['{"command":"status","arguments":{"x":1}}', /argument x: found an unknown option, expected no argument/],
    ['{"command":"fetch","arguments":{"acount":"a"}}', /expected account \(the nearest known option\)/],
    [
      '{"command":"fetch","arguments":{"account":"infos"}}',
      /"infos": unknown, expected info \(the nearest known account\)/,
    ],
    ['{"command":"queue show","arguments":{"id":"no"}}', /Cannot show mail "no": it is not in the queue/],
  ];
  for (const [request, expected] of cases) {
    const answer = parse(await talk(path, request + '\n'));
    assert.equal(answer.ok, false, request);
    assert.match(answer.message ?? '', expected);
  }
});

test('malformed requests are refused and the agent goes on', async (t) => {
  const { path } = await startControl(t);
  const bad = ['', '[]', '"status"', '{"command":1}', '{', '\u0000\u0001', '['.repeat(50_000), '{"command":null}'];
  for (const line of bad) {
    const answer = parse(await talk(path, line + '\n'));
    assert.equal(answer.refusal, 'request', line.slice(0, 20));
  }
  assert.equal(parse(await talk(path, '{"command":"status"}\n')).ok, true);
});

test('a request above the size cap is refused, with its answer readable, and nothing is kept', async (t) => {
  const { path } = await startControl(t);
  for (const size of [maxRequestBytes + 1, 8 * 1024 * 1024]) {
    const answer = parse(await talk(path, Buffer.alloc(size, 0x61)));
    assert.equal(answer.refusal, 'request');
    assert.match(answer.message ?? '', /more than 65536 bytes/);
  }
});

test('a client that sends nothing, or a byte now and then, is cut off', async (t) => {
  const { path } = await startControl(t, {}, { clientTimeoutMs: 150 });
  assert.equal(await talk(path, '', false), '');
  const socket = connect(path);
  socket.on('error', () => {});
  let closed = false;
  socket.on('close', () => (closed = true));
  await waitFor('the trickling client to be cut off', () => {
    socket.write('x');
    return closed;
  });
});

test('a client that does not read its answer is cut off', async (t) => {
  const big = [{ ...sampleMail, id: 'x'.repeat(3 * 1024 * 1024) }];
  const { path } = await startControl(t, { queueList: () => big }, { clientTimeoutMs: 150 });
  const socket: Socket = connect(path);
  socket.on('error', () => {});
  socket.pause();
  socket.write('{"command":"queue list"}\n');
  let closed = false;
  socket.on('close', () => (closed = true));
  await waitFor('a write to fail', () => {
    socket.write('x');
    return closed;
  });
});

test('an answer above the size cap becomes a refusal', async (t) => {
  const { path } = await startControl(t, { queueList: () => [{ ...sampleMail, id: 'x'.repeat(9 * 1024 * 1024) }] });
  const answer = parse(await talk(path, '{"command":"queue list"}\n'));
  assert.match(answer.message ?? '', /Cannot answer: more than/);
});

test('a command that throws, or answers what is no JSON, is a refusal', async (t) => {
  const circle = { ...sampleMail, self: {} };
  circle.self = circle;
  const { path } = await startControl(t, {
    queueList: () => {
      throw new Error('disk on fire');
    },
    queueShow: () => circle,
  });
  assert.equal(parse(await talk(path, '{"command":"queue list"}\n')).message, 'disk on fire');
  assert.match(parse(await talk(path, '{"command":"queue show","arguments":{"id":"a"}}\n')).message ?? '', /circular/i);
  assert.equal(parse(await talk(path, '{"command":"status"}\n')).ok, true);
});

test('a long queue is cut in the list and its total told', async (t) => {
  const { path } = await startControl(t, {
    queueList: () => Array.from({ length: 1_200 }, () => sampleMail),
  });
  const { value } = parse(await talk(path, '{"command":"queue list"}\n'));
  assert.ok(typeof value === 'object' && value !== null && 'total' in value && 'entries' in value);
  assert.equal(value.total, 1_200);
  assert.ok(Array.isArray(value.entries) && value.entries.length === 1_000);
});

test('stop() does not wait for a command that still runs, and takes the file away', async (t) => {
  let started = false;
  const { path, control } = await startControl(t, {
    fetch: () => {
      started = true;
      return new Promise(() => {});
    },
  });
  const talking = talk(path, '{"command":"fetch"}\n', false);
  await waitFor('the command to run', () => started);
  await control.stop();
  await talking;
  await control.stop();
  assert.equal(existsSync(path), false);
});

test('the socket file of a dead process is replaced', async (t) => {
  const path = join(tempFolder(t), 'agent.sock');
  const script = "require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))";
  await once(spawn(process.execPath, ['-e', script, path]), 'exit');
  assert.ok(existsSync(path), 'the killed process has left its file');
  const control = createControl({ path, commands: new Map(), log });
  t.after(() => control.stop());
  await control.start();
  assert.equal(parse(await talk(path, '{"command":"x"}\n')).refusal, 'command');
});

test('a live socket, another file and a bad folder are refused and left alone', async (t) => {
  const folder = tempFolder(t);
  const refuses = async (path: string, expected: RegExp) => {
    const control = createControl({ path, commands: new Map(), log });
    await assert.rejects(control.start(), (error) => error instanceof UserError && expected.test(error.message));
    await control.stop();
  };
  const live = join(folder, 'live.sock');
  const server = createServer((socket) => socket.destroy());
  t.after(() => server.close());
  server.listen(live);
  await once(server, 'listening');
  await refuses(live, /a running agent answers there, expected one agent a state folder/);
  assert.ok(existsSync(live));
  const file = join(folder, 'file');
  writeFileSync(file, 'precious');
  await refuses(file, /a file that is no socket stands there/);
  assert.ok(existsSync(file));
  await refuses(
    join(folder, 'no', 'agent.sock'),
    /Cannot open the control socket .*expected a folder that can be written/,
  );
});

test('a path that no socket can have is refused with its length and the limit', async (t) => {
  const folder = tempFolder(t);
  const fits = join(folder, 'x'.repeat(107 - Buffer.byteLength(folder) - 1));
  const control = createControl({ path: fits, commands: new Map(), log });
  await control.start();
  await control.stop();
  const tooLong = createControl({ path: fits + 'x', commands: new Map(), log });
  await assert.rejects(tooLong.start(), /its path has 108 bytes, expected at most 107; choose a shorter state folder/);
});
