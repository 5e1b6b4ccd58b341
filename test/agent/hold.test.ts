// A state that was copied: the agent starts, answers, and moves no mail until a person adopts it.
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createLog } from '#shared/log.ts';
import { createAgent } from '../../agent/agent.ts';
import { askAgent } from '../../agent/cli/client.ts';
import { loadAgentConfig } from '../../agent/config.ts';
import { createLab } from '../lab/lab.ts';
import { waitFor } from '../lab/wait.ts';

test('the same state in another place fetches nothing before it is adopted', async (t) => {
  const lab = createLab(t);
  const pop3 = await lab.scriptedPop3({ password: 'right' });
  const smtp = await lab.scriptedSmtp({});
  const site = (name: string) => {
    const folder = join(lab.dir, name);
    mkdirSync(folder, { recursive: true });
    const file = join(folder, 'agent.yaml');
    const account = {
      id: 'info',
      host: pop3.host,
      port: pop3.port,
      tls: 'none',
      user: 'info',
      password: { file: 'secret' },
      recipients: ['info@example.org'],
      intervalSeconds: 1,
    };
    const local = { host: smtp.host, port: smtp.port, domains: ['example.org'] };
    writeFileSync(join(folder, 'secret'), 'right\n', { mode: 0o600 });
    writeFileSync(file, JSON.stringify({ tenant: 'acme', agent: 'nas-1', state: 'state', local, accounts: [account] }));
    const log = createLog({ level: 'silent', name: 'test' });
    const agent = createAgent({ loaded: loadAgentConfig(file), log, version: '0' });
    lab.onStop(() => agent.stop());
    const ask = async (command: string): Promise<string> => {
      const path = join(folder, 'state', 'agent.sock');
      return JSON.stringify(await askAgent({ path, request: { command, arguments: {} }, timeoutMs: 10_000 }));
    };
    return { folder, agent, ask };
  };
  const logins = (): number => pop3.commands.filter((line) => line === 'PASS').length;
  const first = site('first');
  await first.agent.start();
  await waitFor('a round', () => logins() > 0);
  assert.match(await first.ask('status'), /"hold":""/);
  await first.agent.stop();

  const second = site('second');
  cpSync(join(first.folder, 'state'), join(second.folder, 'state'), { recursive: true });
  const before = logins();
  await second.agent.start();
  assert.match(
    await second.ask('status'),
    /"hold":"the state folder was copied, moved or restored".*held, no mail moves/,
  );
  assert.equal(logins(), before);
  assert.match(await second.ask('adopt'), /"was":"the state folder was copied, moved or restored"/);
  await waitFor('a round after it', () => logins() > before);
  assert.match(await second.ask('status'), /"hold":""/);
  assert.match(await second.ask('adopt'), /"was":""/);
});
