// Providers that rebuild, move and renumber mailboxes, and clocks that jump, played with the whole room.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ScriptedMail } from '../../lab/scripted-pop3.ts';
import { delivered, left, mail, setScene } from './failures/scene.ts';

test('UIDLs are used again after a rebuild: a new mail under a known UIDL is fetched, the known ones are not', async (t) => {
  const [a, b, c] = [mail('a', 'x\r\n', '1'), mail('b', 'xx\r\n', '2'), mail('c', 'xxx\r\n', '3')];
  const { pop3, smtp, bench } = await setScene(t, { pop3: { mails: [a, b, c] }, account: { keep: 'forever' } });
  await bench.fetch();
  pop3.mails.splice(0, 3, a, b, mail('d', 'a new mail\r\n', '3'));
  for (let n = 0; n < 3; n += 1) await bench.fetch();
  assert.deepEqual([delivered(smtp), pop3.deleted], [['a', 'b', 'c', 'd'], []]);
});

test('UIDLs begin anew after a rebuild: nothing that is new is missed, nothing deleted unread', async (t) => {
  const [a, b, c] = [mail('a', 'x\r\n', '1'), mail('b', 'xx\r\n', '2'), mail('c', 'xxx\r\n', '3')];
  const { pop3, smtp, bench } = await setScene(t, { pop3: { mails: [a, b, c] }, account: { keep: { days: 2 } } });
  await bench.fetch();
  pop3.mails.splice(0, 3, { ...b, uid: '1' }, { ...c, uid: '2' }, mail('d', 'a new mail\r\n', '3'));
  for (let n = 0; n < 3; n += 1) await bench.fetch();
  assert.equal(new Set(delivered(smtp)).size, 4, delivered(smtp).join());
  assert.deepEqual(pop3.deleted, []);
});

/** As another server would give it out: a header line on top, others in another order and fold. */
function moved({ bytes }: ScriptedMail, uid: string): ScriptedMail {
  return { uid, bytes: Buffer.concat([Buffer.from('X-Moved-By: new.test\r\nStatus: RO\r\n'), bytes]) };
}

test('a provider moves 1,000 mails, with new UIDLs and changed headers: none is delivered again, new ones are', async (t) => {
  const mails = Array.from({ length: 1_000 }, (_, index) => mail('m' + index, 'x\r\n', 'old-' + index));
  const { pop3, smtp, bench } = await setScene(t, { pop3: { mails }, account: { keep: { days: 14 } } });
  for (let n = 0; n < 4 && smtp.mails.length < 1_000; n += 1) await bench.fetch();
  assert.equal(smtp.mails.length, 1_000);
  pop3.mails.splice(0, 1_000, ...mails.map((one, index) => moved(one, 'new-' + index)));
  pop3.mails.push(mail('fresh'));
  for (let n = 0; n < 4; n += 1) await bench.fetch();
  assert.deepEqual([smtp.mails.length, pop3.deleted.length, left(pop3).length], [1_001, 0, 1_001]);
  assert.ok(delivered(smtp).includes('fresh'));
});

test('a clock a year ahead deletes nothing that is to be kept, and a clock that is set back neither', async (t) => {
  const { pop3, smtp, bench } = await setScene(t, {
    pop3: { mails: [mail('a'), mail('b')] },
    account: { keep: { days: 2 } },
  });
  await bench.fetch();
  for (const days of [365, 1, -400, 400]) {
    bench.setClock(days);
    await bench.fetch();
    assert.deepEqual([left(pop3).length, delivered(smtp)], [2, ['a', 'b']], 'after ' + days + ' days');
  }
});
