// What is known of a mail when the line breaks: the phase, and whether the server can have taken it.
import assert from 'node:assert/strict';
import { once as event } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { ConversationError, openConversation } from '../../../agent/smtp/conversation.ts';
import type { Conversation, Mail, Phase } from '../../../agent/smtp/conversation.ts';
import { startLineServer } from '../../lab/line-server.ts';
import type { Action, Connection } from '../../lab/line-server.ts';
import { startProxy } from '../../lab/proxy.ts';
import { startScriptedSmtp } from '../../lab/scripted-smtp.ts';
import { waitFor } from '../../lab/wait.ts';
import { mailOf, once, optionsFor, shortTimeouts, talk } from './talk.ts';
import type { Owner } from './talk.ts';

async function broken(sending: Promise<unknown>, phase: Phase): Promise<ConversationError> {
  const error: unknown = await sending.then(
    () => assert.fail('the mail was sent'),
    (error: unknown) => error,
  );
  assert.ok(error instanceof ConversationError, String(error));
  assert.equal(error.phase, phase, error.message);
  assert.doesNotMatch(error.message, /\n/);
  return error;
}

const breaks: readonly Action[] = [
  { end: 'close' },
  { end: 'reset' },
  { end: 'hang' },
  '250 ok\r\n250 one too many\r\n',
];
const pipelining = [['PIPELINING', '8BITMIME'], []] as const;

test('a line that breaks is told by its phase, and the connection is never used again', async (t) => {
  const steps: readonly (readonly [string, Phase])[] = [
    ['MAIL', 'mail'],
    ['RCPT', 'recipients'],
    ['DATA', 'data'],
    ['body', 'after-dot'],
  ];
  for (const capabilities of pipelining) {
    for (const action of breaks) {
      for (const [verb, phase] of steps) {
        // An answer too many breaks the order only where nothing more is awaited.
        if (typeof action === 'string' && (verb !== 'DATA' || capabilities.length > 0)) continue;
        const timeouts = { ...shortTimeouts, commandMs: 200, finalMs: 200 };
        const { conversation } = await talk(t, { capabilities, script: once(verb, action) }, { timeouts });
        let dots = 0;
        const error = await broken(conversation.send(mailOf('a\r\n', { beforeDot: () => void (dots += 1) })), phase);
        assert.equal(error.reply, undefined);
        assert.equal(conversation.usable(), false);
        assert.equal(dots, phase === 'after-dot' ? 1 : 0, verb);
        if (phase === 'after-dot') assert.match(error.message, /Cannot tell whether 127\.0\.0\.1:\d+ took the mail/);
        await broken(conversation.send(mailOf('b\r\n')), 'mail');
      }
    }
  }
});

test('421 before the final dot ends the conversation with that reply, after it the reply is the outcome', async (t) => {
  const steps: readonly (readonly [string, Phase])[] = [
    ['MAIL', 'mail'],
    ['RCPT', 'recipients'],
    ['DATA', 'data'],
  ];
  for (const capabilities of pipelining) {
    for (const [verb, phase] of steps) {
      const { conversation } = await talk(t, { capabilities, script: once(verb, '421 4.3.2 going down\r\n') });
      const error = await broken(conversation.send(mailOf('a\r\n')), phase);
      assert.equal(error.reply?.code, 421);
      assert.equal(conversation.usable(), false);
    }
  }
  const { conversation } = await talk(t, { script: once('body', '421 4.3.2 going down\r\n') });
  const { recipients } = await conversation.send(mailOf('a\r\n'));
  assert.deepEqual(
    recipients.map((answer) => [answer.reply.code, answer.phase]),
    [[421, 'after-dot']],
  );
  assert.equal(conversation.usable(), false);
});

test('an answer after the final dot that is neither yes nor no leaves the outcome unknown', async (t) => {
  for (const action of ['354 again\r\n', 'taken\r\n', '250-taken\r\n', Buffer.alloc(5_000, 'x')]) {
    const timeouts = { ...shortTimeouts, finalMs: 200 };
    const { conversation } = await talk(t, { script: once('body', action) }, { timeouts });
    const error = await broken(conversation.send(mailOf('a\r\n')), 'after-dot');
    assert.equal(error.reply, undefined);
  }
});

test('an answer counts although the line breaks behind it', async (t) => {
  const server = await startLineServer({
    serve: (connection) =>
      takeMail(connection, async () => {
        await connection.data();
        await connection.act('250 2.0.0 taken\r\nrubbish\r\n');
        await connection.act({ end: 'reset' });
      }),
  });
  t.after(server.close);
  const conversation = await openConversation(optionsFor(server));
  const { recipients } = await conversation.send(mailOf('a\r\n'));
  assert.equal(recipients[0]?.reply.text, '2.0.0 taken');
  await waitFor('the break is noticed', () => !conversation.usable());
});

test('LMTP: recipients that were answered before the line broke keep their answer', async (t) => {
  const { conversation } = await talk(t, {
    protocol: 'lmtp',
    script: ({ verb, argument }) => {
      if (verb === 'RCPT' && argument.includes('<no@')) return '550 5.1.1 nobody\r\n';
      return verb === 'body' && argument.startsWith('c@') ? { end: 'close' } : undefined;
    },
  });
  const recipients = ['a@example.org', 'no@example.org', 'b@example.org', 'c@example.org', 'd@example.org'];
  const error = await broken(conversation.send(mailOf('a\r\n', { recipients })), 'after-dot');
  assert.deepEqual(
    error.answered.map((answer) => [answer.address, answer.reply.code, answer.phase]),
    [
      ['a@example.org', 250, 'after-dot'],
      ['no@example.org', 550, 'recipients'],
      ['b@example.org', 250, 'after-dot'],
    ],
  );
});

test('a server that cuts in the middle of the body has taken nothing', async (t) => {
  for (const how of ['close', 'reset'] as const) {
    const conversation = await withBodyServer(t, async (connection) => {
      await connection.bytes(100_000);
      await connection.act({ end: how });
    });
    await broken(conversation.send(bigMail(8_000_000)), 'body');
  }
});

test('a server that refuses in the middle of the body is understood, and the rest is not sent', async (t) => {
  const conversation = await withBodyServer(t, async (connection) => {
    await connection.bytes(100_000);
    // It must read on, or the kernel throws its answer away together with the connection.
    await connection.act(['552 5.3.4 too big\r\n', { end: 'hang' }]);
  });
  let dots = 0;
  const { recipients } = await conversation.send(bigMail(8_000_000, { beforeDot: () => void (dots += 1) }));
  assert.deepEqual(
    recipients.map((answer) => [answer.reply.enhanced, answer.phase]),
    [['5.3.4', 'body']],
  );
  assert.equal(dots, 0);
  assert.equal(conversation.usable(), false);
});

test('a server that refuses in the middle of the body and closes at once is understood all the same', async (t) => {
  // It ends its own direction and reads on, as a kernel with an answer on its way does.
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    let seen = '';
    socket.on('error', () => {});
    socket.write('220 relay\r\n');
    socket.on('data', (chunk) => {
      if (seen.length > 1_000) return;
      const before = seen.length;
      seen += chunk.toString('latin1');
      if (before === 0) socket.write('250 relay\r\n');
      else if (/\r\nDATA\r\n/.test(seen) && seen.length > 1_000) socket.end('552 5.3.4 too big\r\n');
      else socket.write(seen.endsWith('DATA\r\n') ? '354 go\r\n' : '250 ok\r\n');
    });
  });
  server.listen(0, '127.0.0.1');
  await event(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo; // a TCP server
  const conversation = await openConversation(optionsFor({ host: '127.0.0.1', port }));
  const body = async function* (): AsyncGenerator<Uint8Array> {
    for (let block = 0; block < 100; block += 1) {
      yield Buffer.alloc(70_000, 0x61);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  const { recipients } = await conversation.send(mailOf('', { body: { open: body, sizeBytes: 7_000_000 } }));
  assert.deepEqual(
    recipients.map((answer) => [answer.reply.enhanced, answer.phase]),
    [['5.3.4', 'body']],
  );
  assert.equal(conversation.usable(), false);
});

test('a server that stops reading, or reads drop by drop, meets the deadline of a block', async (t) => {
  const timeouts = { ...shortTimeouts, writeMs: 200 };
  const stalled = await startLineServer({ serve: (connection) => takeMail(connection, () => new Promise(() => {})) });
  t.after(stalled.close);
  const well = await startScriptedSmtp({});
  t.after(well.close);
  const proxy = await startProxy({ to: well });
  t.after(proxy.close);
  proxy.throttle(100_000);
  for (const place of [stalled, proxy]) {
    const conversation = await openConversation(optionsFor(place, { timeouts }));
    const error = await broken(conversation.send(bigMail(64_000_000)), 'body');
    assert.match(error.message, /the server did not read on within 200 ms/);
  }
});

test('a body that breaks off, is too short or too long is not sent, and the conversation is closed', async (t) => {
  const rows: readonly (readonly [Mail['body'], RegExp])[] = [
    [{ sizeBytes: 10, open: () => [Buffer.from('abc')] }, /its body ended after 3 bytes, expected 10 bytes/],
    [{ sizeBytes: 2, open: () => [Buffer.from('abc')] }, /its body ended after 3 bytes, expected 2 bytes/],
    [
      { sizeBytes: 3, open: () => Readable.from([Buffer.from('a'), Promise.reject(new Error('disk error'))]) },
      /disk error/,
    ],
    [{ sizeBytes: 3, open: () => Readable.from(['abc']) }, /its body gave no bytes/],
  ];
  for (const [body, message] of rows) {
    const { server, conversation } = await talk(t);
    await assert.rejects(conversation.send(mailOf('', { body })), message);
    assert.equal(conversation.usable(), false);
    await waitFor('the server sees the end', () => server.open() === 0);
    assert.equal(server.mails.length, 0);
  }
});

test('a beforeDot that fails keeps the mail from being accepted', async (t) => {
  const { server, conversation } = await talk(t);
  const beforeDot = (): Promise<void> => Promise.reject(new Error('disk full'));
  await assert.rejects(conversation.send(mailOf('a\r\n', { beforeDot })), /disk full/);
  await waitFor('the server sees the end', () => server.open() === 0);
  assert.equal(server.mails.length, 0);
});

test('a stop ends a mail at once, in every phase, even with a body or beforeDot that never comes', async (t) => {
  for (const verb of ['MAIL', 'RCPT', 'DATA']) {
    const stop = new AbortController();
    const { conversation } = await talk(t, {
      capabilities: [],
      script: (step) => {
        if (step.verb !== verb) return undefined;
        stop.abort();
        return { end: 'hang' };
      },
    });
    const error = await broken(conversation.send(mailOf('a\r\n', { signal: stop.signal })), phaseOf(verb));
    assert.match(error.message, /stopped/);
  }
  const never = new Promise<never>(() => {});
  const stuck: readonly Partial<Mail>[] = [
    { body: { sizeBytes: 1, open: () => new Readable({ read: () => {} }) } },
    { body: { sizeBytes: 1, open: () => ({ [Symbol.asyncIterator]: () => ({ next: () => never }) }) } },
    { beforeDot: () => never },
  ];
  for (const part of stuck) {
    const stop = new AbortController();
    const { server, conversation } = await talk(t);
    const sending = broken(conversation.send(mailOf('a\r\n', { ...part, signal: stop.signal })), 'body');
    await waitFor('DATA is said', () => server.commands.includes('DATA'));
    stop.abort();
    await sending;
  }
  const { conversation } = await talk(t);
  await broken(conversation.send(mailOf('a\r\n', { signal: AbortSignal.abort() })), 'mail');
});

test('a stop after the final dot still waits a moment for the answer', async (t) => {
  const rows: readonly (readonly [Action, boolean])[] = [
    [[{ pauseMs: 50 }, '250 2.0.0 taken\r\n'], true],
    [{ end: 'hang' }, false],
  ];
  for (const [action, known] of rows) {
    const stop = new AbortController();
    const { conversation } = await talk(t, {
      script: (step) => {
        if (step.verb !== 'body') return undefined;
        stop.abort();
        return action;
      },
    });
    const sending = conversation.send(mailOf('a\r\n', { signal: stop.signal }));
    if (known) assert.equal((await sending).recipients[0]?.reply.code, 250);
    else await broken(sending, 'after-dot');
  }
});

test('an answer that nobody asked for ends the conversation: the next mail would get it for its own', async (t) => {
  const { conversation } = await talk(t, { script: once('body', '250 2.0.0 taken\r\n250 2.0.0 again\r\n') });
  const { recipients } = await conversation.send(mailOf('a\r\n'));
  assert.equal(recipients[0]?.reply.text, '2.0.0 taken');
  await waitFor('the end', () => !conversation.usable());
  const error = await broken(conversation.send(mailOf('b\r\n')), 'mail');
  assert.match(error.message, /the server answered unasked: 250 2\.0\.0 again/);
});

test('an idle conversation notices that the server closes, with or without 421', async (t) => {
  for (const goodbye of ['421 4.4.2 idle too long\r\n', 'nonsense\r\n', '']) {
    const server = await startLineServer({
      serve: async (connection) => {
        await connection.act('220 x\r\n');
        await connection.line();
        await connection.act('250 x\r\n');
        await connection.act([{ pauseMs: 20 }, goodbye, { end: 'close' }]);
      },
    });
    t.after(server.close);
    const conversation = await openConversation(optionsFor(server));
    assert.equal(conversation.usable(), true);
    await waitFor('the end is noticed', () => !conversation.usable());
    const error = await broken(conversation.send(mailOf('a\r\n')), 'mail');
    assert.equal(error.reply?.code, goodbye.startsWith('421') ? 421 : undefined);
    await conversation.quit();
  }
});

function phaseOf(verb: string): Phase {
  return verb === 'MAIL' ? 'mail' : verb === 'RCPT' ? 'recipients' : 'data';
}

function bigMail(sizeBytes: number, more: Partial<Mail> = {}): Mail {
  const line = Buffer.from('0123456789'.repeat(99) + '\r\n');
  function* lines(): Generator<Uint8Array> {
    for (let left = sizeBytes; left > 0; left -= line.length) yield line.subarray(-left);
  }
  return mailOf('', { body: { sizeBytes, open: lines }, ...more });
}

/** Says the envelope's answers, then `body`. */
async function takeMail(connection: Connection, body: () => Promise<void>): Promise<void> {
  await connection.act('220 x\r\n');
  for (const answer of ['250 x\r\n', '250 ok\r\n', '250 ok\r\n', '354 go\r\n']) {
    await connection.line();
    await connection.act(answer);
  }
  await body();
}

async function withBodyServer(t: Owner, body: (connection: Connection) => Promise<void>): Promise<Conversation> {
  const server = await startLineServer({ serve: (connection) => takeMail(connection, () => body(connection)) });
  t.after(server.close);
  const conversation = await openConversation(optionsFor(server));
  t.after(() => Promise.resolve(conversation.close()));
  return conversation;
}
