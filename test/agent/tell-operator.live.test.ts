// A note to whoever looks after the agent, through a real local server and a real relay.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '#shared/clock.ts';
import { createLog } from '#shared/log.ts';
import { passwordSource } from '../../agent/accounts/secret.ts';
import { createLocal } from '../../agent/local/local.ts';
import { tellOperator } from '../../agent/tell-operator.ts';
import type { OperatorWays } from '../../agent/tell-operator.ts';
import { parseAgentConfig } from '../../agent/config.ts';
import { createLab } from '../lab/lab.ts';
import { waitFor } from '../lab/wait.ts';

const log = createLog({ name: 'test', level: 'silent' });
const note = { subject: 'no collector hears acme/nas-1', text: 'It runs.\nMail moves as before.' };

test('the operator has the note through the local server, others through the relay; one way is enough', async (t) => {
  const lab = createLab(t);
  const user = 'office@example.org';
  const dovecot = await lab.dovecot({ users: { 'postmaster@example.org': 'right' } });
  const relay = await lab.postfix({ role: 'relay', domains: ['outside.example'], users: { [user]: 'right' } });
  const { value } = parseAgentConfig(
    'agent.yaml',
    `{tenant: acme, agent: nas-1, state: s, local: {protocol: lmtp, host: 127.0.0.1, port: ${dovecot.lmtp}, domains: [example.org]},
      relays: [{id: provider, host: 127.0.0.1, port: ${relay.submission}, user: '${user}', password: {env: X}}]}`,
  );
  const [config] = value.relays;
  assert.ok(config !== undefined && value.local !== undefined);
  const local = createLocal({
    config: value.local,
    endpoint: { host: '127.0.0.1', port: dovecot.lmtp, tls: 'none' },
    name: 'nas-1',
    clock: systemClock,
    log,
  });
  lab.onStop(local.close);
  const ways: OperatorWays = {
    local,
    operator: 'postmaster@example.org',
    relay: {
      config,
      endpoint: { host: '127.0.0.1', port: relay.submission, tls: 'starttls', ca: relay.ca },
      secret: passwordSource(() => 'right'),
      limits: {},
      origin: 'relays',
    },
    to: ['ops@outside.example', 'night@outside.example'],
    from: undefined,
    traceId: 'trace',
    clock: systemClock,
    log,
  };
  await tellOperator(ways, note);
  const inside = await waitFor('the note inside', async () => (await dovecot.mails('postmaster@example.org'))[0]);
  assert.match(String(inside), /Subject: no collector hears acme\/nas-1[\s\S]*It runs\.\r?\nMail moves as before\./);
  for (const address of ways.to) {
    const outside = await waitFor('the note to ' + address, async () => (await relay.mails(address))[0]);
    assert.match(String(outside), /^From: mailferry <office@example\.org>/m);
    assert.match(String(outside), /^To: ops@outside\.example, night@outside\.example/m);
  }
  const broken = { ...ways, relay: ways.relay && { ...ways.relay, secret: passwordSource(() => 'wrong') } };
  await tellOperator(broken, note);
  await waitFor('one more inside', async () => (await dovecot.mails('postmaster@example.org')).length === 2);
  await assert.rejects(tellOperator({ ...broken, operator: undefined }, note), /provider|login|auth/i);
  await assert.rejects(
    tellOperator({ ...ways, operator: undefined, to: [] }, note),
    /expected option operator, or report\.tell\.to with a relay/,
  );
});
