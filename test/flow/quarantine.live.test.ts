// A mail with something bad in it, from the provider through the real agent into quarantine, and out again by the command
// line: clamd, rspamd, dovecot on both sides, the agent as its own process.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { runCli } from '../../agent/cli/program.ts';
import { labVirus } from '../lab/clamd.ts';
import { createLab } from '../lab/lab.ts';
import { waitFor } from '../lab/wait.ts';
import { startProgram } from './programs.ts';

test('bad mail waits in quarantine until a person releases or drops it; a catch-all mailbox is sorted', async (t) => {
  const lab = createLab(t);
  const local = { 'sales@example.org': 'right', 'office@example.org': 'right' };
  const [provider, home, rspamd, clamd] = await Promise.all([
    lab.dovecot({ users: { 'box@provider.test': 'right' } }),
    lab.dovecot({ users: local }),
    lab.rspamd(),
    lab.clamd(),
  ]);
  const received = 'Received: from x by mx.provider.test; Wed, 25 Nov 2026 10:00:00 +0000\r\n';
  const put = (to: string, subject: string, body: string) =>
    provider.put(
      'box@provider.test',
      Buffer.from('X-Envelope-To: ' + to + '\r\n' + received + 'Subject: ' + subject + '\r\n\r\n' + body + '\r\n'),
    );
  const { caFile } = await lab.certificate();
  const folder = join(lab.dir, 'agent');
  const agent = await startProgram({
    program: 'agent',
    folder,
    secrets: { secret: 'right', controller: rspamd.password },
    config: {
      tenant: 'acme',
      agent: 'nas-1',
      state: 'state',
      local: { protocol: 'lmtp', host: home.host, port: home.lmtp, domains: ['example.org'] },
      check: {
        rspamd: { url: rspamd.controllerUrl, password: { file: 'controller' }, onFailure: 'wait' },
        clamd: { socket: clamd.socket },
      },
      accounts: [
        {
          id: 'box',
          host: '127.0.0.1',
          port: provider.pop3s,
          caFile,
          user: 'box@provider.test',
          password: { file: 'secret' },
          multidrop: {
            header: 'X-Envelope-To',
            domains: ['example.org'],
            fallback: 'office@example.org',
            provider: 'provider.test',
          },
          sender: null,
          keep: 'none',
          intervalSeconds: 1,
        },
      ],
    },
  });
  lab.onStop(() => agent.stop());
  const mailferry = async (...args: string[]) => {
    let text = '';
    const add = (more: string): void => void (text += more);
    const terminal = { out: add, error: add, folder, now: Date.now };
    return { code: await runCli(['--config', 'agent.yaml', ...args], terminal), text };
  };
  await waitFor('the first round', async () => / ok/.test((await mailferry('fetch')).text));
  await put('sales@example.org', 'fine', 'text');
  await put('stranger@example.net', 'for nobody here', 'text');
  await put('sales@example.org', 'bad one', labVirus);
  await put('sales@example.org', 'bad two', labVirus);
  await waitFor('four mails to be dealt with', async () => (await provider.count('box@provider.test')) === 2);
  assert.deepEqual([await home.count('sales@example.org'), await home.count('office@example.org')], [1, 1]);
  assert.match(String((await home.mails('sales@example.org'))[0]), /X-Spam-Status: No, score=0\.\d+ required=15\.00/);
  const status = await waitFor('status', async () => {
    const { text } = await mailferry('status');
    return /quarantine +2 mails/.test(text) ? text : '';
  });
  assert.match(status, /check by clamd +ok\ncheck by rspamd +ok\n/);
  const { text: json } = await mailferry('quarantine', 'list', '--json');
  const ids = [...json.matchAll(/"id": "(box-\d+)"/g)].map(([, id = '']) => id);
  assert.equal(ids.length, 2, json);
  const [released = '', dropped = ''] = ids;
  assert.match((await mailferry('quarantine', 'show', released)).text, /why +clamd found Lab\.Test\.Pattern/);
  assert.deepEqual(await mailferry('quarantine', 'release', released), {
    code: 0,
    text: released + ': handed over to sales@example.org\n',
  });
  assert.equal(await home.count('sales@example.org'), 2);
  assert.equal((await mailferry('quarantine', 'drop', dropped)).code, 0);
  assert.equal((await mailferry('fetch')).code, 0); // a round in which nothing changed lists nothing
  assert.equal(await provider.count('box@provider.test'), 0);
  assert.equal(await home.count('sales@example.org'), 2);
  assert.equal((await mailferry('quarantine', 'list')).text, 'The quarantine is empty.\n');
});
