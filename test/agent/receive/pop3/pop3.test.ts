import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { systemClock } from '#shared/clock.ts';
import { openPop3 } from '../../../../agent/receive/pop3/pop3.ts';
import type { Pop3 } from '../../../../agent/receive/pop3/pop3.ts';
import { Pop3Error } from '../../../../agent/receive/pop3/pop3-error.ts';
import type { Pop3Timeouts } from '../../../../agent/receive/pop3/wire.ts';
import { createLab } from '../../../lab/lab.ts';
import { startLineServer } from '../../../lab/line-server.ts';
import type { Connection } from '../../../lab/line-server.ts';
import { multiline } from '../../../lab/scripted-pop3.ts';
import type { ScriptedPop3, ScriptedPop3Options } from '../../../lab/scripted-pop3.ts';
import { waitFor } from '../../../lab/wait.ts';

const mail = (text: string): Buffer => Buffer.from('Subject: test\r\n\r\n' + text + '\r\n', 'latin1');
const password = 'p\u00e4ss word ';
const slow = ['USER', 'UIDL']; // no PIPELINING
const mails = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ uid: 'uid-' + index, bytes: mail('text ' + index) }));

type Opened = { readonly server: ScriptedPop3; readonly open: (user?: string, pass?: string) => Promise<Pop3> };

async function scripted(
  t: TestContext,
  options: ScriptedPop3Options,
  timeouts: Partial<Pop3Timeouts> = {},
): Promise<Opened> {
  const server = await createLab(t).scriptedPop3(options);
  const controller = new AbortController();
  t.after(() => controller.abort());
  const endpoint = { host: server.host, port: server.port, tls: 'none' } as const;
  const all = { connectMs: 5_000, replyMs: 5_000, progressMs: 5_000, ...timeouts };
  return {
    server,
    open: (user = 'info@example.org', pass = password) =>
      openPop3({ endpoint, user, password: pass, signal: controller.signal, clock: systemClock, timeouts: all }),
  };
}

async function retr(pop3: Pop3, number: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  await pop3.retr(number, (bytes) => void parts.push(bytes));
  return Buffer.concat(parts);
}

/** Checks and shows a Pop3Error. */
const trouble =
  (expected: string, pattern: RegExp) =>
  (error: unknown): true => {
    assert.ok(error instanceof Pop3Error, String(error));
    assert.equal(error.trouble, expected);
    assert.match(error.message, pattern);
    return true;
  };

for (const capabilities of [['USER', 'UIDL', 'PIPELINING'], slow]) {
  test('a session with ' + capabilities.join(' ') + ' lists, reads, deletes and quits', async (t) => {
    const { server, open } = await scripted(t, { mails: mails(3), capabilities });
    const pop3 = await open();
    assert.equal(pop3.pipelining, capabilities !== slow);
    assert.deepEqual(await pop3.stat(), {
      count: 3,
      sizeBytes: mails(3).reduce((sum, { bytes }) => sum + bytes.length, 0),
    });
    assert.deepEqual(
      [...(await pop3.uidl()).entries],
      [
        [1, 'uid-0'],
        [2, 'uid-1'],
        [3, 'uid-2'],
      ],
    );
    assert.deepEqual([...(await pop3.list()).entries.keys()], [1, 2, 3]);
    const read = await Promise.all([1, 2, 3].map((number) => retr(pop3, number)));
    assert.deepEqual(
      read,
      mails(3).map(({ bytes }) => bytes),
    );
    await Promise.all([pop3.dele(1), pop3.dele(3)]);
    assert.equal(server.mails.length, 3);
    await pop3.quit();
    await waitFor('the deletions', () => server.mails.length === 1);
    await assert.rejects(pop3.stat(), trouble('lost', /session is closed/));
  });
}

/** A server that lists `capabilities`, lets everybody in, and leaves the rest to the test. */
async function served(
  t: TestContext,
  capabilities: readonly string[],
  serve: (connection: Connection) => Promise<void>,
  progressMs = 5_000,
): Promise<Pop3> {
  const server = await startLineServer({
    async serve(connection) {
      await connection.act('+OK\r\n');
      for (const answer of ['CAPA', '', '', 'CAPA']) {
        await connection.line();
        await connection.act(answer === 'CAPA' ? ['+OK', ...capabilities, '.', ''].join('\r\n') : '+OK\r\n');
      }
      // The first STAT comes ahead.
      if (capabilities.includes('PIPELINING')) {
        assert.equal(await connection.line(), 'STAT');
        await connection.act('+OK 3 300\r\n');
      }
      await serve(connection);
    },
  });
  t.after(server.close);
  const endpoint = { host: server.host, port: server.port, tls: 'none' } as const;
  const timeouts = { connectMs: 5_000, replyMs: 5_000, progressMs };
  return openPop3({ endpoint, user: 'a', password: 'b', signal: t.signal, clock: systemClock, timeouts });
}

test('commands are sent ahead to a server that lists PIPELINING', async (t) => {
  const pop3 = await served(t, ['PIPELINING'], async (connection) => {
    const asked = [await connection.line(), await connection.line(), await connection.line()];
    assert.deepEqual(asked, ['RETR 1', 'RETR 2', 'RETR 3']);
    for (const { bytes } of mails(3)) await connection.act(multiline(bytes));
    assert.equal(await connection.line(), 'NOOP');
    await connection.act('+OK\r\n');
  });
  assert.deepEqual(await pop3.stat(), { count: 3, sizeBytes: 300 });
  const read = await Promise.all([1, 2, 3].map((number) => retr(pop3, number)));
  assert.deepEqual(
    read,
    mails(3).map(({ bytes }) => bytes),
  );
});

test('commands wait for the answer to the one before at any other server', async (t) => {
  const early: string[] = [];
  const pop3 = await served(t, slow, async (connection) => {
    for (const { bytes } of mails(3)) {
      await connection.line();
      const next = connection.line();
      let answered = false;
      const watch = next.then((line) => (answered ? undefined : early.push(line ?? 'end')));
      await new Promise((resolve) => setTimeout(resolve, 50)); // nothing may come in this time
      answered = true;
      await connection.act(multiline(bytes));
      await watch;
      await connection.act('+OK\r\n');
      if (bytes.includes('text 0')) break;
    }
  });
  await Promise.allSettled([retr(pop3, 1), pop3.dele(2)]);
  assert.deepEqual(early, []);
});

test('a mail that ends at a lone dot is not taken for whole', async (t) => {
  // A server that does not stuff: the dot line ends the mail for every client, and its rest comes as answers.
  const bytes = Buffer.from('Subject: x\r\n\r\none\r\n.\r\ntwo\r\n', 'latin1');
  const rest: readonly (readonly (string | Buffer | { readonly pauseMs: number })[])[] = [
    ['+OK\r\n' + bytes.toString() + '.\r\n'], // in one packet
    ['+OK\r\n' + bytes.toString().slice(0, 22), { pauseMs: 20 }, bytes.toString().slice(22) + '.\r\n'], // just after the end
    ['+OK\r\n' + bytes.toString().slice(0, 22), { pauseMs: 200 }, bytes.toString().slice(22) + '.\r\n'],
  ];
  for (const capabilities of [['PIPELINING'], slow]) {
    for (const action of rest) {
      const { server, open } = await scripted(t, {
        mails: mails(2),
        capabilities,
        script: ({ verb, argument }) => (verb === 'RETR' && argument === '1' ? action : undefined),
      });
      const pop3 = await open();
      const second = retr(pop3, 1).then(
        () => assert.fail('the mail was taken for whole'),
        (error: unknown) => error,
      );
      trouble('out-of-step', /expected (exactly \+OK or -ERR|nothing after its end)/)(await second);
      await assert.rejects(pop3.dele(2), Pop3Error);
      await assert.rejects(pop3.quit(), Pop3Error);
      assert.ok(!server.commands.includes('DELE 2') && !server.commands.includes('QUIT'));
    }
  }
});

test('an answer is exactly +OK or -ERR', async (t) => {
  for (const line of ['+ERR no\r\n', '+OKAY\r\n', '-ERROR\r\n', ' +OK\r\n', '+ok\r\n', 'OK\r\n', '\r\n', '+OK\n\r\n']) {
    const { open } = await scripted(t, { script: ({ verb }) => (verb === 'STAT' ? line : undefined) });
    await assert.rejects((await open()).stat(), trouble('out-of-step', /expected exactly/), JSON.stringify(line));
  }
  const { open } = await scripted(t, { script: ({ verb }) => (verb === 'STAT' ? '+OK two 30\r\n' : undefined) });
  await assert.rejects((await open()).stat(), trouble('out-of-step', /a count and a size/));
});

test('what is no POP3 server is named by its greeting', async (t) => {
  const smtp = await scripted(t, {
    script: ({ verb }) => (verb === 'connect' ? '220 mail.example.org ESMTP\r\n' : undefined),
  });
  await assert.rejects(smtp.open(), trouble('not-pop3', /greets with "220 mail.example.org ESMTP", expected \+OK/));
  const busy = await scripted(t, {
    script: ({ verb }) => (verb === 'connect' ? ['-ERR [SYS/TEMP] too many\r\n', { end: 'close' }] : undefined),
  });
  await assert.rejects(
    busy.open(),
    (error: unknown) => error instanceof Pop3Error && error.code === 'SYS/TEMP' && error.trouble === 'refused',
  );
  const silent = await scripted(
    t,
    { script: ({ verb }) => (verb === 'connect' ? { end: 'hang' } : undefined) },
    { replyMs: 100 },
  );
  await assert.rejects(silent.open(), trouble('timeout', /greeting/));
  const endless = await scripted(t, { script: ({ verb }) => (verb === 'connect' ? 'x'.repeat(10_000) : undefined) });
  await assert.rejects(endless.open(), trouble('out-of-step', /more than 4096 bytes/));
});

test('response codes are read, the password is in no error', async (t) => {
  const table = [
    ['-ERR [IN-USE] locked by another session', 'IN-USE'],
    ['-ERR [LOGIN-DELAY] wait', 'LOGIN-DELAY'],
    ['-ERR [AUTH] Authentication failed.', 'AUTH'],
    ['-ERR [auth] no', 'AUTH'],
    ['-ERR [SYS/TEMP] later', 'SYS/TEMP'],
    ['-ERR [SYS/PERM] never', 'SYS/PERM'],
    ['-ERR [OTHER] x', undefined],
    ['-ERR unknown command: PASS ' + password, undefined],
    ['-ERR PASS ' + Buffer.from(password).toString('latin1'), undefined],
  ] as const;
  for (const [line, code] of table) {
    const { open } = await scripted(t, { script: ({ verb }) => (verb === 'PASS' ? line + '\r\n' : undefined) });
    await assert.rejects(open(), (error: unknown) => {
      assert.ok(error instanceof Pop3Error);
      assert.deepEqual([error.trouble, error.code, error.step], ['refused', code, 'PASS']);
      assert.doesNotMatch(error.message + String(error.stack), /p\u00e4ss word|p\u00c3\u00a4ss/);
      return true;
    });
  }
});

test('a password is sent as it is, blanks and umlauts too', async (t) => {
  const { open } = await scripted(t, { password: Buffer.from(password).toString('latin1') });
  await (await open()).quit();
});

test('a line end in user or password never reaches the server', async (t) => {
  const { server, open } = await scripted(t, {});
  await assert.rejects(open('info\r\nDELE 1'), /Cannot send USER: its argument holds a line end/);
  for (const bad of ['secret\nDELE 1', 'secret\r', 'secret\0'])
    await assert.rejects(
      open(undefined, bad),
      (error: Error) => /Cannot send PASS/.test(error.message) && !error.message.includes('secret'),
    );
  assert.equal(server.opened(), 0);
});

test('a server without CAPA is talked to one command at a time', async (t) => {
  const { open } = await scripted(t, {
    mails: mails(1),
    script: ({ verb }) => (verb === 'CAPA' ? '-ERR what\r\n' : undefined),
  });
  const pop3 = await open();
  assert.equal(pop3.pipelining, false);
  assert.deepEqual(await retr(pop3, 1), mail('text 0'));
  await pop3.quit();
});

test('-ERR to RETR and DELE leaves the session good', async (t) => {
  const { open } = await scripted(t, { mails: mails(1) });
  const pop3 = await open();
  const results = await Promise.allSettled([retr(pop3, 7), retr(pop3, 1), pop3.dele(9)]);
  assert.deepEqual(
    results.map(({ status }) => status),
    ['rejected', 'fulfilled', 'rejected'],
  );
  await pop3.quit();
});

test('a broken line in RETR breaks that mail and every later call', async (t) => {
  for (const end of ['close', 'reset'] as const) {
    const { open } = await scripted(t, {
      mails: mails(2),
      script: ({ verb, good }) => (verb === 'RETR' ? [good.subarray(0, 20), { end }] : undefined),
    });
    const pop3 = await open();
    const results = await Promise.allSettled([retr(pop3, 1), retr(pop3, 2), pop3.dele(1)]);
    for (const result of results) {
      assert.equal(result.status, 'rejected');
      if (result.status === 'rejected') trouble('lost', /RETR/)(result.reason);
    }
    await assert.rejects(pop3.quit(), Pop3Error);
  }
});

test('a mail without an end, and one that trickles, run into the progress limit; a slow one does not', async (t) => {
  const hung = await scripted(
    t,
    {
      mails: mails(1),
      script: ({ verb, good }) => (verb === 'RETR' ? [good.subarray(0, -1), { end: 'hang' }] : undefined),
    },
    { progressMs: 100 },
  );
  await assert.rejects(retr(await hung.open(), 1), trouble('timeout', /RETR/));

  const drops = Array.from({ length: 40 }, () => [{ pauseMs: 10 }, 'x']).flat();
  const trickle = await scripted(
    t,
    { mails: mails(1), script: ({ verb }) => (verb === 'RETR' ? ['+OK\r\n', ...drops, '\r\n.\r\n'] : undefined) },
    { progressMs: 150 },
  );
  await assert.rejects(retr(await trickle.open(), 1), trouble('timeout', /RETR/));

  const pieces = Array.from({ length: 12 }, () => [{ pauseMs: 25 }, 'x'.repeat(5_000)]).flat();
  const steady = await scripted(
    t,
    { mails: mails(1), script: ({ verb }) => (verb === 'RETR' ? ['+OK\r\n', ...pieces, '\r\n.\r\n'] : undefined) },
    { progressMs: 150 },
  );
  assert.equal((await retr(await steady.open(), 1)).length, 60_002);
});

test('the server waits while the sink does, and the sink is not timed', async (t) => {
  const piece = Buffer.alloc(5_000_000, 'abcdefgh\r\n');
  let sent = 0;
  const serve = async (connection: Connection): Promise<void> => {
    await connection.line();
    await connection.act('+OK\r\n');
    for (; sent < 8; sent += 1) await connection.act(piece);
    await connection.act('.\r\n');
    await connection.line();
    await connection.act('+OK\r\n');
  };
  const pop3 = await served(t, slow, serve, 200);
  let size = 0;
  let held = false;
  const gate = Promise.withResolvers<void>();
  const done = pop3.retr(1, (bytes) => {
    size += bytes.length;
    if (held) return undefined;
    held = true;
    return gate.promise;
  });
  await waitFor('the first bytes', () => held);
  await new Promise((resolve) => setTimeout(resolve, 500)); // longer than progressMs: this is what is tested
  assert.ok(sent < 6, 'sent ' + 5 * sent + ' MB to a client that waits');
  gate.resolve();
  await done;
  assert.equal(size, 40_000_000);
});

test('a sink that throws fails its mail alone', async (t) => {
  const { open } = await scripted(t, { mails: mails(2) });
  const pop3 = await open();
  const full = new Error('disk full');
  const results = await Promise.allSettled([
    pop3.retr(1, () => {
      throw full;
    }),
    retr(pop3, 2),
  ]);
  assert.deepEqual(results, [
    { status: 'rejected', reason: full },
    { status: 'fulfilled', value: mail('text 1') },
  ]);
  await pop3.quit();
});

test('an -ERR that nobody asked for is never taken for an acceptance', async (t) => {
  const { open } = await scripted(t, {
    mails: mails(1),
    capabilities: slow,
    script: ({ verb, good }) =>
      verb === 'STAT' ? [Buffer.concat([good, Buffer.from('-ERR Autologout\r\n')]), { end: 'close' }] : undefined,
  });
  const pop3 = await open();
  await pop3.stat();
  await assert.rejects(pop3.dele(1), Pop3Error);
});

test('the terminator is found wherever the packets are cut', async (t) => {
  const content = Buffer.from('Subject: x\r\n\r\n..\r\n.\r\nend.\r\n', 'latin1');
  const wire = multiline(content);
  for (let at = 1; at < wire.length; at += 1) {
    const { open } = await scripted(t, {
      mails: mails(1),
      script: ({ verb }) => (verb === 'RETR' ? [wire.subarray(0, at), wire.subarray(at)] : undefined),
    });
    const pop3 = await open();
    assert.deepEqual(await retr(pop3, 1), content, 'cut at ' + at);
    pop3.close();
  }
});
