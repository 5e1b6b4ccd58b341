import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLab } from '../../lab/lab.ts';
import { waitFor } from '../../lab/wait.ts';
import { createBench } from './bench.ts';
import type { Bench } from './bench.ts';

test('after its minutes a session begins no further mail, ends orderly, and the next one goes on at once', async (t) => {
  const lab = createLab(t);
  const mails = Array.from({ length: 12 }, (_, n) => ({
    uid: 'uid-' + n,
    bytes: Buffer.from('Message-ID: <' + n + '@example.net>\r\nSubject: ' + n + '\r\n\r\ntext\r\n'),
  }));
  let bench: Bench | undefined;
  const pop3 = await lab.scriptedPop3({
    mails,
    capabilities: ['UIDL', 'USER'], // no PIPELINING: what was asked for counts as begun
    script({ verb, before }) {
      // The third mail takes two minutes; so does the eighth.
      if (verb === 'RETR' && (before === 2 || before === 7)) bench?.passDays(2 / 1_440);
      return undefined;
    },
  });
  const smtp = await lab.scriptedSmtp({});
  bench = await createBench(t, lab, {
    accounts: [
      {
        endpoint: { host: pop3.host, port: pop3.port, tls: 'none' },
        session: { messages: 500, megabytes: 1_000, minutes: 1, deletions: 500 },
      },
    ],
    local: { host: smtp.host, port: smtp.port, tls: 'none' },
    sessions: 1,
  });
  await bench.fetch();
  const perSession = (): readonly number[] =>
    pop3.commands
      .join('\n')
      .split('PASS')
      .slice(1)
      .map((session) => session.split('RETR').length - 1);
  await waitFor('an empty mailbox', () => pop3.mails.length === 0);
  assert.equal(smtp.mails.length, 12);
  assert.equal(pop3.commands.filter((line) => line === 'QUIT').length, perSession().length, 'each ends with QUIT');
  const [first = 0, second = 0, third = 0] = perSession();
  assert.equal(perSession().length, 3, String(perSession()));
  assert.ok(first >= 3 && first < 8 && second >= 1 && third >= 1, String(perSession()));
});
