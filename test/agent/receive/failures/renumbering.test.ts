// Failures of POP3 fetchers at UIDLs that are given anew, and at states that are not what they seem.
import assert from 'node:assert/strict';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Pop3Step, ScriptedMail } from '../../../lab/scripted-pop3.ts';
import type { Action } from '../../../lab/line-server.ts';
import { waitFor } from '../../../lab/wait.ts';
import { createBench } from '../bench.ts';
import { count, delivered, failure, left, mail, mails, setScene } from './scene.ts';
import type { Scene } from './scene.ts';

const many = (total: number): ScriptedMail[] => Array.from({ length: total }, (_, n) => mail('m' + n));
const named = (total: number): readonly string[] => many(total).map((_, n) => 'm' + n);
const moved = ({ uid, bytes }: ScriptedMail, top = ''): ScriptedMail => ({
  uid: 'x-' + uid,
  bytes: Buffer.concat([Buffer.from(top), bytes]),
});
/** UIDLs are the numbers of the mails in the session. */
const byNumber = ({ verb, good }: Pop3Step): Action | undefined =>
  verb === 'UIDL' ? good.toString('latin1').replaceAll(/^(\d+) .*$/gm, '$1 $1') : undefined;

async function settle({ bench }: Scene): Promise<void> {
  for (let n = 0; n < 3; n += 1) await bench.fetch();
  await waitFor('nothing left to fetch', () => bench.status()[0]?.backlog === 0);
}

failure('20', 'a mailbox that moved, with other UIDLs and headers, is not downloaded again', async (t) => {
  const scene = await setScene(t, { pop3: { mails: many(40) }, account: { keep: 'forever' } });
  const { pop3, smtp } = scene;
  await settle(scene);
  pop3.mails.splice(0, 40, ...many(40).map((one) => moved(one, 'X-Moved: yes\r\n')), mail('new'));
  await settle(scene);
  assert.deepEqual([smtp.mails.length, delivered(smtp).includes('new')], [41, true]);
});

failure('20a', 'a mailbox that moved, and of which nobody can tell the mails, pauses and asks', async (t) => {
  const scene = await setScene(t, {
    pop3: { mails: many(12), capabilities: ['UIDL'] },
    account: { keep: 'forever' },
  });
  const { pop3, smtp, bench } = scene;
  await settle(scene);
  pop3.mails.splice(0, 12, ...many(12).map((one) => moved(one, 'X-Moved: yes\r\n')));
  const [status] = await bench.fetch();
  assert.deepEqual([status?.paused, smtp.mails.length], [true, 12]);
  assert.match(status?.problem ?? '', /12 known mails are gone and 12 stand there under other UIDLs/);
  await bench.confirm('info', 'known');
  await settle(scene);
  assert.deepEqual([smtp.mails.length, left(pop3).length], [12, 12]);
});

failure('20b', 'a mailbox that moved and shows no headers is known by the digests of its mails', async (t) => {
  const scene = await setScene(t, {
    pop3: { mails: many(30), capabilities: ['UIDL'] },
    account: { keep: 'forever' },
  });
  const { pop3, smtp } = scene;
  await settle(scene);
  pop3.mails.splice(0, 30, ...many(30).map((one) => moved(one)), mail('new'));
  await settle(scene);
  assert.equal(scene.bench.status()[0]?.problem, '');
  assert.deepEqual([smtp.mails.length, delivered(smtp).includes('new')], [31, true]);
});

failure('20c', 'UIDLs that are message numbers move up: known mails are known, the new one arrives', async (t) => {
  for (const capabilities of [['UIDL', 'TOP'], ['UIDL']]) {
    const scene = await setScene(t, {
      pop3: {
        mails: Array.from({ length: 9 }, (_, n) => mail('m' + n, 'x'.repeat(n) + '\r\n')),
        capabilities,
        script: byNumber,
      },
      account: { keep: 'forever' },
    });
    const { pop3, smtp } = scene;
    await settle(scene);
    pop3.mails.splice(2, 2);
    pop3.mails.push(mail('new'));
    await settle(scene);
    assert.deepEqual([delivered(smtp), pop3.deleted], [[...named(9), 'new'], []], capabilities.join());
    await scene.bench.stop();
  }
});

failure('20d', 'UIDLs are message numbers and sizes are equal: the new mail arrives all the same', async (t) => {
  for (const capabilities of [['UIDL', 'TOP'], ['UIDL']]) {
    const scene = await setScene(t, {
      pop3: { mails: many(5), capabilities, script: byNumber },
      account: { keep: 'forever' },
    });
    const { pop3, smtp } = scene;
    await settle(scene);
    pop3.mails.splice(1, 1);
    pop3.mails.push(mail('m5'));
    await settle(scene);
    assert.deepEqual(delivered(smtp), named(6), capabilities.join());
    await scene.bench.stop();
  }
});

failure('20e', 'two mails of the same bytes both arrive while numbers move, and a third one too', async (t) => {
  const scene = await setScene(t, {
    pop3: { mails: [mail('a', 'x\r\n'), mail('b', 'xx\r\n'), mail('c', 'xxx\r\n')], script: byNumber },
    account: { keep: 'forever' },
  });
  const { pop3, smtp } = scene;
  await settle(scene);
  pop3.mails.splice(0, 1);
  pop3.mails.push(mail('c', 'xxx\r\n'), mail('c', 'xxx\r\n'));
  await settle(scene);
  assert.deepEqual(delivered(smtp), ['a', 'b', 'c', 'c', 'c']);
});

failure('20f', 'a mail in quarantine keeps its row when numbers move: it is never deleted', async (t) => {
  const scene = await setScene(t, {
    pop3: { mails: Array.from({ length: 4 }, (_, n) => mail('m' + n, 'x'.repeat(n) + '\r\n')), script: byNumber },
    smtp: { script: ({ verb, before }) => (verb === 'body' && before === 2 ? '554 5.7.1 no\r\n' : undefined) },
    account: { keep: { days: 1 } },
    bench: { sessions: 1 },
  });
  const { pop3, smtp, bench } = scene;
  await settle(scene);
  pop3.mails.splice(0, 1);
  for (let day = 0; day < 4; day += 1) {
    bench.passDays(1);
    await settle(scene);
  }
  assert.deepEqual([delivered(smtp), left(pop3)], [['m0', 'm1', 'm3'], ['uid-m2']]);
});

failure('20g', 'another mail of the same size under a known UIDL is not deleted, it arrives', async (t) => {
  const scene = await setScene(t, { pop3: { mails: many(2) }, account: { keep: { days: 1 } } });
  const { lab, pop3, smtp, bench } = scene;
  await settle(scene);
  await bench.stop();
  pop3.mails.splice(0, 1, { ...mail('n0'), uid: 'uid-m0' });
  // In a life of its own each day: what a life remembers must not be what keeps the mail.
  for (const day of [1, 2]) {
    const life = await createBench(t, lab, {
      accounts: [{ endpoint: { host: pop3.host, port: pop3.port, tls: 'none' }, keep: { days: 1 } }],
      local: { host: smtp.host, port: smtp.port, tls: 'none' },
    });
    life.passDays(day);
    await settle({ ...scene, bench: life });
    await life.stop();
  }
  assert.deepEqual([delivered(smtp), pop3.deleted, left(pop3)], [['m0', 'm1', 'n0'], ['uid-m1'], ['uid-m0']]);
});

failure('20k', 'a new mail that took UIDL and size of a known one arrives within a day', async (t) => {
  const scene = await setScene(t, { pop3: { mails: many(3) }, account: { keep: 'forever' } });
  const { pop3, smtp, bench } = scene;
  await settle(scene);
  pop3.mails.splice(1, 1, { ...mail('n1'), uid: 'uid-m1' });
  await settle(scene);
  bench.passDays(1);
  await settle(scene);
  assert.deepEqual([delivered(smtp), pop3.deleted], [['m0', 'm1', 'm2', 'n1'], []]);
  const looks = count(pop3.commands, /^TOP [13]/);
  await settle(scene);
  assert.equal(count(pop3.commands, /^TOP [13]/), looks, 'once a day');
});

failure(
  '20h',
  'mails without Message-ID may be alike to the byte: each one arrives, also under a used UIDL',
  async (t) => {
    const alarm = (uid: string): ScriptedMail => ({
      uid,
      bytes: Buffer.from('Subject: alarm\r\n\r\nthe tank is low\r\n'),
    });
    const scene = await setScene(t, { pop3: { mails: [alarm('1')] } });
    const { pop3, smtp, bench } = scene;
    for (const uid of ['1', '1', '2']) {
      await bench.fetch();
      pop3.mails.push(alarm(uid));
    }
    await bench.fetch();
    assert.deepEqual([smtp.mails.length, left(pop3)], [4, []]);
  },
);

failure('20i', 'two mails with one Message-ID and one size are told apart by their bytes', async (t) => {
  const twin = (subject: string): ScriptedMail => ({
    uid: 'uid-' + subject,
    bytes: Buffer.from('Subject: ' + subject + '\r\nMessage-ID: <same@x.test>\r\n\r\ntext\r\n'),
  });
  const scene = await setScene(t, {
    pop3: { mails: [mail('a', 'x\r\n'), twin('t1'), mail('b', 'xx\r\n')], script: byNumber },
    account: { keep: 'forever' },
  });
  const { pop3, smtp } = scene;
  await settle(scene);
  pop3.mails.splice(0, 3, twin('t2'), twin('t1'));
  await settle(scene);
  assert.deepEqual(delivered(smtp), ['a', 'b', 't1', 't2']);
});

failure('20j', 'a mail that nobody can prove to be the known one stays', async (t) => {
  let refuses = false;
  const { pop3, smtp, bench } = await setScene(t, {
    pop3: {
      mails: many(2),
      capabilities: ['UIDL'],
      script: ({ verb }) => (verb === 'RETR' && refuses ? '-ERR not now\r\n' : undefined),
    },
    account: { keep: { days: 1 } },
  });
  await bench.fetch();
  refuses = true;
  for (let day = 0; day < 3; day += 1) {
    bench.passDays(1);
    await bench.fetch();
  }
  assert.deepEqual([pop3.deleted, smtp.mails.length], [[], 2]);
  refuses = false;
  await bench.fetch();
  assert.deepEqual([pop3.mails, smtp.mails.length], [[], 2]);
});

failure('41a', 'an old state that is put back does not deliver again what came since: it asks', async (t) => {
  for (const [answer, total] of [
    ['known', 2],
    ['since:2026-11-25', 4],
    ['new', 4],
  ] as const) {
    const dated = (name: string, day: string): ScriptedMail => ({
      uid: 'uid-' + name,
      bytes: Buffer.from('Date: ' + day + ' Nov 2026 08:00:00 +0000\r\nSubject: ' + name + '\r\n\r\nx\r\n'),
    });
    const scene = await setScene(t, { pop3: { mails: [dated('a', '20')] }, account: { keep: { days: 14 } } });
    const { lab, pop3, smtp, bench } = scene;
    await settle(scene);
    // As it is copied while the agent is at work.
    for (const end of ['', '-wal']) copyFileSync(join(bench.folder, 'agent.db' + end), join(lab.dir, 'old' + end));
    pop3.mails.push(dated('b', '25'), dated('c', '26'));
    await settle(scene);
    await bench.stop();
    for (const end of ['', '-wal']) copyFileSync(join(lab.dir, 'old' + end), join(bench.folder, 'agent.db' + end));
    const again = await createBench(t, lab, {
      accounts: [{ endpoint: { host: pop3.host, port: pop3.port, tls: 'none' }, keep: { days: 14 } }],
      local: { host: smtp.host, port: smtp.port, tls: 'none' },
    });
    again.passDays(7);
    const [status] = await again.fetch();
    assert.match(status?.problem ?? '', /is an old one, and does not know 2 mails at the provider/);
    await again.confirm('info', answer);
    await again.fetch();
    const expected = 3 + total - 2;
    assert.deepEqual([smtp.mails.length, left(pop3).length, again.status()[0]?.problem], [expected, 3, ''], answer);
    await again.stop();
  }
});

failure('41b', 'a state that was adopted asks before mails arrive that it does not know, once', async (t) => {
  const scene = await setScene(t, { pop3: { mails: mails('a') }, account: { keep: 'forever' } });
  const { lab, pop3, smtp, bench } = scene;
  await settle(scene);
  await bench.stop();
  pop3.mails.push(mail('b'));
  const open = (adoption: string) =>
    createBench(t, lab, {
      accounts: [{ endpoint: { host: pop3.host, port: pop3.port, tls: 'none' }, keep: 'forever' }],
      local: { host: smtp.host, port: smtp.port, tls: 'none' },
      adoption,
    });
  const adopted = await open('one');
  await adopted.fetch();
  await adopted.stop();
  const again = await open('one');
  const [status] = await again.fetch();
  assert.deepEqual([status?.paused, delivered(smtp)], [true, ['a']], 'a restart is no answer');
  await again.confirm('info', 'known');
  pop3.mails.push(mail('c'));
  await again.fetch();
  assert.deepEqual([delivered(smtp), again.status()[0]?.problem], [['a', 'c'], '']);
  assert.equal(count(pop3.commands, /^DELE/), 0);
});
