// The disks of a NAS may sleep: an agent to which nothing happens writes nothing, while it fetches, listens and reports all the
// same. In the process of the test, with a clock that runs thirty times as fast, before a collector of its own.
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { createTransport } from 'nodemailer';
import { stringify } from 'yaml';
import { systemClock } from '#shared/clock.ts';
import type { Clock } from '#shared/clock.ts';
import { createLog } from '#shared/log.ts';
import { createAgent } from '../../agent/agent.ts';
import { askAgent } from '../../agent/cli/client.ts';
import { loadAgentConfig } from '../../agent/config.ts';
import { agentAccount, startCollector } from '../flow/estate.ts';
import { createLab } from '../lab/lab.ts';
import { waitFor } from '../lab/wait.ts';

const password = 'right-password';
const speed = 30;
const secret = { file: 'secret' };

/** Begins at noon, so that no day ends while somebody looks. */
function createFastClock(): Clock {
  const begun = performance.now();
  const passed = (): number => (performance.now() - begun) * speed;
  return {
    now: () => Math.round(Date.parse('2026-11-25T12:00:00Z') + passed()),
    monotonic: passed,
    sleep: (ms, signal) => systemClock.sleep(ms / speed, signal),
  };
}

/** Every file under a folder with its size and the moment of its last change. */
function snapshot(folder: string): string {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((file) => {
      const { size, mtimeNs } = statSync(file, { bigint: true });
      return file + ' ' + size + ' ' + mtimeNs;
    })
    .join('\n');
}

async function startSite(t: TestContext, diskSeconds: number) {
  const lab = createLab(t);
  const pop3 = await lab.scriptedPop3({ password });
  const local = await lab.scriptedSmtp({});
  const relay = await lab.scriptedSmtp({ login: { user: 'office', password } });
  const [mqttPort, pagePort, port] = [await lab.freePort(), await lab.freePort(), await lab.freePort()];
  await startCollector(lab, { password, mqttPort, pagePort });
  const folder = join(lab.dir, 'agent');
  mkdirSync(folder);
  writeFileSync(join(folder, 'secret'), password, { mode: 0o600 });
  const place = (server: { readonly host: string; readonly port: number }) => ({
    host: server.host,
    port: server.port,
  });
  const config = {
    tenant: agentAccount.tenant,
    agent: agentAccount.agent,
    state: 'state',
    local: { ...place(local), domains: ['example.org'] },
    accounts: [
      {
        id: 'info',
        ...place(pop3),
        tls: 'none',
        user: 'info',
        password: secret,
        recipients: ['info@example.org'],
        firstRun: 'all',
      },
    ],
    relays: [{ id: 'out', ...place(relay), tls: 'none', user: 'office', password: secret }],
    submission: { port, users: [{ name: 'office', password: secret, senders: ['@example.org'] }] },
    report: { url: 'mqtt://127.0.0.1:' + mqttPort, password: secret, diskSeconds },
  };
  writeFileSync(join(folder, 'agent.yaml'), stringify(config));
  const loaded = loadAgentConfig(join(folder, 'agent.yaml'));
  const agent = createAgent({
    loaded,
    log: createLog({ name: 'agent', level: 'silent' }),
    version: '0.0.0',
    clock: createFastClock(),
  });
  lab.onStop(() => agent.stop());
  await agent.start();
  const state = join(folder, 'state');
  let serial = 0;
  return {
    state,
    pop3,
    mail(): void {
      serial += 1;
      const bytes = Buffer.from('Message-ID: <' + serial + '@example.net>\r\nSubject: ' + serial + '\r\n\r\ntext\r\n');
      pop3.mails.push({ uid: 'uid-' + serial, bytes });
    },
    arrived: () => local.mails.length,
    async submit(): Promise<void> {
      const client = createTransport({
        host: '127.0.0.1',
        port,
        ignoreTLS: true,
        auth: { user: 'office', pass: password },
      });
      await client.sendMail({ from: 'info@example.org', to: 'a@outside.example', subject: 'Out', text: 'text\n' });
      client.close();
      await waitFor('the mail out', () => relay.mails.length === 1);
    },
    async status(): Promise<string> {
      const path = join(state, 'agent.sock');
      return JSON.stringify(await askAgent({ path, request: { command: 'status', arguments: {} }, timeoutMs: 10_000 }));
    },
    async lastSeen(): Promise<string> {
      const response = await fetch('http://127.0.0.1:' + pagePort + '/api/agents');
      return /"lastSeenAt":"([^"]+)"/.exec(await response.text())?.[1] ?? '';
    },
  };
}

test('nothing is written while nothing happens, and a mail is written at once', async (t) => {
  const site = await startSite(t, 3_600);
  site.mail();
  await waitFor('the first mail', () => site.arrived() === 1);
  await site.submit();
  await waitFor('an empty queue and an empty outbox', async () => /"depth":0.*"batches":0,/.test(await site.status()));
  let before = '';
  await waitFor(
    'a disk at rest',
    () => {
      const now = snapshot(site.state);
      const isSame = now === before;
      before = now;
      return isSame;
    },
    { everyMs: 1_500, timeoutMs: 30_000 },
  );
  const [rounds, seen] = [site.pop3.commands.length, await site.lastSeen()];
  // Five times the longest of what comes regularly: the housekeeping of the queue, every thirty seconds.
  await new Promise((resolve) => setTimeout(resolve, 5_000));
  assert.equal(snapshot(site.state), before);
  assert.ok(site.pop3.commands.length > rounds, 'nothing was fetched meanwhile');
  await waitFor('the collector to have heard of it', async () => (await site.lastSeen()) > seen);
  assert.equal(snapshot(site.state), before);

  site.mail();
  await waitFor('the next mail', () => site.arrived() === 2);
  await waitFor('a disk that was written', () => snapshot(site.state) !== before);
});

test('without that option every flush is written', async (t) => {
  const site = await startSite(t, 0);
  await waitFor('the report to be connected', async () => /"connected":true/.test(await site.status()));
  const before = snapshot(site.state);
  await waitFor('a disk that was written', () => snapshot(site.state) !== before);
});
