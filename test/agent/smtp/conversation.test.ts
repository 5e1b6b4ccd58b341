// One mail after the other over a conversation that works: envelope, refusals, reuse.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SendResult } from '../../../agent/smtp/conversation.ts';
import { waitFor } from '../../lab/wait.ts';
import { mailOf, once, talk } from './talk.ts';

function shown(result: SendResult): readonly string[] {
  return result.recipients.map(({ address, reply, phase }) => address + ' ' + reply.code + ' ' + phase);
}

test('the envelope declares what the server offers, in one write with PIPELINING', async (t) => {
  const { server, conversation } = await talk(t);
  const result = await conversation.send(mailOf('Subject: x\r\n\r\n.dot\r\n', { head: Buffer.from('X-Top: 1\r\n') }));
  assert.deepEqual(shown(result), ['sales@example.net 250 after-dot']);
  assert.deepEqual(server.commands.slice(1), [
    'MAIL FROM:<info@example.org> SIZE=30 BODY=8BITMIME',
    'RCPT TO:<sales@example.net>',
    'DATA',
  ]);
  assert.equal(server.mails[0]?.bytes.toString(), 'X-Top: 1\r\nSubject: x\r\n\r\n.dot\r\n');
  assert.equal(conversation.usable(), true);
});

test('nothing is declared that the server does not offer, and each command waits for its answer', async (t) => {
  let early = 0;
  const open = new Set<string>();
  const { server, conversation } = await talk(t, {
    capabilities: [],
    script: ({ verb }) => {
      // In lockstep a command is only seen after the one before was answered.
      if (verb === 'RCPT' && open.has('MAIL')) early += 1;
      open.add(verb);
      setImmediate(() => open.delete(verb));
      return undefined;
    },
  });
  await conversation.send(mailOf('a\xff\r\n', { from: '' }));
  assert.deepEqual(server.commands.slice(1), ['MAIL FROM:<>', 'RCPT TO:<sales@example.net>', 'DATA']);
  assert.equal(server.mails[0]?.bytes.toString('latin1'), 'a\xff\r\n');
  assert.equal(early, 0);
});

test('addresses: IDN domains as ASCII, SMTPUTF8 only for a local part that needs it, 5.6.7 where it is not offered', async (t) => {
  const recipients = ['a@bücher.example', 'büro@example.net', 'no\r\nRSET@example.net'];
  const offered = await talk(t);
  const well = await offered.conversation.send(mailOf('a\r\n', { recipients }));
  assert.deepEqual(
    well.recipients.map(({ reply }) => reply.enhanced),
    ['2.0.0', '2.0.0', '5.1.3'],
  );
  assert.match(offered.server.commands[1] ?? '', / SMTPUTF8$/);
  assert.equal(offered.server.commands[2], 'RCPT TO:<a@xn--bcher-kva.example>');
  assert.deepEqual(offered.server.mails[0]?.recipients, ['a@xn--bcher-kva.example', 'büro@example.net']);
  await offered.conversation.send(mailOf('a\r\n', { recipients: ['a@bücher.example'] }));
  assert.doesNotMatch(offered.server.commands[5] ?? '', /SMTPUTF8/);

  const { server, conversation } = await talk(t, { capabilities: ['PIPELINING'] });
  const result = await conversation.send(mailOf('a\r\n', { recipients }));
  assert.deepEqual(
    result.recipients.map(({ reply }) => reply.enhanced),
    ['2.0.0', '5.6.7', '5.1.3'],
  );
  const sender = await conversation.send(mailOf('a\r\n', { from: 'büro@example.org', recipients }));
  assert.deepEqual(
    sender.recipients.map(({ reply, phase }) => [reply.enhanced, phase]),
    [
      ['5.6.7', 'mail'],
      ['5.6.7', 'recipients'],
      ['5.1.3', 'recipients'],
    ],
  );
  assert.equal(server.mails.length, 1);
});

test('a mail over the announced size is not even tried', async (t) => {
  const { server, conversation } = await talk(t, { capabilities: ['SIZE 10'] });
  const result = await conversation.send(mailOf('0123456789\r\n'));
  assert.deepEqual(shown(result), ['sales@example.net 552 mail']);
  assert.equal(result.recipients[0]?.reply.enhanced, '5.3.4');
  await conversation.send(mailOf('01234567\r\n'));
  assert.equal(server.mails.length, 1);
  const unlimited = await talk(t, { capabilities: ['SIZE 0'] });
  assert.deepEqual(shown(await unlimited.conversation.send(mailOf('a\r\n'))), ['sales@example.net 250 after-dot']);
});

test('refusals are values; the conversation is reset and takes the next mail', async (t) => {
  const refusals = [
    ['MAIL', '550 5.7.1 not you\r\n', 550, 'mail'],
    ['MAIL', '452 4.3.1 full\r\n', 452, 'mail'],
    ['RCPT', '550 5.1.1 nobody\r\n', 550, 'recipients'],
    ['DATA', '451 4.3.0 later\r\n', 451, 'data'],
    ['body', '554 5.6.0 no\r\n', 554, 'after-dot'],
  ] as const;
  for (const capabilities of [['PIPELINING'], []]) {
    for (const [verb, answer, code, phase] of refusals) {
      const { server, conversation } = await talk(t, { capabilities, script: once(verb, answer) });
      const result = await conversation.send(mailOf('first\r\n'));
      assert.deepEqual(shown(result), ['sales@example.net ' + code + ' ' + phase]);
      assert.equal(server.commands.at(-1), 'RSET');
      assert.equal(conversation.usable(), true);
      await conversation.send(mailOf('second\r\n'));
      assert.deepEqual(
        server.mails.map((mail) => mail.bytes.toString()),
        ['second\r\n'],
      );
      assert.equal(server.opened(), 1);
    }
  }
});

test('DATA that a pipelining server accepts without a recipient gets only the lone dot', async (t) => {
  const rows = [
    ['RCPT', '550 5.1.1 nobody\r\n', 'recipients'],
    ['MAIL', '550 5.7.1 not you\r\n', 'mail'],
  ] as const;
  for (const [verb, answer, phase] of rows) {
    let bodies = 0;
    const { server, conversation } = await talk(t, {
      script: (step) => {
        if (step.verb === verb && step.before === 0) return answer;
        if (step.verb === 'DATA' && step.before === 0) return '354 go on\r\n';
        if (step.verb === 'body') bodies += 1;
        return step.verb === 'body' && step.before === 0 ? '554 5.5.1 nobody to take it\r\n' : undefined;
      },
    });
    let dots = 0;
    const result = await conversation.send(mailOf('secret\r\n', { beforeDot: () => void (dots += 1) }));
    assert.deepEqual(shown(result), ['sales@example.net 550 ' + phase]);
    assert.deepEqual([bodies, dots], [1, 0]);
    await conversation.send(mailOf('next\r\n'));
    assert.deepEqual(
      server.mails.map((mail) => mail.bytes.toString()),
      ['next\r\n'],
    );
  }
  const { conversation } = await talk(t, {
    protocol: 'lmtp',
    script: ({ verb }) => (verb === 'RCPT' ? '550 nobody\r\n' : verb === 'DATA' ? '354 go on\r\n' : undefined),
  });
  assert.deepEqual(shown(await conversation.send(mailOf('a\r\n'))), ['sales@example.net 550 recipients']);
  assert.equal(conversation.usable(), false);
});

test('some recipients refused: the others get the mail, and each has its own answer in the order asked', async (t) => {
  for (const capabilities of [['PIPELINING'], []]) {
    const { server, conversation } = await talk(t, {
      capabilities,
      script: ({ verb, argument }) => (verb === 'RCPT' && argument.includes('no') ? '450 4.2.1 busy\r\n' : undefined),
    });
    const recipients = ['no1@example.org', 'a@example.org', 'no2@example.org', 'b@example.org', 'a@example.org'];
    const result = await conversation.send(mailOf('a\r\n', { recipients }));
    assert.deepEqual(shown(result), [
      'no1@example.org 450 recipients',
      'a@example.org 250 after-dot',
      'no2@example.org 450 recipients',
      'b@example.org 250 after-dot',
      'a@example.org 250 after-dot',
    ]);
    assert.deepEqual(server.mails[0]?.recipients, ['a@example.org', 'b@example.org', 'a@example.org']);
    assert.equal(server.commands.includes('RSET'), false);
  }
});

test('LMTP answers each recipient after the dot', async (t) => {
  const { server, conversation } = await talk(t, {
    protocol: 'lmtp',
    script: ({ verb, argument }) => {
      if (verb === 'RCPT' && argument.includes('<no@')) return '550 5.1.1 nobody\r\n';
      return verb === 'body' && argument === 'full@example.org' ? '452 4.2.2 full\r\n' : undefined;
    },
  });
  const recipients = ['a@example.org', 'no@example.org', 'full@example.org', 'b@example.org'];
  const result = await conversation.send(mailOf('a\r\n', { recipients, keepBareLineEnds: true }));
  assert.deepEqual(shown(result), [
    'a@example.org 250 after-dot',
    'no@example.org 550 recipients',
    'full@example.org 452 after-dot',
    'b@example.org 250 after-dot',
  ]);
  assert.deepEqual(server.mails[0]?.recipients, ['a@example.org', 'b@example.org']);
  assert.equal(conversation.usable(), true);
});

test('a thousand recipients go in one write and come back in order', async (t) => {
  const { conversation } = await talk(t, {
    script: ({ verb, before }) => (verb === 'RCPT' && before % 3 === 0 ? '550 5.1.1 nobody\r\n' : undefined),
  });
  const recipients = Array.from({ length: 1_000 }, (_, index) => 'r' + index + '@example.org');
  const result = await conversation.send(mailOf('a\r\n', { recipients }));
  assert.deepEqual(
    shown(result),
    recipients.map((address, index) => address + (index % 3 === 0 ? ' 550 recipients' : ' 250 after-dot')),
  );
});

test('beforeDot is done before the server can have the mail, and its last bytes come in one piece with the dot', async (t) => {
  const { server, conversation } = await talk(t);
  let released = false;
  const { promise, resolve } = Promise.withResolvers<void>();
  const sending = conversation.send(mailOf('a\r\n'.repeat(100_000), { beforeDot: () => promise }));
  await waitFor('DATA is said', () => server.commands.includes('DATA'));
  await Promise.race([sending, new Promise((done) => setImmediate(done))]);
  assert.equal(server.mails.length, 0);
  released = true;
  resolve();
  await sending;
  assert.deepEqual([server.mails.length, released], [1, true]);
});

test('bare line ends are turned and counted, or kept', async (t) => {
  const mail = 'a\nb\rc\r\n\0\x80\xff\n.\r\nend';
  const { server, conversation } = await talk(t);
  const turned = await conversation.send(mailOf(mail));
  assert.equal(turned.bareLineEnds, 3);
  assert.equal(server.mails[0]?.bytes.toString('latin1'), 'a\r\nb\r\nc\r\n\0\x80\xff\r\n.\r\nend\r\n');
  const kept = await conversation.send(mailOf(mail, { keepBareLineEnds: true }));
  assert.equal(kept.bareLineEnds, 0);
  // A strict server: the guard against lenient ones stays (see agent/smtp/data.ts).
  assert.equal(server.mails[1]?.bytes.toString('latin1'), 'a\nb\rc\r\n\0\x80\xff\n..\r\nend\r\n');
});

test('two mails at once over one conversation are refused as our own mistake', async (t) => {
  const { conversation } = await talk(t);
  const first = conversation.send(mailOf('a\r\n'));
  assert.equal(conversation.usable(), false);
  await assert.rejects(conversation.send(mailOf('b\r\n')), /another one is on its way/);
  assert.equal((await first).recipients.length, 1);
});

test('a RSET that fails spoils only the conversation, not the answer', async (t) => {
  for (const action of ['500 what?\r\n', { end: 'close' }] as const) {
    const { conversation } = await talk(t, {
      script: ({ verb }) => (verb === 'RCPT' ? '550 nobody\r\n' : verb === 'RSET' ? action : undefined),
    });
    assert.deepEqual(shown(await conversation.send(mailOf('a\r\n'))), ['sales@example.net 550 recipients']);
    assert.equal(conversation.usable(), false);
  }
});
