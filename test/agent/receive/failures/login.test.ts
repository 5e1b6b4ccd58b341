// Failures of POP3 fetchers at login, locks and limits.
import assert from 'node:assert/strict';
import { systemClock } from '#shared/clock.ts';
import { openPop3 } from '../../../../agent/receive/pop3/pop3.ts';
import { createLab } from '../../../lab/lab.ts';
import { waitFor } from '../../../lab/wait.ts';
import { count, delivered, failure, left, mail, mails, setScene } from './scene.ts';

failure('27', 'a mailbox in use is not a wrong password', async (t) => {
  for (const answer of [
    '-ERR [IN-USE] locked by another session',
    '-ERR maildrop already locked',
    '-ERR lock busy, try again',
  ]) {
    const { smtp, bench } = await setScene(t, {
      pop3: {
        mails: mails('a'),
        script: ({ verb, before }) => (verb === 'PASS' && before === 0 ? answer + '\r\n' : undefined),
      },
      account: { intervalSeconds: 2 },
    });
    const [status] = await bench.fetch();
    assert.doesNotMatch(status?.problem ?? '', /login refused/);
    assert.match(status?.problem ?? '', /will be tried again/);
    // Soon, not in the hour that a wrong password costs.
    assert.ok((status?.nextRoundAt ?? 0) - Date.now() < 20_000, answer);
    await bench.fetch();
    assert.deepEqual(delivered(smtp), ['a']);
  }
});

failure('28', '-ERR to one RETR passes: the others come in, that mail later', async (t) => {
  const { pop3, smtp, bench } = await setScene(t, {
    pop3: {
      mails: mails('a', 'b', 'c'),
      script: ({ verb, good, before }) =>
        verb === 'RETR' && before < 3 && good.includes('Subject: b\r\n') ? '-ERR Message 2 expunged\r\n' : undefined,
    },
  });
  const [status] = await bench.fetch();
  assert.deepEqual([delivered(smtp), left(pop3)], [['a', 'c'], ['uid-b']]);
  assert.match(status?.problem ?? '', /mails that wait at the provider/);
  await bench.fetch();
  assert.deepEqual([delivered(smtp), left(pop3)], [['a', 'b', 'c'], []]);
});

failure('29', 'a LOGIN-DELAY of the server is longer than the own interval', async (t) => {
  const { bench } = await setScene(t, {
    pop3: { capabilities: ['UIDL', 'LOGIN-DELAY 900'] },
    account: { intervalSeconds: 1 },
  });
  const [status] = await bench.fetch();
  assert.ok((status?.nextRoundAt ?? 0) - Date.now() > 890_000);
});

failure('30', 'a wrong password is not tried again soon', async (t) => {
  const { pop3, bench } = await setScene(t, { account: { secret: 'mistaken', intervalSeconds: 1 } });
  const [status] = await bench.fetch();
  assert.match(status?.problem ?? '', /login refused/);
  assert.ok((status?.nextRoundAt ?? 0) - Date.now() > 40_000);
  assert.equal(count(pop3.commands, /^PASS/), 1);
});

failure('31', 'a provider that has too many connections gets one, after a pause', async (t) => {
  const { pop3, bench } = await setScene(t, {
    pop3: { script: ({ verb }) => (verb === 'PASS' ? '-ERR [SYS/TEMP] UserConnectionLimitReached\r\n' : undefined) },
    account: { intervalSeconds: 30 },
  });
  const [status] = await bench.fetch();
  assert.doesNotMatch(status?.problem ?? '', /login refused/);
  assert.ok((status?.nextRoundAt ?? 0) - Date.now() > 20_000);
  assert.equal(pop3.opened(), 1);
});

failure('32', 'a refused login says that POP3 may be switched off at the provider', async (t) => {
  const { bench } = await setScene(t, {
    pop3: { script: ({ verb }) => (verb === 'PASS' ? '-ERR authentication failed\r\n' : undefined) },
  });
  const [status] = await bench.fetch();
  assert.match(status?.problem ?? '', /POP3 is switched on at the provider/);
});

failure('33', 'a token is sent when the server has asked for it, not with AUTH', async (t) => {
  const lab = createLab(t);
  const lines: string[] = [];
  const pop3 = await lab.scriptedPop3({
    capabilities: ['SASL XOAUTH2', 'UIDL'],
    script: ({ verb, argument }) => {
      if (verb === 'CAPA' || verb === 'QUIT' || verb === 'connect') return undefined;
      lines.push(verb + (argument === '' ? '' : ' ' + argument));
      if (verb !== 'AUTH') return '+OK\r\n';
      return argument === 'XOAUTH2' ? '+ \r\n' : '-ERR Protocol error. Connection is closed. 10\r\n';
    },
  });
  const session = await openPop3({
    endpoint: { host: pop3.host, port: pop3.port, tls: 'none' },
    user: 'info@example.org',
    password: { kind: 'token', token: 'ya29.token' },
    signal: t.signal,
    clock: systemClock,
  });
  await session.quit();
  assert.equal(lines.length, 2, lines.join());
});

failure('35', 'an empty answer ends the session, and the next one goes on', async (t) => {
  for (const [verb, lost] of [
    ['STAT', 3],
    ['DELE', 3],
  ] as const) {
    const { pop3, smtp, bench } = await setScene(t, {
      pop3: {
        mails: mails('a', 'b', 'c'),
        script: (step) => (step.verb === verb && step.before === 0 ? '\r\n' : undefined),
      },
    });
    const [status] = await bench.fetch();
    assert.deepEqual([status?.up, left(pop3).length], [false, lost], verb);
    assert.match(status?.problem ?? '', /expected exactly \+OK or -ERR/);
    await bench.fetch();
    assert.deepEqual([delivered(smtp), left(pop3)], [['a', 'b', 'c'], []], verb);
  }
});

failure('36', 'a mailbox too large for one session is emptied by several, without a pause', async (t) => {
  const many = Array.from({ length: 501 }, (_, index) => mail('m' + index, 'x\r\n'));
  const { pop3, smtp, bench } = await setScene(t, {
    pop3: { mails: many },
    account: { session: { messages: 500, megabytes: 100, minutes: 30, deletions: 500 } },
  });
  await bench.fetch();
  await waitFor('the last mail', () => smtp.mails.length === 501 && pop3.mails.length === 0);
  assert.equal(new Set(delivered(smtp)).size, 501);
  assert.equal(count(pop3.commands, /^QUIT/), 2);
});
