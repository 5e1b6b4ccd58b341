import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '#shared/clock.ts';
import { createLocal } from '../../../agent/local/local.ts';
import type { HandoverResult, Local, LocalMail, LocalOptions } from '../../../agent/local/local.ts';
import { startScriptedSmtp } from '../../lab/scripted-smtp.ts';
import type { ScriptedSmtp, ScriptedSmtpOptions } from '../../lab/scripted-smtp.ts';
import { waitFor } from '../../lab/wait.ts';
import { once, shortTimeouts, silent } from '../smtp/talk.ts';
import type { Owner } from '../smtp/talk.ts';

async function localFor(
  t: Owner,
  options: ScriptedSmtpOptions = {},
  more: Partial<LocalOptions> & { readonly sessions?: number } = {},
): Promise<{ readonly server: ScriptedSmtp; readonly local: Local }> {
  const server = await startScriptedSmtp({ protocol: 'lmtp', ...options });
  t.after(server.close);
  const local = connectLocal(server, options.protocol ?? 'lmtp', more);
  t.after(local.close);
  return { server, local };
}

function connectLocal(
  place: { readonly host: string; readonly port: number },
  protocol: 'smtp' | 'lmtp',
  more: Partial<LocalOptions> & { readonly sessions?: number } = {},
): Local {
  const { host, port } = place;
  const config = {
    protocol,
    host,
    port,
    tls: 'none',
    domains: ['example.org', 'Example.NET'],
    sessions: more.sessions ?? 2,
  } as const;
  return createLocal({
    config: { ...config, domains: [...config.domains] },
    endpoint: { host, port, tls: 'none' },
    name: 'nas',
    clock: systemClock,
    log: silent,
    timeouts: shortTimeouts,
    ...more,
  });
}

function mail(text: string, more: Partial<LocalMail> = {}): LocalMail {
  const body = Buffer.from(text, 'latin1');
  return {
    from: 'stranger@example.com',
    recipients: ['info@example.org'],
    head: new Uint8Array(),
    body: { open: () => [body], sizeBytes: body.length },
    signal: new AbortController().signal,
    ...more,
  };
}

function verdicts(result: HandoverResult): readonly string[] {
  return result.recipients.map(({ address, verdict }) => address + ' ' + verdict);
}

test('each recipient has its verdict and the words of the server', async (t) => {
  const { server, local } = await localFor(t, {
    script: ({ verb, argument }) => {
      if (verb === 'RCPT' && argument.includes('<no@')) return '550-5.1.1 nobody\r\n550 5.1.1 of that name\r\n';
      return verb === 'body' && argument.startsWith('full@') ? '552 5.2.2 over quota\r\n' : undefined;
    },
  });
  const recipients = ['info@example.org', 'no@example.org', 'full@example.net'];
  const result = await local.deliver(mail('a\r\n', { recipients, head: Buffer.from('X-Top: 1\r\n') }));
  assert.deepEqual(result.recipients, [
    { address: 'info@example.org', verdict: 'delivered', text: '250 2.0.0 taken' },
    { address: 'no@example.org', verdict: 'refused', text: '550 5.1.1 nobody / 5.1.1 of that name' },
    { address: 'full@example.net', verdict: 'later', text: '552 5.2.2 over quota' },
  ]);
  assert.equal(server.mails[0]?.bytes.toString(), 'X-Top: 1\r\na\r\n');
  assert.equal(local.problem(), undefined);
});

test('a recipient outside of local.domains is refused before anything is said to the server', async (t) => {
  const { server, local } = await localFor(t);
  for (const stranger of ['info@example.com', 'info@example.org.example.com', 'info@sub.example.org', 'info', '']) {
    await assert.rejects(
      local.deliver(mail('a\r\n', { recipients: ['info@example.org', stranger] })),
      /not local, expected an address in a domain of local\.domains \(example\.org, Example\.NET\)/,
    );
  }
  assert.equal(server.opened(), 0);
  assert.deepEqual(verdicts(await local.deliver(mail('a\r\n', { recipients: ['Info@EXAMPLE.net'] }))), [
    'Info@EXAMPLE.net delivered',
  ]);
});

test('LMTP keeps bare line ends, SMTP turns and counts them', async (t) => {
  const lmtp = await localFor(t);
  assert.equal((await lmtp.local.deliver(mail('a\nb\r\n'))).bareLineEnds, 0);
  assert.equal(lmtp.server.mails[0]?.bytes.toString(), 'a\nb\r\n');
  const smtp = await localFor(t, { protocol: 'smtp' });
  assert.equal((await smtp.local.deliver(mail('a\nb\r\n'))).bareLineEnds, 1);
  assert.equal(smtp.server.mails[0]?.bytes.toString(), 'a\r\nb\r\n');
});

test('sessions are kept and shared, no more than allowed, and ended with QUIT', async (t) => {
  const { server, local } = await localFor(t, {}, { sessions: 3 });
  const results = await Promise.all(Array.from({ length: 40 }, (_, n) => local.deliver(mail('mail ' + n + '\r\n'))));
  assert.equal(
    results.every((result) => result.recipients[0]?.verdict === 'delivered'),
    true,
  );
  assert.equal(new Set(server.mails.map((taken) => taken.bytes.toString())).size, 40);
  assert.equal(server.opened(), 3);
  await local.close();
  assert.equal(server.commands.filter((command) => command === 'QUIT').length, 3);
  assert.deepEqual(verdicts(await local.deliver(mail('late\r\n'))), ['info@example.org later']);
});

test('a session that rested too long is closed with QUIT', async (t) => {
  const { server, local } = await localFor(t, {}, { idleMs: 20 });
  await local.deliver(mail('a\r\n'));
  await waitFor('the end of the session', () => server.open() === 0);
  assert.equal(server.commands.at(-1), 'QUIT');
});

test('a resting session that died is replaced once, without a word to the caller', async (t) => {
  const steps = ['MAIL', 'RCPT', 'DATA'];
  for (const verb of steps) {
    for (const action of [{ end: 'close' }, { end: 'reset' }, '421 4.4.2 idle too long\r\n'] as const) {
      // The second mail meets a session that dies under its hands.
      const { server, local } = await localFor(t, {
        script: (step) => (step.verb === verb && step.connection === 1 && step.before === 1 ? action : undefined),
      });
      await local.deliver(mail('first\r\n'));
      assert.deepEqual(verdicts(await local.deliver(mail('second\r\n'))), ['info@example.org delivered'], verb);
      assert.deepEqual(
        server.mails.map((taken) => taken.bytes.toString()),
        ['first\r\n', 'second\r\n'],
      );
      assert.equal(server.opened(), 2);
      assert.equal(local.problem(), undefined);
    }
  }
});

test('a new session that dies is not tried again', async (t) => {
  const { server, local } = await localFor(t, {
    script: ({ verb }) => (verb === 'MAIL' ? { end: 'close' } : undefined),
  });
  assert.deepEqual(verdicts(await local.deliver(mail('a\r\n'))), ['info@example.org later']);
  assert.equal(server.opened(), 1);
  assert.match(local.problem() ?? '', /Cannot send a mail to 127\.0\.0\.1:\d+: the server closed the connection/);
});

test('after the final dot nothing is tried again: the outcome is unknown, later, and said to be so', async (t) => {
  const { server, local } = await localFor(t, {
    script: (step) => (step.verb === 'body' && step.before === 1 ? { end: 'close' } : undefined),
  });
  await local.deliver(mail('first\r\n'));
  const result = await local.deliver(mail('second\r\n'));
  assert.deepEqual(verdicts(result), ['info@example.org later']);
  assert.match(result.recipients[0]?.text ?? '', /^outcome unknown, the local server may have taken it: /);
  assert.equal(server.opened(), 1);
  assert.equal(local.problem(), undefined);
});

test('recipients that were answered before the line broke keep their verdict', async (t) => {
  const { local } = await localFor(t, {
    script: ({ verb, argument }) => {
      if (verb === 'RCPT' && argument.includes('<no@')) return '550 5.1.1 nobody\r\n';
      return verb === 'body' && argument.startsWith('b@') ? { end: 'close' } : undefined;
    },
  });
  const recipients = ['a@example.org', 'b@example.org', 'no@example.org'];
  const result = await local.deliver(mail('a\r\n', { recipients }));
  assert.deepEqual(verdicts(result), ['a@example.org delivered', 'b@example.org later', 'no@example.org refused']);
  assert.match(result.recipients[1]?.text ?? '', /^outcome unknown/);
});

test('a server out of reach is a problem until it answers again', async (t) => {
  const { server, local } = await localFor(t);
  await local.deliver(mail('a\r\n'));
  await server.close();
  const result = await local.deliver(mail('b\r\n'));
  assert.deepEqual(verdicts(result), ['info@example.org later']);
  assert.match(result.recipients[0]?.text ?? '', /Cannot connect to 127\.0\.0\.1:\d+: ECONNREFUSED/);
  assert.equal(local.problem(), result.recipients[0]?.text);
  const again = await startScriptedSmtp({ protocol: 'lmtp', port: server.port });
  t.after(again.close);
  assert.deepEqual(verdicts(await local.deliver(mail('c\r\n'))), ['info@example.org delivered']);
  assert.equal(local.problem(), undefined);
});

test('421 to a mail is a problem of the server, a refused mail is none', async (t) => {
  const busy = await localFor(t, { protocol: 'smtp', script: once('body', '421 4.3.2 going down\r\n') });
  assert.deepEqual(verdicts(await busy.local.deliver(mail('a\r\n'))), ['info@example.org later']);
  assert.match(busy.local.problem() ?? '', /421 4\.3\.2 going down/);
  const strict = await localFor(t, { protocol: 'smtp', script: once('body', '554 5.6.0 bad header\r\n') });
  assert.deepEqual(verdicts(await strict.local.deliver(mail('a\r\n'))), ['info@example.org refused']);
  assert.equal(strict.local.problem(), undefined);
});

test('a wrong protocol is told in one line', async (t) => {
  const { server } = await localFor(t, { protocol: 'smtp' });
  const local = connectLocal(server, 'lmtp');
  t.after(local.close);
  assert.deepEqual(verdicts(await local.deliver(mail('a\r\n'))), ['info@example.org later']);
  assert.match(local.problem() ?? '', /^Cannot talk to .*500 5\.5\.1 .*check protocol, port and tls$/);
});

test("a body that breaks off is the caller's trouble: it is thrown, and nothing was handed over", async (t) => {
  const { server, local } = await localFor(t);
  const body = {
    sizeBytes: 3,
    open: () => {
      throw new Error('disk error');
    },
  };
  await assert.rejects(local.deliver(mail('', { body })), /disk error/);
  assert.deepEqual(verdicts(await local.deliver(mail('a\r\n'))), ['info@example.org delivered']);
  assert.equal(server.mails.length, 1);
  assert.equal(local.problem(), undefined);
});

test('a stop makes it later, also for those who wait for a session, and is no problem of the server', async (t) => {
  const { local, server } = await localFor(
    t,
    { script: ({ verb }) => (verb === 'RCPT' ? { end: 'hang' } : undefined) },
    { sessions: 1 },
  );
  const stop = new AbortController();
  const both = [mail('a\r\n', { signal: stop.signal }), mail('b\r\n', { signal: stop.signal })].map(local.deliver);
  await waitFor('the first one is under way', () => server.commands.some((command) => command.startsWith('RCPT')));
  stop.abort();
  for (const result of await Promise.all(both)) {
    assert.deepEqual(verdicts(result), ['info@example.org later']);
    assert.match(result.recipients[0]?.text ?? '', /stopped/);
  }
  assert.equal(local.problem(), undefined);
});

test('close() ends what is under way, but takes the answer to a final dot along', async (t) => {
  let dots = 0;
  const { local, server } = await localFor(t, {
    script: ({ verb, argument }) => {
      if (verb === 'body') {
        dots += 1;
        return [{ pauseMs: 100 }, '250 2.0.0 taken\r\n'];
      }
      return verb === 'RCPT' && argument.includes('slow') ? { end: 'hang' } : undefined;
    },
  });
  const dotted = local.deliver(mail('a\r\n'));
  const slow = local.deliver(mail('b\r\n', { recipients: ['slow@example.org'] }));
  await waitFor('RCPT', () => server.commands.some((command) => command.includes('slow')));
  await waitFor('the final dot', () => dots === 1);
  await local.close();
  assert.deepEqual(verdicts(await dotted), ['info@example.org delivered']);
  assert.deepEqual(verdicts(await slow), ['slow@example.org later']);
  await local.close();
});
