// The agent as a whole: its certificate on first start, users added while it runs, and what `status` shows of it.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { Writable } from 'node:stream';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { createTransport } from 'nodemailer';
import { pino } from 'pino';
import { createAgent } from '../../agent/agent.ts';
import { runCli } from '../../agent/cli/program.ts';
import { loadAgentConfig } from '../../agent/config.ts';
import { createLab } from '../lab/lab.ts';

async function startSite(t: TestContext, submission: string) {
  const lab = createLab(t);
  const folder = mkdtempSync(join(tmpdir(), 'mailferry-setup-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const [port, implicitPort] = [await lab.freePort(), await lab.freePort()];
  writeFileSync(join(folder, 'secret'), 'relay password');
  writeFileSync(
    join(folder, 'agent.yaml'),
    'tenant: acme\nagent: nas-1\nstate: state\nlocal: {port: 1, domains: [office.test]}\n' +
      'relays: [{id: provider, host: 127.0.0.1, port: 1, tls: none, user: u, password: {file: secret}}]\n' +
      'submission:\n  port: ' +
      port +
      '\n  implicitPort: ' +
      implicitPort +
      '\n' +
      submission,
  );
  let logged = '';
  const stream = new Writable({
    write(chunk, _encoding, done) {
      logged += String(chunk);
      done();
    },
  });
  const log = pino({ level: 'debug' }, stream);
  const start = async () => {
    const agent = createAgent({ loaded: loadAgentConfig(join(folder, 'agent.yaml')), log, version: '0' });
    t.after(agent.stop);
    await agent.start();
    return agent;
  };
  const cli = async (...args: string[]): Promise<string> => {
    let text = '';
    const out = (more: string): void => void (text += more);
    await runCli(args, { out, error: out, folder, now: Date.now });
    return text;
  };
  return { folder, port, implicitPort, start, cli, logged: () => logged };
}

const fingerprintAt = (port: number): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
    socket.on('error', reject).on('secureConnect', () => {
      resolve(socket.getPeerCertificate().fingerprint256);
      socket.destroy();
    });
  });

test('the first start makes a certificate, the next one keeps it, and status shows what clients see', async (t) => {
  const { folder, port, implicitPort, start, cli, logged } = await startSite(
    t,
    '  name: nas.office.test\n  host: 0.0.0.0\n',
  );
  const agent = await start();
  const seen = await fingerprintAt(implicitPort);
  const status = await cli('status');
  assert.ok(status.includes('0.0.0.0:' + port + ' and ' + implicitPort + ' (TLS), certificate until 20'), status);
  assert.ok(status.includes('SHA-256 ' + seen), status);
  assert.match(logged(), /nobody may hand in mail yet/);
  assert.equal(statSync(join(folder, 'state', 'submission-key.pem')).mode & 0o777, 0o600);
  await agent.stop();
  await start();
  assert.equal(await fingerprintAt(implicitPort), seen);
});

test('a user that is added while the agent runs hands in mail at once; its password is in no log and no file', async (t) => {
  const { folder, port, implicitPort, start, cli, logged } = await startSite(t, '');
  await start();
  const ca = readFileSync(join(folder, 'state', 'submission-cert.pem'), 'utf8');
  const send = async (user: string, pass: string, tls: 'starttls' | 'implicit'): Promise<void> => {
    const transport = createTransport({
      host: 'localhost',
      port: tls === 'implicit' ? implicitPort : port,
      secure: tls === 'implicit',
      requireTLS: true,
      auth: { user, pass },
      tls: { ca },
    });
    await transport
      .sendMail({ from: 'desk@office.test', to: 'a@world.test', subject: 's', text: 't' })
      .finally(() => transport.close());
  };
  await assert.rejects(send('desk', 'not yet there', 'starttls'), /535/);
  const password = /this once: (\S+)/.exec(await cli('user', 'add', 'desk', 'desk@office.test'))?.[1] ?? '';
  await send('desk', password, 'starttls');
  await send('desk', password, 'implicit');
  const dialog = await cli('user', 'relay-dialog');
  const relayPassword = /Password +(\S+)/.exec(dialog)?.[1] ?? '';
  assert.match(dialog, /Secure connection {2}on \(STARTTLS\)\n/);
  await send('relay-dialog', relayPassword, 'starttls');
  await cli('user', 'remove', 'desk');
  await assert.rejects(send('desk', password, 'starttls'), /535/);
  const listed: unknown = JSON.parse(await cli('queue', 'list', '--json'));
  assert.equal((listed as { total: number }).total, 3); // the shape is tested elsewhere
  for (const secret of [password, relayPassword]) {
    assert.ok(secret.length > 20);
    assert.ok(!logged().includes(secret));
    assert.ok(!logged().includes(Buffer.from(secret).toString('base64')));
    assert.ok(!readFileSync(join(folder, 'state', 'users.json'), 'utf8').includes(secret));
    assert.ok(!(await cli('status', '--json')).includes(secret));
  }
});
