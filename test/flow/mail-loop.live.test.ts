// A local mail server that does not know a domain and sends its mail back to the agent, end to end: fetched by POP3, handed to a
// real Postfix, refused at the agent's own door, told to the operator and at the collector, and delivered when it is mended.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { createLab } from '../lab/lab.ts';
import { waitFor } from '../lab/wait.ts';
import { agentAccount, relayUsers, startCollector } from './estate.ts';
import { incoming } from './mails.ts';
import { startProgram } from './programs.ts';

const password = 'right-password';
const address = 'info@example.org';
const operator = 'postmaster@office.example';
const secret = { file: 'secret' };

test('mail that the local server sends back is stopped after one turn, told, and delivered in the end', async (t) => {
  const lab = createLab(t);
  const [mqttPort, pagePort, submissionPort] = [await lab.freePort(), await lab.freePort(), await lab.freePort()];
  const known = join(lab.dir, 'known-domains');
  writeFileSync(known, 'office.example x\n');
  const back = '[127.0.0.1]:' + submissionPort;
  const [provider, relay, local] = await Promise.all([
    lab.dovecot({ users: { [address]: password } }),
    lab.postfix({ role: 'relay', domains: ['world.example'], users: relayUsers }),
    lab.postfix({
      role: 'local',
      domains: ['example.org', 'office.example'],
      main: {
        virtual_mailbox_domains: 'texthash:' + known,
        relayhost: back,
        default_transport: 'smtp',
        smtpd_relay_restrictions: 'permit_mynetworks reject',
        smtp_sasl_auth_enable: 'yes',
        smtp_sasl_password_maps: 'inline:{ { ' + back + ' = nas:' + password + ' } }',
        smtp_sasl_security_options: 'noanonymous',
        smtp_sasl_mechanism_filter: 'plain',
      },
    }),
  ]);
  await startCollector(lab, { password, mqttPort, pagePort, alerts: { evaluateSeconds: 1 } });
  const agent = await startProgram({
    program: 'agent',
    folder: join(lab.dir, 'agent'),
    secrets: { secret: password },
    config: {
      tenant: agentAccount.tenant,
      agent: agentAccount.agent,
      state: 'state',
      operator,
      local: { host: local.host, port: local.smtp, domains: ['example.org', 'office.example'] },
      accounts: [
        {
          id: 'info',
          host: provider.host,
          port: provider.pop3s,
          caFile: provider.caFile,
          user: address,
          password: secret,
          recipients: [address],
          keep: 'none',
          firstRun: 'all',
          intervalSeconds: 1,
        },
      ],
      relays: [
        {
          id: 'provider',
          host: relay.host,
          port: relay.submission,
          caFile: relay.caFile,
          user: 'office@example.org',
          password: secret,
        },
      ],
      submission: {
        port: submissionPort,
        users: [
          {
            name: 'nas',
            password: secret,
            senders: ['@example.org', '@office.example'],
            mailServer: { nullSender: 'allow', foreignSender: 'allow' },
          },
        ],
      },
      report: { url: 'mqtt://127.0.0.1:' + mqttPort, password: secret, flushSeconds: 1 },
    },
  });
  lab.onStop(() => agent.stop());
  for (const serial of [1, 2, 3]) await provider.put(address, incoming({ serial, to: address }));

  await waitFor('three refusals', () => (local.log().match(/451 4\.4\.6/g)?.length ?? 0) >= 3, { timeoutMs: 40_000 });
  await waitFor('the note to the operator', async () => (await local.mails(operator)).length === 1);
  await waitFor('all fetched', async () => (await provider.count(address)) === 0);
  const alerts = async (): Promise<string> => (await fetch('http://127.0.0.1:' + pagePort + '/api/alerts')).text();
  await waitFor('the alert', async () => (await alerts()).includes('sends back what came in'), { timeoutMs: 40_000 });
  assert.equal((await local.queue()).length, 3, 'the local server keeps what it could not deliver');
  assert.equal(await relay.count(), 0);
  assert.equal(await relay.sent(), 0);

  await local.stop();
  writeFileSync(known, 'office.example x\nexample.org x\n');
  await local.start();
  const folder = readdirSync(lab.dir).find(
    (name) =>
      existsSync(join(lab.dir, name, 'main.cf')) && readFileSync(join(lab.dir, name, 'main.cf'), 'utf8').includes(back),
  );
  await promisify(execFile)('postqueue', ['-c', join(lab.dir, folder ?? ''), '-f']);
  await waitFor('all three', async () => (await local.mails(address)).length === 3, { timeoutMs: 40_000 });
  assert.equal((await local.queue()).length, 0);
  assert.equal((await local.mails(operator)).length, 1);
});
