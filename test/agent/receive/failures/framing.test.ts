// Failures of POP3 fetchers at framing and bytes.
import assert from 'node:assert/strict';
import { multiline } from '../../../lab/scripted-pop3.ts';
import { delivered, failure, impatient, left, mail, mails, setScene, taken } from './scene.ts';

const slow = ['USER', 'UIDL']; // no PIPELINING

failure('1', 'a terminator that is split over packets ends the mail', async (t) => {
  const wire = multiline(mail('a').bytes);
  for (let cut = 1; cut <= 6; cut += 1) {
    const { pop3, smtp, bench } = await setScene(t, {
      pop3: {
        mails: mails('a'),
        capabilities: slow,
        script: ({ verb }) =>
          verb === 'RETR' ? [wire.subarray(0, -cut), { pauseMs: 20 }, wire.subarray(-cut)] : undefined,
      },
      bench: impatient,
    });
    const [status] = await bench.fetch();
    assert.deepEqual([status?.problem, delivered(smtp), left(pop3)], ['', ['a'], []], 'cut ' + cut + ' bytes before');
  }
});

failure('2', 'a packet that holds just a dot is not the end of the mail', async (t) => {
  for (const [first, second] of [
    ['a whole sentence', '.\r\n'],
    ['a whole sentence', '.'],
    ['a line\r\n.', '.\r\n'],
  ] as const) {
    const rest = 'second half\r\n.\r\n';
    const { smtp, bench } = await setScene(t, {
      pop3: {
        mails: mails('a'),
        script: ({ verb }) =>
          verb === 'RETR'
            ? ['+OK\r\nSubject: a\r\n\r\n' + first, { pauseMs: 20 }, second, { pauseMs: 20 }, '\r\n' + rest]
            : undefined,
      },
    });
    await bench.fetch();
    const body = (first + second + '\r\n' + rest.slice(0, -3)).replace('\r\n..\r\n', '\r\n.\r\n');
    assert.equal(taken(smtp, 'a')?.toString(), 'Subject: a\r\n\r\n' + body);
  }
});

failure('3', 'a server that ends with a dot and CR alone is left in time, nothing deleted', async (t) => {
  const { pop3, smtp, bench } = await setScene(t, {
    pop3: {
      mails: mails('a', 'b'),
      capabilities: slow,
      script: ({ verb, good }) =>
        verb === 'RETR' && good.includes('Subject: a\r\n') ? good.subarray(0, -1) : undefined,
    },
    bench: impatient,
  });
  const [status] = await bench.fetch();
  assert.match(status?.problem ?? '', /nothing more came within/);
  assert.deepEqual([delivered(smtp), pop3.deleted], [[], []]);
  // The mail that broke the session comes last from now on: the other one gets through.
  await bench.fetch();
  assert.deepEqual([delivered(smtp), pop3.deleted], [['b'], []]);
});

failure('4', 'a dot right behind the last byte of a mail without line end is not its end', async (t) => {
  const { pop3, smtp, bench } = await setScene(t, {
    pop3: {
      mails: mails('a'),
      capabilities: slow,
      script: ({ verb }) => (verb === 'RETR' ? '+OK\r\nSubject: a\r\n\r\nlast byte.\r\n' : undefined),
    },
    bench: impatient,
  });
  const [status] = await bench.fetch();
  assert.match(status?.problem ?? '', /nothing more came within/);
  assert.deepEqual([delivered(smtp), pop3.deleted], [[], []]);
});

failure('5', 'stuffed dots are taken off', async (t) => {
  const dotted = mail('a', '.\r\n..\r\n.signature\r\n...\r\nend.\r\n');
  const { smtp, bench } = await setScene(t, { pop3: { mails: [dotted] } });
  await bench.fetch();
  assert.deepEqual(taken(smtp, 'a'), dotted.bytes);
});

failure('6', 'a mail that ends early at a dot that was not stuffed is not handed over nor deleted', async (t) => {
  const half = '+OK\r\nSubject: a\r\n\r\nfirst half\r\n.\r\n';
  const rest = 'second half\r\n.\r\n';
  for (const capabilities of [slow, ['PIPELINING', 'UIDL']]) {
    // The rest comes with the half, or behind it.
    for (const answer of [half + rest, [half, { pauseMs: 30 }, rest]]) {
      const { pop3, smtp, bench } = await setScene(t, {
        pop3: {
          mails: mails('a', 'b'),
          capabilities,
          script: ({ verb, good }) => (verb === 'RETR' && good.includes('Subject: a\r\n') ? answer : undefined),
        },
      });
      const [status] = await bench.fetch();
      assert.match(status?.problem ?? '', /nothing was deleted/);
      assert.deepEqual([delivered(smtp), pop3.deleted], [[], []], capabilities.join());
    }
  }
});

failure('7', 'a dot between bare line feeds is text', async (t) => {
  const body = 'first\n.\nsecond\n.x\nthird\r\n';
  const { smtp, bench } = await setScene(t, {
    pop3: {
      mails: mails('a'),
      script: ({ verb }) => (verb === 'RETR' ? '+OK\r\nSubject: a\r\n\r\n' + body + '.\r\n' : undefined),
    },
  });
  await bench.fetch();
  assert.equal(taken(smtp, 'a')?.toString(), 'Subject: a\r\n\r\n' + body.replaceAll(/\r?\n/g, '\r\n'));
});

failure('8', 'bytes above 127 arrive as they are, in mails and in UIDLs', async (t) => {
  const umlauts = mail('a', 'Gr\u00fc\u00dfe \u00ff\u00fe\u0080\r\n', 'uid \u00fc');
  const { pop3, smtp, bench } = await setScene(t, { pop3: { mails: [umlauts] }, account: { keep: 'forever' } });
  await bench.fetch();
  await bench.fetch();
  assert.deepEqual(delivered(smtp), ['a']);
  assert.deepEqual(taken(smtp, 'a'), umlauts.bytes);
  assert.deepEqual(left(pop3), ['uid \u00fc']);
});

failure('9', 'a line of 100,000 bytes is no trouble', async (t) => {
  const long = mail('a', 'x'.repeat(100_000) + '\r\n.' + 'y'.repeat(3_000) + '\r\n');
  const { smtp, bench } = await setScene(t, { pop3: { mails: [long] } });
  await bench.fetch();
  assert.ok(taken(smtp, 'a')?.equals(long.bytes));
});

failure('10', 'NUL bytes pass', async (t) => {
  const nul = mail('a', 'before\0after\r\n\0\r\n\0\0end\r\n');
  const { smtp, bench } = await setScene(t, { pop3: { mails: [nul] } });
  await bench.fetch();
  assert.deepEqual(taken(smtp, 'a'), nul.bytes);
});

failure('11', 'a bare LF or CR becomes CRLF when it goes to an SMTP server', async (t) => {
  const bare = mail('a', 'one\ntwo\rthree\r\rfour\r\n');
  const { smtp, bench } = await setScene(t, { pop3: { mails: [bare] } });
  await bench.fetch();
  const bytes = taken(smtp, 'a')?.toString() ?? '';
  assert.ok(bytes.endsWith('\r\n\r\none\r\ntwo\r\nthree\r\n\r\nfour\r\n'), JSON.stringify(bytes));
});

failure('12', 'an answer of +ERR is neither yes nor no: the session ends', async (t) => {
  const { pop3, smtp, bench } = await setScene(t, {
    pop3: {
      mails: mails('a'),
      script: ({ verb }) => (verb === 'RETR' ? '+ERR no such mail\r\nSubject: a\r\n\r\nno mail\r\n.\r\n' : undefined),
    },
  });
  const [status] = await bench.fetch();
  assert.match(status?.problem ?? '', /"\+ERR no such mail", expected exactly \+OK or -ERR, nothing was deleted/);
  assert.deepEqual([delivered(smtp), pop3.deleted], [[], []]);
});
