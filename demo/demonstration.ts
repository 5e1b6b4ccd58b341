// The demonstration: a simulated provider and local mail server, configurations for agent and collector in a temporary
// folder, and a little mail both ways.
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTransport } from 'nodemailer';
import { stringify } from 'yaml';
import { UserError, codeOf } from '#shared/failure.ts';
import { startLocalServer } from './local-server.ts';
import { demoZone, startProvider } from './provider.ts';
import type { Provider } from './provider.ts';

export type Demonstration = {
  readonly agentFile: string;
  readonly collectorFile: string;
  /** Starts the mail and says what is to be seen. */
  readonly run: () => void;
  readonly close: () => Promise<void>;
};

const user = 'info@demo.example';
const everyMs = 2_000;

export async function startDemo(options: { readonly port: number }): Promise<Demonstration> {
  await requireFree(options.port);
  const password = randomBytes(16).toString('hex');
  const folder = await mkdtemp(join(tmpdir(), 'mailferry-demo-'));
  await writeFile(join(folder, 'password'), password, { mode: 0o600 });
  const provider = await startProvider({ user, password });
  const local = await startLocalServer();
  const [mqttPort, submissionPort] = await Promise.all([freePort(), freePort()]);
  const ports = { page: options.port, mqtt: mqttPort, submission: submissionPort, local: local.port };
  const collectorFile = join(folder, 'collector.yaml');
  const agentFile = join(folder, 'agent.yaml');
  await writeFile(collectorFile, stringify(collectorOptions(ports)));
  await writeFile(agentFile, stringify(agentOptions(ports, provider)));
  let timer: NodeJS.Timeout | undefined;
  const client = createTransport({
    host: '127.0.0.1',
    port: submissionPort,
    ignoreTLS: true,
    auth: { user, pass: password },
  });
  let serial = 0;

  async function tick(): Promise<void> {
    serial += 1;
    provider.arrive(mail({ from: 'customer@outside.example', to: user, subject: 'Question ' + serial }));
    await client
      .sendMail({
        from: user,
        to: 'customer@outside.example',
        subject: 'Answer ' + serial,
        text: 'A mail of the demonstration.',
      })
      .catch(() => {}); // the agent may still be starting; the next one will do
  }

  return {
    agentFile,
    collectorFile,
    run() {
      process.stdout.write(introduction(options.port));
      void tick();
      timer = setInterval(() => void tick(), everyMs);
    },
    close: async () => {
      clearInterval(timer);
      client.close();
      await Promise.all([provider.close(), local.close()]);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

type Ports = { readonly page: number; readonly mqtt: number; readonly submission: number; readonly local: number };

function collectorOptions(ports: Ports): object {
  return {
    state: 'collector-state',
    logLevel: 'warn',
    web: { port: ports.page },
    broker: {
      kind: 'embedded',
      port: ports.mqtt,
      agents: [{ tenant: 'demo', agent: 'nas-1', password: { file: 'password' } }],
    },
  };
}

function agentOptions(ports: Ports, provider: Provider): object {
  const password = { file: 'password' };
  return {
    tenant: 'demo',
    agent: 'nas-1',
    state: 'agent-state',
    logLevel: 'warn',
    local: { protocol: 'lmtp', port: ports.local, domains: ['demo.example'] },
    accounts: [
      {
        id: 'info',
        host: '127.0.0.1',
        port: provider.pop3Port,
        tls: 'none',
        user,
        password,
        recipients: [user],
        keep: 'none',
        firstRun: 'all',
        intervalSeconds: 2,
      },
    ],
    relays: [{ id: 'provider', host: '127.0.0.1', port: provider.smtpPort, tls: 'none', user, password }],
    submission: { port: ports.submission, users: [{ name: user, password, senders: ['@demo.example'] }] },
    probe: {
      dnsbl: {
        resolver: '127.0.0.1:' + provider.dnsPort,
        zones: [demoZone],
        addresses: ['192.0.2.10'],
        domains: [],
        intervalSeconds: 60,
      },
    },
    report: { url: 'mqtt://127.0.0.1:' + ports.mqtt, password, flushSeconds: 2 },
  };
}

function mail(options: { readonly from: string; readonly to: string; readonly subject: string }): Buffer {
  const date = new Date().toUTCString().replace('GMT', '+0000');
  const lines = [
    'Received: from outside.example by mx.demo.example; ' + date,
    'From: <' + options.from + '>',
    'To: <' + options.to + '>',
    'Subject: ' + options.subject,
    'Date: ' + date,
    'Message-ID: <' + randomBytes(12).toString('hex') + '@outside.example>',
    '',
    'A mail of the demonstration.',
    '',
  ];
  return Buffer.from(lines.join('\r\n'));
}

function introduction(port: number): string {
  return `
This is a demonstration. Everything runs on this machine: a simulated provider and local mail server,
one agent, and the collector. A mail goes each way every ${everyMs / 1_000} seconds. No real mail is touched.

  Page:  http://127.0.0.1:${port}
  API:   http://127.0.0.1:${port}/api/agents

To use a real provider, write an agent.yaml and a collector.yaml (README, "With a real provider") and run
  npm start -- --agent agent.yaml --collector collector.yaml

Ctrl-C stops everything and removes the demonstration's files.

`;
}

async function requireFree(port: number): Promise<void> {
  await freePort(port).catch((error: unknown) => {
    throw new UserError(
      'Cannot show the page on port ' +
        port +
        ': ' +
        (codeOf(error) === 'EADDRINUSE' ? 'another program uses it' : (codeOf(error) ?? 'refused')) +
        ', expected a free port; end that program or choose another port with --port',
      { cause: error },
    );
  });
}

/** A port that is free now; port 0 lets the system choose. */
function freePort(port = 0): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
      .once('error', reject)
      .listen(port, '127.0.0.1', () => {
        const free = (probe.address() as AddressInfo).port; // a TCP server
        probe.close(() => resolve(free));
      });
  });
}
