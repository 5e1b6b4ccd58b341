// One estate for a flow test: provider, local mail server, relay, agent and collector, all real.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createTransport } from 'nodemailer';
import type { Child } from '../lab/child.ts';
import type { Lab } from '../lab/lab.ts';
import { waitFor } from '../lab/wait.ts';
import { startProgram } from './programs.ts';

export const addresses = ['info@example.org', 'sales@example.org'] as const;
const password = 'right-password';

export type Servers = {
  readonly provider: { readonly host: string; readonly pop3s: number; readonly caFile: string };
  readonly local: { readonly protocol: 'smtp' | 'lmtp'; readonly host: string; readonly port: number };
  readonly relay: { readonly host: string; readonly submission: number; readonly caFile: string };
};
export type Collecting = {
  readonly broker: object;
  readonly store: object;
  readonly mqttPort: number;
  readonly alerts?: object;
};

export type Estate = {
  readonly pagePort: number;
  readonly agentFolder: string;
  readonly startCollector: () => Promise<Child>;
  readonly startAgent: () => Promise<Child>;
  /** Sends mails of `from..to` by several clients at once; resolves when each has its 250. */
  readonly submit: (from: number, to: number) => Promise<void>;
};

export async function createEstate(options: {
  readonly lab: Lab;
  readonly servers: Servers;
  readonly collecting: Collecting;
  /** Further options of the agent. */
  readonly agent?: object;
  /** Further secret files of the collector. */
  readonly secrets?: Readonly<Record<string, string>>;
}): Promise<Estate> {
  const { lab, servers, collecting } = options;
  const [pagePort, submissionPort] = [await lab.freePort(), await lab.freePort()];
  const certificate = await lab.certificate();
  const agentFolder = join(lab.dir, 'agent');
  const collectorFolder = join(lab.dir, 'collector');
  await mkdir(agentFolder, { recursive: true });
  const secret = { file: 'secret' };
  const collector = {
    state: 'state',
    web: { port: pagePort },
    broker: collecting.broker,
    store: collecting.store,
    staleSeconds: 15,
    offlineSeconds: 60,
    alerts: collecting.alerts ?? {},
  };
  const agent = {
    tenant: 'acme',
    agent: 'nas-1',
    state: 'state',
    local: { ...servers.local, domains: ['example.org'] },
    accounts: addresses.map((address) => ({
      id: address.split('@')[0],
      host: servers.provider.host,
      port: servers.provider.pop3s,
      caFile: servers.provider.caFile,
      user: address,
      password: secret,
      recipients: [address],
      keep: 'none',
      firstRun: 'all',
      intervalSeconds: 1,
    })),
    relays: [
      {
        id: 'provider',
        host: servers.relay.host,
        port: servers.relay.submission,
        caFile: servers.relay.caFile,
        user: 'office@example.org',
        password: secret,
        retryFirstSeconds: 1,
        retryMaxSeconds: 5,
      },
    ],
    submission: {
      port: submissionPort,
      tls: { keyFile: certificate.keyFile, certFile: certificate.certFile },
      users: [{ name: 'office', password: secret, senders: ['@example.org'] }],
    },
    report: { url: 'mqtt://127.0.0.1:' + collecting.mqttPort, password: secret, flushSeconds: 1 },
    ...options.agent,
  };

  async function submit(from: number, to: number): Promise<void> {
    const client = createTransport({
      host: '127.0.0.1',
      port: submissionPort,
      requireTLS: true,
      pool: true,
      maxConnections: 4,
      auth: { user: 'office', pass: password },
      tls: { ca: certificate.ca },
    });
    try {
      const serials = Array.from({ length: to - from }, (_, index) => from + index);
      await Promise.all(
        serials.map((serial) =>
          client.sendMail({
            from: 'info@example.org',
            to: 'customer@outside.example',
            subject: 'Answer ' + serial,
            messageId: '<out-' + serial + '@example.org>',
            text: 'Answer number ' + serial + '.\n.leading dot\n',
          }),
        ),
      );
    } finally {
      client.close();
    }
  }

  return {
    pagePort,
    agentFolder,
    startCollector: async () => {
      const child = await startProgram({
        program: 'collector',
        folder: collectorFolder,
        config: collector,
        secrets: { secret: password, ...options.secrets },
      });
      lab.onStop(() => child.stop());
      return child;
    },
    startAgent: async () => {
      const child = await startProgram({
        program: 'agent',
        folder: agentFolder,
        config: agent,
        secrets: { secret: password },
      });
      lab.onStop(() => child.stop());
      return child;
    },
    submit,
  };
}

/** Users of the provider's and the local server: every address with the one password. */
export const users: Readonly<Record<string, string>> = Object.fromEntries(
  addresses.map((address) => [address, password]),
);
export const relayUsers: Readonly<Record<string, string>> = { 'office@example.org': password };
export const agentAccount = { tenant: 'acme', agent: 'nas-1', password: { file: 'secret' } } as const;

/** Waits until something that only grows has reached `expected`, and then is exactly that. */
export async function waitForCount(
  what: string,
  count: () => number | Promise<number>,
  expected: number,
  timeoutMs: number,
): Promise<void> {
  let last = 0;
  await waitFor(what + ' to reach ' + expected, async () => (last = await count()) >= expected, {
    timeoutMs,
    everyMs: 100,
  }).catch((error: unknown) => {
    throw new Error(what + ': ' + last + ', expected ' + expected, { cause: error });
  });
}

/** A collector with its own broker and store, for the one agent of `agentAccount`. */
export async function startCollector(
  lab: Lab,
  options: {
    readonly password: string;
    readonly mqttPort: number;
    readonly pagePort: number;
    readonly alerts?: object;
  },
): Promise<Child> {
  const { alerts, mqttPort, pagePort, password } = options;
  const collector = await startProgram({
    program: 'collector',
    folder: join(lab.dir, 'collector'),
    secrets: { secret: password },
    config: {
      state: 'state',
      web: { port: pagePort },
      broker: { kind: 'embedded', port: mqttPort, agents: [agentAccount] },
      store: { kind: 'sqlite' },
      ...(alerts && { alerts }),
    },
  });
  lab.onStop(() => collector.stop());
  return collector;
}
