// Another configuration for an agent that runs, as a process of its own: what is new counts at once, what is not concerned
// goes on, what cannot be used changes nothing.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { createTransport } from 'nodemailer';
import { stringify } from 'yaml';
import { askAgent } from '../../agent/cli/client.ts';
import { startProgram } from '../flow/programs.ts';
import { createLab } from '../lab/lab.ts';
import { waitFor } from '../lab/wait.ts';

const password = 'right-password';
const secret = { file: 'secret' };

async function startSite(t: TestContext) {
  const lab = createLab(t);
  const local = await lab.scriptedSmtp({});
  const relay = await lab.scriptedSmtp({ login: { user: 'office', password } });
  const boxes = { info: await lab.scriptedPop3({ password }), sales: await lab.scriptedPop3({ password }) };
  const submissionPort = await lab.freePort();
  const folder = join(lab.dir, 'agent');
  const account = (id: 'info' | 'sales') => ({
    id,
    host: boxes[id].host,
    port: boxes[id].port,
    tls: 'none',
    user: id,
    password: secret,
    recipients: [id + '@example.org'],
    firstRun: 'all',
    intervalSeconds: 1,
  });
  const out = (port: number) => ({
    id: 'out',
    host: relay.host,
    port,
    tls: 'none',
    user: 'office',
    password: secret,
    retryFirstSeconds: 1,
    retryMaxSeconds: 2,
  });
  const user = (name: string) => ({ name, password: secret, senders: ['@example.org'] });
  const config = (change: object = {}) => ({
    tenant: 'acme',
    agent: 'nas-1',
    state: 'state',
    local: { host: local.host, port: local.port, domains: ['example.org'] },
    accounts: [account('info')],
    relays: [out(relay.port)],
    submission: { port: submissionPort, users: [user('office')] },
    ...change,
  });
  let serial = 0;
  return {
    lab,
    local,
    relay,
    boxes,
    submissionPort,
    account,
    out,
    user,
    async start(change: object = {}) {
      const agent = await startProgram({
        program: 'agent',
        folder,
        config: config(change),
        secrets: { secret: password },
      });
      lab.onStop(() => agent.stop());
      return agent;
    },
    change: (change: object) => writeFileSync(join(folder, 'agent.yaml'), stringify(config(change))),
    write: (text: string) => writeFileSync(join(folder, 'agent.yaml'), text),
    file: (name: string) => join(folder, name),
    async ask(command: string): Promise<string> {
      const path = join(folder, 'state', 'agent.sock');
      return JSON.stringify(await askAgent({ path, request: { command, arguments: {} }, timeoutMs: 60_000 }));
    },
    mail(box: 'info' | 'sales'): void {
      serial += 1;
      const bytes = Buffer.from('Message-ID: <' + serial + '@example.net>\r\nSubject: ' + serial + '\r\n\r\ntext\r\n');
      boxes[box].mails.push({ uid: 'uid-' + serial, bytes });
    },
    async submit(name = 'office', port = submissionPort): Promise<void> {
      const client = createTransport({
        host: '127.0.0.1',
        port,
        ignoreTLS: true,
        auth: { user: name, pass: password },
      });
      try {
        await client.sendMail({
          from: 'info@example.org',
          to: 'customer@outside.example',
          subject: 'Out',
          text: 'text\n',
        });
      } finally {
        client.close();
      }
    },
  };
}

test('a mailbox that is added is fetched and one that is removed is not, while whoever hands in mail stays connected', async (t) => {
  const site = await startSite(t);
  await site.start();
  site.mail('info');
  await waitFor('the first mail', () => site.local.mails.length === 1);
  const client = connect(site.submissionPort, '127.0.0.1');
  t.after(() => client.destroy());
  let said = '';
  client.on('data', (bytes) => void (said += String(bytes)));
  await waitFor('the greeting', () => said.startsWith('220'));

  site.change({ accounts: [site.account('info'), site.account('sales')] });
  assert.match(
    await site.ask('reload'),
    /"changes":\["mailbox sales: added"\],"reopened":\["receive"\],"restart":\[\]/,
  );
  site.mail('sales');
  await waitFor('the mail of the new mailbox', () => site.local.mails.length === 2);

  site.change({ accounts: [site.account('sales')] });
  assert.match(await site.ask('reload'), /mailbox info: removed/);
  const logins = site.boxes.info.commands.length;
  const rounds = site.boxes.sales.commands.length;
  await waitFor('further rounds', () => site.boxes.sales.commands.length > rounds + 8);
  assert.equal(site.boxes.info.commands.length, logins);

  assert.equal(client.closed, false);
  said = '';
  client.write('NOOP\r\n');
  await waitFor('an answer on the old connection', () => said.startsWith('250'));
  assert.match(await site.ask('reload'), /"changes":\[\]/);
});

test('mail that waits goes by the relay that another configuration names, once', async (t) => {
  const site = await startSite(t);
  const nobody = await site.lab.freePort();
  await site.start({ relays: [site.out(nobody)] });
  await site.submit();
  await site.submit();
  await waitFor('the relay to be out of reach', async () =>
    /"problem":"[^"]*ECONNREFUSED/.test(await site.ask('status')),
  );
  assert.equal(site.relay.mails.length, 0);
  site.change({});
  assert.match(await site.ask('reload'), /"changes":\["relay out: changed"\],"reopened":\["send"\]/);
  await waitFor('both mails', () => site.relay.mails.length === 2, { timeoutMs: 30_000 });
  await waitFor('an empty queue', async () => /"depth":0/.test(await site.ask('status')));
  assert.equal(site.relay.mails.length, 2);
});

test('users of the configuration come and go, also by another password in the same file', async (t) => {
  const site = await startSite(t);
  await site.start();
  await site.submit('office');
  site.change({ submission: { port: site.submissionPort, users: [site.user('scanner')] } });
  await site.ask('reload');
  await site.submit('scanner');
  await assert.rejects(site.submit('office'), /535/);
  writeFileSync(site.file('secret'), 'another-password\n');
  assert.match(await site.ask('reload'), /"changes":\["submission: changed"\]/);
  await assert.rejects(site.submit('scanner'), /535/);
});

test('what cannot be used changes nothing, and says why; what needs a restart is named', async (t) => {
  const site = await startSite(t);
  const agent = await site.start();
  await site.submit();
  await waitFor('the mail', () => site.relay.mails.length === 1);
  const good = readFileSync(site.file('agent.yaml'), 'utf8');

  site.write(good + 'acounts: []\n');
  assert.match(
    await site.ask('reload'),
    /"refusal":"failed".*agent\.yaml:\d+: option acounts: found an unknown option, expected accounts/,
  );
  site.change({ accounts: [{ ...site.account('info'), password: { file: 'nowhere' } }] });
  const gone = await site.ask('reload');
  assert.match(gone, /option accounts\[0\]\.password\.file: found .*nowhere which cannot be read: ENOENT/);
  assert.doesNotMatch(gone, /goes on with/, 'rooms were closed for a file that is not there');

  // A port that is taken: the room is open again as it was.
  site.change({ submission: { port: site.local.port, users: [site.user('office')] } });
  assert.match(await site.ask('reload'), /EADDRINUSE|in use.*goes on with the old configuration/);
  await site.submit();
  await waitFor('the mail after it', () => site.relay.mails.length === 2);

  site.change({ state: 'elsewhere', agent: 'nas-2', accounts: [site.account('info'), site.account('sales')] });
  const told = await site.ask('reload');
  assert.match(told, /"restart":\["agent","state"\]/);
  assert.match(told, /option state counts from the next start on/);
  site.mail('sales');
  await waitFor('the mail of the new mailbox', () => site.local.mails.length === 1);
  assert.match(await site.ask('status'), /"agent":"nas-1"/);
  assert.equal(agent.exit(), undefined);
});

test('a hang-up reads the configuration again, and all rooms are opened anew where that is needed', async (t) => {
  const site = await startSite(t);
  const agent = await site.start();
  site.mail('info');
  await waitFor('the first mail', () => site.local.mails.length === 1);
  site.change({ operator: 'postmaster@example.org', accounts: [site.account('info'), site.account('sales')] });
  process.kill(agent.pid, 'SIGHUP');
  site.mail('sales');
  await waitFor('the mail of the new mailbox', () => site.local.mails.length === 2);
  await site.submit();
  await waitFor('the mail out', () => site.relay.mails.length === 1);
  site.write('nonsense: [');
  process.kill(agent.pid, 'SIGHUP');
  await waitFor('the refusal in the log', () => /expected YAML/.test(agent.log()));
  await site.submit();
  await waitFor('the next mail out', () => site.relay.mails.length === 2);
  assert.equal(site.local.mails.length, 2);
});
