// What a person sees who made a mistake: one clear line with file, option, what was found, what was expected, the remedy.
// The agent goes on with what is right.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Child } from '../lab/child.ts';
import { createLab } from '../lab/lab.ts';
import { waitFor } from '../lab/wait.ts';
import { users } from './estate.ts';
import { incoming } from './mails.ts';
import { startProgram } from './programs.ts';
import { join } from 'node:path';

type Line = { readonly level: string; readonly msg: string };

function linesOf(child: Child): readonly Line[] {
  return child
    .log()
    .split('\n')
    .flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as Line] : [])); // the agent's own log
}

test('each wrong account gets one clear line, and the right one is fetched', async (t) => {
  const lab = createLab(t);
  const [provider, local] = await Promise.all([lab.dovecot({ users }), lab.dovecot({ users })]);
  const certificate = await lab.certificate();
  const nobody = await lab.freePort();
  const account = (id: string, more: object) => ({
    id,
    host: '127.0.0.1',
    port: provider.pop3s,
    caFile: certificate.caFile,
    user: 'info@example.org',
    password: { file: 'secret' },
    recipients: ['info@example.org'],
    firstRun: 'all',
    intervalSeconds: 1,
    ...more,
  });
  await provider.put('info@example.org', incoming({ serial: 1, to: 'info@example.org' }));
  const agent = await startProgram({
    program: 'agent',
    folder: join(lab.dir, 'agent'),
    secrets: { secret: 'right-password', wrong: 'wrong-password' },
    config: {
      tenant: 'acme',
      agent: 'nas-1',
      state: 'state',
      local: { protocol: 'lmtp', host: local.host, port: local.lmtp, domains: ['example.org'] },
      accounts: [
        account('right', {}),
        account('wrong-password', { user: 'sales@example.org', password: { file: 'wrong' } }),
        account('wrong-port', { port: nobody }),
        account('plain-port', { port: provider.pop3 }),
        account('not-pop3', { port: local.lmtp, tls: 'none' }),
        account('unreachable', { host: 'pop.nowhere.invalid' }),
        account('unknown-authority', { caFile: undefined }),
      ],
    },
  });
  lab.onStop(() => agent.stop());
  await waitFor('the right account to be fetched', async () => (await local.count('info@example.org')) === 1);

  const expected: Readonly<Record<string, readonly RegExp[]>> = {
    'wrong-password': [/agent\.yaml/, /accounts\[1\]/, /wrong-password/, /password/, /check/i],
    'wrong-port': [/agent\.yaml/, /accounts\[2\]/, new RegExp('127\\.0\\.0\\.1:' + nobody), /ECONNREFUSED/, /check/i],
    'plain-port': [/agent\.yaml/, /accounts\[3\]/, /TLS/i, /check/i],
    'not-pop3': [/agent\.yaml/, /accounts\[4\]/, /220/, /POP3/, /check/i],
    unreachable: [/agent\.yaml/, /accounts\[5\]/, /pop\.nowhere\.invalid/, /check/i],
    'unknown-authority': [/agent\.yaml/, /accounts\[6\]/, /certificate|UNABLE_TO|SELF_SIGNED/, /caFile/],
  };
  for (const [id, patterns] of Object.entries(expected)) {
    const about = (): readonly Line[] => linesOf(agent).filter(({ msg }) => msg.includes(': ' + id + ' at '));
    await waitFor('a line about ' + id, () => about().length > 0, { timeoutMs: 40_000 });
    const [line] = about();
    for (const pattern of patterns) assert.match(line?.msg ?? '', pattern, id);
    assert.ok(!(line?.msg ?? '').includes('\n'));
    assert.ok(
      !agent.log().includes('wrong-password"') || !agent.log().includes('right-password'),
      'a password in the log',
    );
  }
  // Several rounds later each is still told once: a trouble that does not change is not repeated.
  const started = linesOf(agent).length;
  assert.ok(started < 40, 'a log that repeats itself: ' + started + ' lines');
  assert.equal(agent.exit(), undefined);
});
