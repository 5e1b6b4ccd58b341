import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { pino } from 'pino';
import { runCli } from '../../../agent/cli/program.ts';
import { createCommands } from '../../../agent/control/commands.ts';
import type { CommandWork } from '../../../agent/control/commands.ts';
import { createControl } from '../../../agent/control/control.ts';
import { sampleMail, sampleQuarantine, sampleQueue, sampleStatus } from '../control/sample.ts';

type Ran = { readonly code: number; readonly out: string; readonly error: string };

function tempFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'mf-cli-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Something listens there and says always the same. */
async function answerWith(t: TestContext, path: string, reply: string): Promise<void> {
  const server = createServer((socket) => socket.end(reply));
  server.listen(path);
  await once(server, 'listening');
  t.after(() => server.close());
}

/** A folder with agent.yaml in it, and an agent behind its socket when `work` is given. */
async function startSite(t: TestContext, work?: Partial<CommandWork>): Promise<(...args: string[]) => Promise<Ran>> {
  const folder = tempFolder(t);
  writeFileSync(join(folder, 'agent.yaml'), 'tenant: acme\nagent: nas-1\nstate: state\n');
  mkdirSync(join(folder, 'state'));
  if (work !== undefined) {
    const commands = createCommands({
      status: () => sampleStatus,
      queueList: () => [sampleMail],
      queueShow: (id) => (id === sampleMail.id ? sampleMail : undefined),
      queue: () => sampleQueue,
      fetch: async (account) => sampleStatus.accounts.filter((one) => account === undefined || one.id === account),
      quarantine: () => sampleQuarantine,
      ...work,
    });
    const log = pino({ level: 'silent' });
    const control = createControl({ path: join(folder, 'state', 'agent.sock'), commands, log });
    t.after(() => control.stop());
    await control.start();
  }
  return async (...args) => {
    let out = '';
    let error = '';
    const code = await runCli(args, {
      out: (text) => void (out += text),
      error: (text) => void (error += text),
      folder,
      now: () => 1_008_000,
    });
    return { code, out, error };
  };
}

const healthy = [
  'acme/nas-1  version 0.1.0, up 3 h 12 min',
  '',
  'local           ok',
  'relay provider  ok',
  'queue           3 mails, oldest 12 s',
  'report          connected',
  '',
  'MAILBOX  WAITING  KEPT  LAST ROUND  STATE',
  'info           0    12  8 s ago     ok',
  'sales        103     4  18 s ago    ok',
  '',
  'ADDRESS OR DOMAIN  BLOCK LIST        CHECKED    STATE',
  '192.0.2.10         zen.spamhaus.org  108 s ago  clean',
  'example.org        dbl.spamhaus.org  108 s ago  refused: answered 127.255.255.254',
  '',
];

test('status is short, aligned and readable without colours', async (t) => {
  const mailferry = await startSite(t, {});
  const { code, out, error } = await mailferry('status');
  assert.deepEqual(out.split('\n'), healthy);
  assert.equal(error, '');
  assert.equal(code, 0);
});

test('status ends with 1 and names the trouble', async (t) => {
  const [info] = sampleStatus.accounts;
  assert.ok(info);
  const troubled = {
    ...sampleStatus,
    accounts: [{ ...info, up: false, problem: 'login refused' }],
    relays: [{ id: 'provider', up: false, problem: 'ECONNREFUSED' }],
    local: { problem: 'out of reach' },
    report: { connected: false, batches: 2, bytes: 2_048, oldestSeconds: 300, dropped: 1 },
    queue: { depth: 1, oldestSeconds: 9_000, held: 1, unknown: 1 },
    dnsbl: [
      { target: '192.0.2.10', zone: 'bl.test', state: 'listed', codes: ['127.0.0.2'], reason: 'spam', checkedAt: 0 },
    ],
  };
  const mailferry = await startSite(t, { status: () => troubled });
  const { code, out } = await mailferry('status');
  assert.equal(code, 1);
  const troubles = out.slice(out.indexOf('Trouble:')).trim().split('\n').slice(1);
  assert.deepEqual(
    troubles.map((line) => line.trim()),
    [
      'mailbox info: login refused',
      'local mail server: out of reach',
      'relay provider: ECONNREFUSED',
      'queue: 1 held, waiting for a person',
      'block list: 192.0.2.10 is listed at bl.test: spam',
      'report: not connected to the collector',
    ],
  );
  assert.match(out, /report +not connected, 2 batches wait \(2\.0 KiB, oldest 5 min\), 1 point dropped/);
  assert.match(out, /queue +1 mail, oldest 2 h 30 min, 1 held, 1 without a known outcome/);
});

test('an agent without rooms is shown without them', async (t) => {
  const bare = { ...sampleStatus, accounts: [], relays: [], queue: null, dnsbl: [], report: null, local: null };
  const mailferry = await startSite(t, { status: () => bare });
  assert.deepEqual(await mailferry('status'), { code: 0, out: healthy[0] + '\n', error: '' });
});

test('queue list shows a line a mail, queue show all of one', async (t) => {
  const mailferry = await startSite(t, {});
  const list = await mailferry('queue', 'list');
  assert.equal(list.code, 0);
  assert.deepEqual(list.out.split('\n').slice(0, 2), [
    'ID    AGE       SIZE  SENDER            TO            RELAY     NEXT TRY  STATE',
    'abc1  8 s  200.0 KiB  info@example.org  2 recipients  provider  in 60 s   queued: The mailbox is full',
  ]);
  const show = await mailferry('queue', 'show', 'abc1');
  assert.equal(show.code, 0);
  assert.match(show.out, /^id +abc1\nsender +info@example\.org\nhanded in by/);
  assert.equal(
    show.out.split('\n').slice(2).join('\n'),
    [
      'handed in by  scanner',
      'accepted      1970-01-01T00:16:40.000Z (8 s ago)',
      'size          200.0 KiB',
      'relay         provider',
      'next try      in 60 s',
      'state         queued: 450 later',
      'to be told    the sender, that it is late, in 60 s, after 1 try in vain',
      '',
      'a@example.net',
      '  state     queued: waits for a try',
      '  tries     1, the last one 8 s ago',
      '  reply     450 later',
      '  means     The mailbox is full',
      '  concerns  this recipient alone',
      '  helps     Tell the recipient in another way',
      '  reports   on failure, as its sender wished',
      '',
      'b@example.net',
      '  state  held: waits for a person (queue release, queue drop)',
      '  tries  9',
      '',
    ].join('\n'),
  );
  const many = Array.from({ length: 9 }, (_, n) => ({
    address: n + '@example.net',
    state: 'queued',
    attempts: n,
    lastReply: '450 later',
  }));
  const crowd = await startSite(t, { queueShow: () => ({ ...sampleMail, recipients: many }) });
  assert.match(
    (await crowd('queue', 'show', 'abc1')).out,
    /RECIPIENT +STATE +TRIES +WHY\n0@example\.net +queued +0 +450 later\n/,
  );
});

test('what is done to a mail is told with its recipients, and who may get it twice', async (t) => {
  const mailferry = await startSite(t, {});
  const twice = 'abc1: an earlier try ended without an answer; it may have arrived already at b@example.net\n';
  const rows: [string[], string][] = [
    [['hold', 'abc1'], 'abc1: held, not sent until it is released, to a@example.net, b@example.net\n' + twice],
    [['release', 'abc1'], 'abc1: released, sent now to a@example.net, b@example.net\n' + twice],
    [['retry', 'abc1'], 'abc1: tried now for a@example.net, b@example.net\n' + twice],
    [['drop', 'abc1'], 'abc1: removed; it is not sent to a@example.net, b@example.net\n' + twice],
    [['flush'], '3 mails are tried now.\n'],
  ];
  for (const [words, out] of rows) {
    assert.deepEqual(await mailferry('queue', ...words), { code: 0, out, error: '' });
    const json = await mailferry('queue', ...words, '--json');
    assert.equal(typeof JSON.parse(json.out), 'object');
  }
  const bare = await startSite(t, { queue: () => undefined });
  assert.deepEqual(await bare('queue', 'release', 'abc1'), {
    code: 1,
    out: '',
    error: 'Cannot release a mail: no submission is configured, expected `relays` and `submission`\n',
  });
});

test('a longer queue than was listed is told', async (t) => {
  const queue = { depth: 2_000, oldestSeconds: 1, held: 0, unknown: 0 };
  const mailferry = await startSite(t, { status: () => ({ ...sampleStatus, queue }) });
  assert.match((await mailferry('queue', 'list')).out, /\nand 1999 more\n$/);
});

test('an empty queue says so', async (t) => {
  const mailferry = await startSite(t, { queueList: () => [] });
  assert.deepEqual(await mailferry('queue', 'list'), { code: 0, out: 'The queue is empty.\n', error: '' });
});

test('text from outside cannot steer the terminal', async (t) => {
  const mailferry = await startSite(t, {
    queueList: () => [{ ...sampleMail, from: '\u001b[2Jx\u009b1m@example.org' }],
  });
  const { out } = await mailferry('queue', 'list');
  assert.doesNotMatch(out, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
});

test('fetch fetches all accounts or one, and ends with 1 when a round failed', async (t) => {
  const mailferry = await startSite(t, {});
  assert.match((await mailferry('fetch')).out, /info .*\nsales /);
  const one = await mailferry('fetch', 'sales');
  assert.equal(one.code, 0);
  assert.doesNotMatch(one.out, /info/);
  const [info] = sampleStatus.accounts;
  assert.ok(info);
  const failing = await startSite(t, { fetch: async () => [{ ...info, up: false, problem: 'login refused' }] });
  const failed = await failing('fetch');
  assert.equal(failed.code, 1);
  assert.match(failed.out, /Trouble:\n {2}mailbox info: login refused/);
});

test('--json gives the answer as JSON and the same exit code', async (t) => {
  const mailferry = await startSite(t, {});
  const commands = [['status'], ['queue', 'list'], ['queue', 'show', 'abc1'], ['fetch'], ['fetch', 'info']];
  for (const command of commands) {
    const { code, out, error } = await mailferry(...command, '--json');
    assert.equal(code, 0, command.join(' '));
    assert.equal(error, '');
    assert.equal(typeof JSON.parse(out), 'object');
  }
  assert.deepEqual(JSON.parse((await mailferry('status', '--json')).out), { ...sampleStatus, troubles: [] });
});

test('what the agent refuses ends with 1 and one line', async (t) => {
  const mailferry = await startSite(t, {});
  const missing = await mailferry('queue', 'show', 'nope');
  assert.deepEqual(missing, {
    code: 1,
    out: '',
    error: 'Cannot show mail "nope": it is not in the queue, expected an id of queue list\n',
  });
  const account = await mailferry('fetch', 'sale');
  assert.equal(account.code, 1);
  assert.match(account.error, /expected sales \(the nearest known account\)/);
});

test('wrong usage ends with 2 and names the nearest command or the missing argument', async (t) => {
  const mailferry = await startSite(t, {});
  const cases: [string[], RegExp][] = [
    [['statsu'], /unknown command 'statsu'\n\(Did you mean status\?\)/],
    [['queue', 'lsit'], /unknown command 'lsit'\n\(Did you mean list\?\)/],
    [['queue', 'show'], /missing required argument 'id'/],
    [['queue'], /Usage: mailferry queue/],
    [[], /Usage: mailferry/],
    [['status', 'extra'], /too many arguments/],
    [['status', '--jsn'], /unknown option '--jsn'\n\(Did you mean --json\?\)/],
    [['--config'], /argument missing/],
  ];
  for (const [args, expected] of cases) {
    const { code, error } = await mailferry(...args);
    assert.match(error, expected, args.join(' '));
    assert.equal(code, 2, args.join(' '));
  }
});

test('asking for help is not wrong', async (t) => {
  const mailferry = await startSite(t);
  const { code, out } = await mailferry('--help');
  assert.equal(code, 0);
  for (const word of ['status', 'queue', 'fetch', '--config', '--socket']) assert.match(out, new RegExp(word));
  assert.equal((await mailferry('queue', 'show', '--help')).code, 0);
});

test('a configuration that is missing or wrong ends with 2', async (t) => {
  const mailferry = await startSite(t);
  assert.match((await mailferry('--config', 'no.yaml', 'status')).error, /Cannot read configuration .*no\.yaml/);
  assert.equal((await mailferry('--config', 'no.yaml', 'status')).code, 2);
});

test('without an agent it ends with 3 and one line with the remedy', async (t) => {
  const mailferry = await startSite(t);
  for (const args of [['status'], ['--config', 'agent.yaml', 'status'], ['--socket', 'no.sock', 'queue', 'list']]) {
    const { code, out, error } = await mailferry(...args);
    assert.equal(code, 3);
    assert.equal(out, '');
    assert.match(
      error,
      /^Cannot reach the agent at .*\.sock: nobody answers, expected a running agent; start it with: npm run agent -- --config .*\n$/,
    );
  }
});

test('nothing says where the agent is: 2, and what to give', async (t) => {
  const folder = tempFolder(t);
  let error = '';
  const code = await runCli(['status'], {
    out: () => {},
    error: (text) => void (error += text),
    folder,
    now: Date.now,
  });
  assert.equal(code, 2);
  assert.match(
    error,
    /^Cannot find the agent: no --config, no --socket and no agent\.yaml in this folder, expected --config FILE/,
  );
});

test('an agent that closes, or answers nonsense, ends with 1', async (t) => {
  for (const reply of ['', 'nonsense\n', '{"ok":1}\n']) {
    const folder = tempFolder(t);
    await answerWith(t, join(folder, 's'), reply);
    let error = '';
    const terminal = { out: () => {}, error: (text: string) => void (error += text), folder, now: Date.now };
    assert.equal(await runCli(['--socket', 's', 'status'], terminal), 1);
    assert.match(error, /^Cannot reach the agent at /);
  }
});

test('an answer of another shape is shown as it is', async (t) => {
  const folder = tempFolder(t);
  await answerWith(t, join(folder, 's'), '{"ok":true,"value":{"number":7}}\n');
  let out = '';
  const terminal = { out: (text: string) => void (out += text), error: () => {}, folder, now: Date.now };
  assert.equal(await runCli(['--socket', 's', 'status'], terminal), 0);
  assert.deepEqual(JSON.parse(out), { number: 7 });
});

test('the program itself gives text and exit code to the shell', async (t) => {
  const folder = tempFolder(t);
  const main = new URL('../../../agent/cli/main.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [main, '--socket', join(folder, 'no.sock'), 'status']);
  let error = '';
  child.stderr.on('data', (chunk) => (error += String(chunk)));
  const [code] = await once(child, 'close');
  assert.equal(code, 3);
  assert.match(error, /^Cannot reach the agent/);
});
