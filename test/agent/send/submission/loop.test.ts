import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refuse } from '../../../../agent/send/submission/access.ts';
import type { RefusalReason } from '../../../../agent/send/submission/access.ts';
import { createLoopGuard, findLoop } from '../../../../agent/send/submission/loop.ts';
import { groupFields, splitLines } from '../../../../agent/send/submission/header.ts';
import type { OperatorNote } from '../../../../agent/send/notice/operator.ts';

const rules = {
  traceId: 'test-trace',
  hostname: 'nas.office.test',
  isLocal: (address: string) => address.endsWith('@office.test'),
};
const fieldsOf = (header: string) => groupFields(splitLines(Buffer.from(header.replaceAll('\n', '\r\n'))));
const look = (header: string, ...recipients: string[]): string | undefined => {
  const loop = findLoop(rules, fieldsOf(header), recipients);
  return loop && loop.kind + ' ' + loop.refusal.code;
};

const cameIn = 'X-Mailferry-Trace: in test-trace\nFrom: a@world.test\n';

test('a mail that came in may be forwarded, but not handed back for the address it came for', () => {
  assert.equal(look(cameIn, 'elsewhere@world.test'), undefined);
  assert.equal(
    look(cameIn, 'sales@office.test'),
    'back 451',
    'the local server keeps it: nothing is lost, nobody gets a bounce',
  );
  assert.equal(look(cameIn, 'elsewhere@world.test', 'sales@office.test'), 'back 451');
  assert.equal(look('x-mailferry-trace:  in   test-trace\n', 'sales@office.test'), 'back 451');
  assert.equal(look('X-Mailferry-Trace: in other-agent\n', 'sales@office.test'), undefined, 'not ours');
  assert.equal(look('From: sales@office.test\n', 'info@office.test'), undefined, 'a colleague writes to a colleague');
});

test('a person who resends a mail does so on purpose', () => {
  assert.equal(look('Resent-From: sales@office.test\n' + cameIn, 'info@office.test'), undefined);
});

test('a mail that went out here before is not sent again', () => {
  assert.equal(look('X-Mailferry-Trace: out test-trace\n', 'elsewhere@world.test'), 'round 554');
  assert.equal(look('X-Mailferry-Trace: out test-trace\n' + cameIn, 'sales@office.test'), 'round 554');
  assert.equal(look('Subject: X-Mailferry-Trace: out test-trace\n', 'elsewhere@world.test'), undefined);
});

test('an answer to a notice of ours is refused at the door, or two programs would talk for ever', () => {
  assert.equal(look('From: sales@office.test\n', 'Mailer-Daemon@NAS.office.test'), 'answer 550');
  assert.equal(look('From: sales@office.test\n', 'mailer-daemon@world.test'), undefined);
});

test('loops are counted for an hour, the operator is told with what helps, and answers to notices are none', () => {
  let now = 0;
  let reported = 0;
  const notes: OperatorNote[] = [];
  const guard = createLoopGuard({
    ...rules,
    handedOver: (sender) => sender === 'stranger@world.test',
    clock: { monotonic: () => now },
    tell: (note) => notes.push(note),
    onLoop: () => (reported += 1),
  });
  assert.equal(guard.check(fieldsOf('From: a@world.test\n'), ['elsewhere@world.test']), undefined);
  assert.equal(guard.check(fieldsOf(''), ['mailer-daemon@nas.office.test'])?.code, 550);
  assert.deepEqual([guard.recent(), reported, notes.length], [0, 0, 0]);
  for (let n = 0; n < 3; n += 1) assert.equal(guard.check(fieldsOf(cameIn), ['sales@office.test'])?.code, 451);
  assert.deepEqual([guard.recent(), reported, notes.length], [3, 3, 3]);
  assert.equal(notes[0]?.topic, 'loop back office.test');
  assert.match(notes[0]?.text ?? '', /none is lost[^]*must know office\.test as a domain of its own/);
  const mayNot = (reason: RefusalReason) => refuse(550, '5.7.1 This user may not send as this address', reason);
  for (const reason of ['sender', 'null-sender', 'header-from'] as const) {
    assert.equal(
      guard.checkRefused(fieldsOf(cameIn), mayNot(reason)).code,
      451,
      'a bounce for a stranger is refused too',
    );
    assert.equal(
      guard.checkRefused(fieldsOf('From: a@world.test\n'), mayNot(reason)).code,
      550,
      'it did not come in here',
    );
    assert.equal(guard.checkRefused(fieldsOf('Resent-From: b@office.test\n' + cameIn), mayNot(reason)).code, 550);
  }
  assert.equal(guard.checkRefused(fieldsOf(cameIn), mayNot('header')).code, 550, 'it is about something else');
  assert.deepEqual([guard.decidesLater('stranger@world.test'), guard.decidesLater('other@world.test')], [true, false]);
  assert.match(notes[3]?.text ?? '', /If it is a forwarding[^]*If not/);
  now += 3_600_001;
  assert.equal(guard.recent(), 0);
});
