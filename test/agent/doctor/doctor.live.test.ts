// The doctor before real servers: dovecot, postfix, mosquitto, rspamd; and beside an agent that runs.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { stringify } from 'yaml';
import { createLab } from '../../lab/lab.ts';
import { waitFor } from '../../lab/wait.ts';
import { startProgram } from '../../flow/programs.ts';
import { mailferry, putFiles } from '../cli/run-cli.ts';

const password = 'right-password';

test('before real servers all is well, and one mail is handed over; a wrong password and a full stop are told', async (t) => {
  const lab = createLab(t);
  const certificate = await lab.certificate();
  const [provider, local, relay, broker, rspamd] = await Promise.all([
    lab.dovecot({ users: { 'info@example.org': password } }),
    lab.postfix({ role: 'local', domains: ['example.org'], mailboxes: ['info@example.org'] }),
    lab.postfix({ role: 'relay', domains: ['outside.example'], users: { 'office@example.org': password } }),
    lab.mosquitto({ users: { 'acme/nas-1': password } }),
    lab.rspamd(),
  ]);
  const place = (port: number, tls: string) => ({ host: '127.0.0.1', port, tls, caFile: certificate.caFile });
  const config = (change: { readonly broker?: string; readonly recipient?: string } = {}) => ({
    tenant: 'acme',
    agent: 'nas-1',
    state: 'state',
    local: { host: local.host, port: local.smtp, domains: ['example.org'] },
    accounts: [
      {
        id: 'info',
        ...place(provider.pop3s, 'implicit'),
        user: 'info@example.org',
        password: { file: 'secret' },
        recipients: [change.recipient ?? 'info@example.org'],
        firstRun: 'all',
        intervalSeconds: 1,
      },
    ],
    relays: [
      { id: 'out', ...place(relay.submission, 'starttls'), user: 'office@example.org', password: { file: 'secret' } },
    ],
    check: { rspamd: { url: rspamd.url } },
    report: { url: broker.url, password: { file: change.broker ?? 'secret' }, flushSeconds: 1 },
  });
  const folder = join(lab.dir, 'agent');
  putFiles(folder, { secret: password + '\n', wrong: 'wrong-password\n', 'agent.yaml': stringify(config()) });
  const examine = async (...more: readonly string[]) => {
    const ran = await mailferry(folder, ['doctor', '--json', '--time-server', 'none', ...more]);
    const { findings } = JSON.parse(ran.out) as {
      readonly findings: readonly { readonly check: string; readonly level: string; readonly found: string }[];
    }; // made by the command
    return { code: ran.code, findings, bad: findings.filter((one) => one.level === 'error') };
  };

  const well = await examine('--mail');
  assert.deepEqual(well.bad, []);
  assert.equal(well.code, 0);
  const checks = well.findings.map((one) => one.check);
  for (const name of ['local server', 'hand-over', 'mailbox info', 'relay out', 'rspamd', 'report'])
    assert.ok(checks.includes(name), name + ' was not looked at: ' + checks.join(', '));
  await waitFor('the mail of the doctor', async () => (await local.mails('info@example.org')).length === 1);
  const [mail] = await local.mails('info@example.org');
  assert.match(mail?.toString() ?? '', /Subject: mailferry doctor/);

  // The certificate ends in two days: told, and no reason to fail.
  const mailbox = well.findings.find((one) => one.check === 'mailbox info');
  assert.deepEqual(
    [mailbox?.level, /the certificate of .* ends in 1 day$/.test(mailbox?.found ?? '')],
    ['warning', true],
    JSON.stringify(mailbox),
  );

  writeFileSync(join(folder, 'agent.yaml'), stringify(config({ broker: 'wrong', recipient: 'nobody@example.org' })));
  const bad = await examine();
  assert.equal(bad.code, 1);
  assert.deepEqual(
    bad.bad.map((one) => one.check),
    ['local address', 'report'],
  );
  assert.match(bad.bad[0]?.found ?? '', /550 5\.1\.1/);
  assert.match(bad.bad[1]?.found ?? '', /refuses the login/);

  writeFileSync(join(folder, 'agent.yaml'), stringify(config()));
  const agent = await startProgram({ program: 'agent', folder, config: config(), secrets: { secret: password } });
  lab.onStop(() => agent.stop());
  await provider.stop();
  await waitFor(
    'the agent to complain',
    async () => /"up":false/.test((await mailferry(folder, ['status', '--json'])).out.replaceAll(/\s/g, '')),
    { timeoutMs: 40_000 },
  );
  const down = await examine();
  assert.ok(
    down.bad.some((one) => one.check === 'agent' && /mailbox info/.test(one.found)),
    JSON.stringify(down.bad),
  );
});
