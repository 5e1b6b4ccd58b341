// The table of what an account may send, and of what becomes of mail that a mail server sends in nobody's or somebody
// else's name.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Field } from '../../../../agent/send/submission/header.ts';
import { judgeEnvelope, judgeMail } from '../../../../agent/send/submission/rights.ts';
import type { Rights } from '../../../../agent/send/submission/rights.ts';
import type { Handling, MailServerRights } from '../../../../agent/users/account-options.ts';

const own = 'info@office.test';
const from = (value: string): readonly Field[] => [{ name: 'from', bytes: Buffer.from('From: ' + value + '\r\n') }];
const person: Rights = { user: 'info', senders: ['@office.test'], limits: {} };
const server = (policy: Partial<MailServerRights>): Rights => ({
  ...person,
  mailServer: { nullSender: 'refuse', foreignSender: 'refuse', headerFrom: 'replace', rewriteTo: own, ...policy },
});
const handlings: readonly Handling[] = ['refuse', 'hold', 'rewrite', 'allow'];

test('a person sends in its own names alone, whatever mail servers may', () => {
  assert.deepEqual(judgeMail(person, own, from('Info <info@office.test>')), { ok: true, from: own });
  for (const [envelope, header, text] of [
    ['', own, '5.7.1 The empty sender'],
    ['a@world.test', own, '5.7.1 This user may not'],
    [own, 'a@world.test', '5.7.1 The header From names an address'],
    ['a@world.test', 'a@world.test', '5.7.1 This user may not'],
  ] as const) {
    const judged = judgeMail(person, envelope, from(header));
    assert.ok(!judged.ok && judged.text.startsWith(text), envelope + ' ' + header);
  }
  assert.equal(judgeEnvelope(person, '').ok, false);
  assert.equal(judgeEnvelope(person, 'a@world.test').ok, false);
});

for (const nullSender of handlings)
  for (const foreignSender of handlings)
    test('a mail server with nullSender ' + nullSender + ' and foreignSender ' + foreignSender, () => {
      const rights = server({ nullSender, foreignSender });
      assert.deepEqual(judgeMail(rights, own, from(own)), { ok: true, from: own }, 'own mail is not touched');
      const cases: readonly (readonly [string, string, Handling])[] = [
        ['', 'MAILER-DAEMON@nas.local', nullSender],
        ['', own, nullSender],
        ['a@world.test', 'a@world.test', foreignSender],
        ['a@world.test', own, foreignSender],
        [own, 'a@world.test', foreignSender],
      ];
      for (const [envelope, header, handling] of cases) {
        const judged = judgeMail(rights, envelope, from(header));
        const about = envelope + ' / ' + header;
        const early = judgeEnvelope(rights, envelope).ok;
        assert.equal(early, envelope === own || handling !== 'refuse', about);
        assert.equal(judged.ok, handling !== 'refuse', about);
        if (!judged.ok) continue;
        assert.equal(judged.from, handling === 'rewrite' ? own : envelope, about);
        assert.equal(judged.held !== undefined, handling === 'hold', about);
        assert.equal(judged.replaceFrom, handling === 'rewrite' && header !== own ? own : undefined, about);
      }
    });

test('keep leaves the header From and names the own address beside it', () => {
  const rights = server({ foreignSender: 'rewrite', headerFrom: 'keep' });
  assert.deepEqual(judgeMail(rights, 'a@world.test', from('a@world.test')), { ok: true, from: own, resentFrom: own });
});

test('rewrite without an own address refuses: nothing opens by a file that was edited by hand', () => {
  const { rewriteTo: _none, ...policy } = server({ nullSender: 'rewrite', foreignSender: 'rewrite' }).mailServer ?? {
    nullSender: 'rewrite',
    foreignSender: 'rewrite',
    headerFrom: 'replace',
  };
  const rights: Rights = { ...person, mailServer: policy };
  assert.equal(judgeMail(rights, '', from(own)).ok, false);
  assert.equal(judgeMail(rights, 'a@world.test', from('a@world.test')).ok, false);
});

test('a From that cannot be read is refused under every policy', () => {
  const long = from('a@world.test, '.repeat(6_000));
  for (const foreignSender of handlings)
    assert.equal(judgeMail(server({ foreignSender }), 'a@world.test', long).ok, false, foreignSender);
});
