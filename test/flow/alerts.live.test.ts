// Each trouble is told once at a real mailbox and at a (scripted) Bot API, and once more when it is over: nothing in
// between, though the rules are evaluated many times.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ScriptedBotApi } from '../lab/scripted-bot-api.ts';
import { createLab } from '../lab/lab.ts';
import type { Postfix } from '../lab/postfix.ts';
import { waitFor } from '../lab/wait.ts';
import { agentAccount, createEstate, relayUsers, users } from './estate.ts';
import { incoming, tally } from './mails.ts';

const zone = 'bl.example.test';
const clean = [':127.0.0.2:listed for the test, see $', '127.0.0.2'] as const;
const token = '123456:test-token';
/** Many times the interval of evaluation: a rule that repeats itself would be seen. */
const watchMs = 12_000;

test('listing, local server and agent: each alert arrives once, and once more when it is over', async (t) => {
  const lab = createLab(t);
  const [provider, local, relay, office, rbldnsd, bot] = await Promise.all([
    lab.dovecot({ users }),
    lab.dovecot({ users }),
    lab.postfix({ role: 'relay', domains: ['outside.example'], users: relayUsers }),
    lab.postfix({ role: 'local', domains: ['ops.example'] }),
    lab.rbldnsd({ zones: { [zone]: clean } }),
    lab.scriptedBotApi({ token }),
  ]);
  const mqttPort = await lab.freePort();
  const soon = { forSeconds: 2, clearSeconds: 2 };
  const estate = await createEstate({
    lab,
    servers: { provider, local: { protocol: 'lmtp', host: local.host, port: local.lmtp }, relay },
    collecting: {
      mqttPort,
      broker: { kind: 'embedded', port: mqttPort, agents: [agentAccount] },
      store: { kind: 'sqlite' },
      alerts: {
        evaluateSeconds: 1,
        email: {
          host: office.host,
          port: office.smtp,
          tls: 'none',
          from: 'alerts@ops.example',
          to: ['team@ops.example'],
        },
        telegram: { token: { file: 'bot-token' }, chats: ['-1001'], apiRoot: bot.url },
        rules: {
          'agent-silent': { forSeconds: 3, clearSeconds: 2 },
          'account-failing': soon,
          'queue-old': soon,
          'address-listed': soon,
        },
      },
    },
    secrets: { 'bot-token': token },
    agent: {
      probe: {
        dnsbl: {
          resolver: rbldnsd.host + ':' + rbldnsd.port,
          zones: [zone],
          addresses: ['192.0.2.10'],
          intervalSeconds: 1,
          confirmSeconds: 0,
          clearSeconds: 0,
        },
      },
    },
  });
  await estate.startCollector();
  let agent = await estate.startAgent();
  const told = () => readTold(office, bot);
  const expected: string[] = [];
  const expectNext = async (line: string): Promise<void> => {
    expected.push(line);
    await waitFor(line, async () => (await told()).email.includes(line) && (await told()).telegram.includes(line), {
      timeoutMs: 40_000,
      everyMs: 200,
    });
  };
  const listed = 'acme/nas-1: 192.0.2.10 is listed at ' + zone;
  const failing = 'acme/nas-1: mailbox info cannot be fetched';
  const silent = 'acme/nas-1: the agent is silent';

  await rbldnsd.set(zone, [...clean, '192.0.2.10']);
  await expectNext('ALERT: ' + listed);
  await rbldnsd.set(zone, clean);
  await expectNext('RESOLVED: ' + listed);

  await local.stop();
  await provider.put('info@example.org', incoming({ serial: 1, to: 'info@example.org' }));
  await expectNext('ALERT: ' + failing);
  await local.start();
  await expectNext('RESOLVED: ' + failing);
  await waitFor('the mail that waited', async () => (await local.count('info@example.org')) === 1);

  agent.kill('SIGKILL');
  await agent.waitExit();
  await expectNext('ALERT: ' + silent);
  agent = await estate.startAgent();
  await expectNext('RESOLVED: ' + silent);

  const end = performance.now() + watchMs;
  await waitFor('the time to watch', () => performance.now() >= end, { timeoutMs: watchMs + 5_000 });
  const all = await told();
  assert.deepEqual(tally(all.email), tally(expected));
  assert.deepEqual(tally(all.telegram), tally(expected));
  t.diagnostic(
    'told at each of two places: ' + expected.length + ' notices, watched for ' + watchMs / 1_000 + ' s afterwards',
  );
});

async function readTold(
  office: Postfix,
  bot: ScriptedBotApi,
): Promise<{ readonly email: readonly string[]; readonly telegram: readonly string[] }> {
  const mails = await office.mails('team@ops.example');
  const subjects = mails.map((bytes) =>
    (/^Subject: (.*(?:\n[ \t].*)*)/m.exec(bytes.toString('utf8'))?.[1] ?? 'none').replaceAll(/\n[ \t]/g, ' '),
  );
  // The first line of the message, without the coloured mark in front of it.
  const lines = bot.messages.map(({ text }) => (text.split('\n')[0] ?? '').replace(/^\S+ /, ''));
  return { email: subjects, telegram: lines };
}
