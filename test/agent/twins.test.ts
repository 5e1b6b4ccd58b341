// Two agents of one identity as processes of their own, and a collector with its own broker: both stop moving mail until a
// person adopts one; the collector alerts; nothing is delivered twice meanwhile.
import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { askAgent } from '../../agent/cli/client.ts';
import { agentAccount, startCollector } from '../flow/estate.ts';
import { startProgram } from '../flow/programs.ts';
import type { Child } from '../lab/child.ts';
import { createLab } from '../lab/lab.ts';
import { waitFor } from '../lab/wait.ts';

const password = 'right-password';

async function startSite(t: TestContext) {
  const lab = createLab(t);
  const pop3 = await lab.scriptedPop3({ password });
  const smtp = await lab.scriptedSmtp({});
  const [mqttPort, pagePort] = [await lab.freePort(), await lab.freePort()];
  await startCollector(lab, {
    password,
    mqttPort,
    pagePort,
    alerts: { evaluateSeconds: 1, rules: { 'agent-held': { forSeconds: 0, clearSeconds: 3 } } },
  });
  const folderOf = (name: string): string => join(lab.dir, name);
  return {
    pop3,
    smtp,
    mail(n: number) {
      const bytes = Buffer.from('Message-ID: <' + n + '@example.net>\r\nSubject: ' + n + '\r\n\r\ntext\r\n');
      pop3.mails.push({ uid: 'uid-' + n, bytes });
    },
    logins: () => pop3.commands.filter((line) => line === 'PASS').length,
    /** The state of one agent, copied to where another one runs. */
    copy: (from: string, to: string) =>
      cpSync(join(folderOf(from), 'state'), join(folderOf(to), 'state'), { recursive: true }),
    async agent(name: string): Promise<Child> {
      const child = await startProgram({
        program: 'agent',
        folder: folderOf(name),
        secrets: { secret: password },
        config: {
          tenant: agentAccount.tenant,
          agent: agentAccount.agent,
          state: 'state',
          local: { host: smtp.host, port: smtp.port, domains: ['example.org'] },
          accounts: [
            {
              id: 'info',
              host: pop3.host,
              port: pop3.port,
              tls: 'none',
              user: 'info',
              password: { file: 'secret' },
              recipients: ['info@example.org'],
              firstRun: 'all',
              keep: 'none',
              intervalSeconds: 1,
            },
          ],
          report: { url: 'mqtt://127.0.0.1:' + mqttPort, password: { file: 'secret' }, flushSeconds: 1 },
        },
      });
      lab.onStop(() => child.stop());
      return child;
    },
    async ask(name: string, command: string): Promise<string> {
      const path = join(folderOf(name), 'state', 'agent.sock');
      return JSON.stringify(await askAgent({ path, request: { command, arguments: {} }, timeoutMs: 10_000 }));
    },
    async alerts(): Promise<string> {
      const response = await fetch('http://127.0.0.1:' + pagePort + '/api/alerts');
      return response.text();
    },
    async state(): Promise<string> {
      const response = await fetch('http://127.0.0.1:' + pagePort + '/api/agents');
      return response.text();
    },
  };
}

test('two agents with one identity: both pause their mail, the collector alerts, one is adopted and goes on', async (t) => {
  const site = await startSite(t);
  await site.agent('first');
  site.mail(1);
  await waitFor('the first mail', () => site.smtp.mails.length === 1);
  // Installed anew under the same name, while the other still runs: no copied state that could be told by its marks.
  await site.agent('second');
  const held = async (name: string): Promise<boolean> =>
    (await site.ask(name, 'status')).includes('a second agent runs with the identity acme/nas-1');
  await waitFor('both to be held', async () => (await held('first')) && (await held('second')), { timeoutMs: 40_000 });
  const logins = site.logins();
  site.mail(2);
  await waitFor('the alert', async () => /agent-held.*second agent/.test(await site.alerts()));
  assert.match(await site.alerts(), /run `mailferry adopt`/);
  assert.match(await site.ask('first', 'status'), /held, no mail moves: .*mailferry adopt/);
  // Goodbyes of the connections that ended may come after the first word of a held one.
  await waitFor('the agent to count as online', async () => /"state":"online"/.test(await site.state()));
  // Several intervals long.
  await new Promise((resolve) => setTimeout(resolve, 3_500));
  assert.deepEqual([site.logins(), site.smtp.mails.length], [logins, 1], 'nobody logs in, no mail moves');

  assert.match(await site.ask('second', 'adopt'), /"was":"a second agent/);
  await waitFor('the second mail', () => site.smtp.mails.length === 2);
  assert.ok(await held('first'), 'the other one stays held');
  await waitFor('the end of what it was asked', async () => /"hold":""/.test(await site.ask('second', 'status')));
});

test('a hold outlives a restart, and ends by a decision alone', async (t) => {
  const site = await startSite(t);
  const first = await site.agent('first');
  const second = await site.agent('second');
  await waitFor('the hold', async () => /second agent/.test(await site.ask('first', 'status')), { timeoutMs: 40_000 });
  await Promise.all([first.stop(), second.stop()]);
  await site.agent('first');
  assert.match(await site.ask('first', 'status'), /"hold":"a second agent runs/);
  const before = site.logins();
  assert.match(await site.ask('first', 'adopt'), /"was":"a second agent runs/);
  await waitFor('a round', () => site.logins() > before);
});

test('a copied state reports that it is held, and does not disturb the agent that it was copied from', async (t) => {
  const site = await startSite(t);
  const first = await site.agent('first');
  site.mail(1);
  await waitFor('the first mail', () => site.smtp.mails.length === 1);
  await first.stop();
  site.copy('first', 'second');
  await site.agent('first');
  await site.agent('second');
  await waitFor('the alert', async () => /agent-held.*copied, moved or restored/.test(await site.alerts()));
  assert.match(await site.ask('second', 'status'), /"hold":"the state folder was copied, moved or restored"/);
  for (let n = 2; n <= 4; n += 1) {
    site.mail(n);
    await waitFor('mail ' + n, () => site.smtp.mails.length === n);
  }
  await waitFor('its reports', async () => /"mailIn":\{"count":4\}/.test(await site.state()));
  const status = await site.ask('first', 'status');
  assert.match(status, /"hold":""/);
  assert.match(status, /"connected":true/);
});
