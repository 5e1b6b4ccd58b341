// What a release leaves on a NAS, for the upgrade test of later ones: the agent's state and the provider's mailbox that goes
// with it, as one file. `node test/agent/package/release-state.ts FOLDER` writes releases/VERSION.json.gz with the bundle of the
// release in FOLDER, when it is published; from then on every later version is tried on it (upgrade.live.test.ts).
import { chownSync, cpSync, existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import { readVersion } from '#shared/version.ts';
import { bundleName } from '../../../agent/package/bundle.ts';
import { askAgent } from '../../../agent/cli/client.ts';
import { startProgram } from '../../flow/programs.ts';
import type { Runner } from '../../flow/programs.ts';
import type { Child } from '../../lab/child.ts';
import type { Dovecot } from '../../lab/dovecot.ts';
import { createLab } from '../../lab/lab.ts';
import type { Lab } from '../../lab/lab.ts';
import { mailOwner } from '../../lab/maildir.ts';
import { handOver } from '../../lab/plain-clients.ts';
import type { Postfix } from '../../lab/postfix.ts';
import { waitFor } from '../../lab/wait.ts';

export const releases = join(import.meta.dirname, 'releases');
export const mailbox = 'info@provider.test';
export const recipient = 'info@example.org';
export const customer = 'customer@elsewhere.test';
/** In the mailbox, all handed over; and in the queue. */
export const fetched = 20;
export const queued = 50;

type Packed = Readonly<Record<string, string>>;
/** Files by their path, in base64. */
export type ReleaseState = { readonly version: string; readonly state: Packed; readonly mailbox: Packed };

export type Site = {
  readonly provider: Dovecot;
  readonly local: Dovecot;
  readonly relay: Postfix;
  readonly folder: string;
  readonly start: (runner: Runner) => Promise<Child>;
  readonly ask: (command: string, given?: Readonly<Record<string, string>>) => Promise<unknown>;
  readonly submit: (serial: number) => Promise<void>;
  readonly stopRelay: () => Promise<void>;
};

export async function openSite(lab: Lab, name: string): Promise<Site> {
  const password = 'right-password';
  const [provider, local, relay, submission] = await Promise.all([
    lab.dovecot({ users: { [mailbox]: password } }),
    lab.dovecot({ users: { [recipient]: password } }),
    lab.postfix({ role: 'relay', domains: ['elsewhere.test'], users: { [mailbox]: password } }),
    lab.freePort(),
  ]);
  const folder = join(lab.dir, name);
  const secret = { file: 'secret' };
  const config = {
    tenant: 'acme',
    agent: 'nas-1',
    state: 'state',
    local: { protocol: 'lmtp', host: local.host, port: local.lmtp, domains: ['example.org'] },
    accounts: [
      {
        id: 'info',
        host: provider.host,
        port: provider.pop3s,
        caFile: provider.caFile,
        user: mailbox,
        password: secret,
        recipients: [recipient],
        keep: 'forever',
        firstRun: 'all',
        intervalSeconds: 3_600,
      },
    ],
    relays: [
      {
        id: 'provider',
        host: relay.host,
        port: relay.submission,
        caFile: relay.caFile,
        user: mailbox,
        password: secret,
        retryFirstSeconds: 1,
        retryMaxSeconds: 2,
      },
    ],
    submission: { port: submission, trusted: [{ id: 'nas', addresses: ['127.0.0.1'], senders: ['@example.org'] }] },
  };
  return {
    provider,
    local,
    relay,
    folder,
    async start(runner) {
      const child = await startProgram({ program: 'agent', folder, config, secrets: { secret: password }, runner });
      lab.onStop(() => child.stop());
      return child;
    },
    async ask(command, given = {}) {
      const path = join(folder, 'state', 'agent.sock');
      const answer = await askAgent({ path, request: { command, arguments: given }, timeoutMs: 60_000 });
      if (answer.ok !== true) throw new Error(command + ': ' + JSON.stringify(answer));
      return answer.value;
    },
    async submit(serial) {
      const mails = [Buffer.from(outgoing(serial))];
      await handOver({ protocol: 'smtp', port: submission, from: 'sales@example.org', to: customer, mails });
    },
    stopRelay: relay.stop,
  };
}

const outgoing = (serial: number): string =>
  `From: sales@example.org\r\nTo: ${customer}\r\nSubject: out ${serial}\r\nMessage-ID: <out-${serial}@example.org>\r\n\r\nText ${serial}\r\n`;
export const incoming = (serial: number): Buffer =>
  Buffer.from(
    `Received: by mx.test; Wed, 25 Nov 2026 08:00:00 +0000\r\nMessage-ID: <in-${serial}@x.test>\r\nDate: Wed, 25 Nov 2026 07:59:00 +0000\r\n` +
      `From: <${customer}>\r\nSubject: in ${serial}\r\n\r\nText ${serial}\r\n`,
  );

/** Lets that program receive and queue, and stops it. */
export async function writeState(site: Site, runner: Runner, version: string): Promise<ReleaseState> {
  for (let serial = 0; serial < fetched; serial += 1) await site.provider.put(mailbox, incoming(serial));
  await site.stopRelay();
  const agent = await site.start(runner);
  await site.ask('fetch');
  await waitFor('the mails to arrive', async () => (await site.local.count(recipient)) === fetched, {
    timeoutMs: 60_000,
  });
  for (let serial = 0; serial < queued; serial += 1) await site.submit(serial);
  await agent.stop(20_000);
  await site.provider.stop();
  return {
    version,
    state: pack(join(site.folder, 'state'), (path) => !/\.(?:sock|lock)$|^\.compiled|^lock\.db/.test(path)),
    mailbox: pack(site.provider.maildir(mailbox), () => true),
  };
}

/** Puts both where an agent and a provider find them; the provider's dovecot must not run. */
export function restoreState(site: Site, packed: ReleaseState): void {
  unpack(join(site.folder, 'state'), packed.state, { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 });
  unpack(site.provider.maildir(mailbox), packed.mailbox, mailOwner);
}

function pack(folder: string, wanted: (path: string) => boolean): Packed {
  const paths = readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();
  return Object.fromEntries(
    paths.flatMap((path) =>
      wanted(path) && statSync(join(folder, path)).isFile() ? [[path, readFileSync(join(folder, path), 'base64')]] : [],
    ),
  );
}

function unpack(folder: string, packed: Packed, owner: { readonly uid: number; readonly gid: number }): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (const [path, text] of Object.entries(packed)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true, mode: 0o700 });
    writeFileSync(join(folder, path), Buffer.from(text, 'base64'), { mode: 0o600 });
    for (const one of [join(folder, path), dirname(join(folder, path))]) chownSync(one, owner.uid, owner.gid);
  }
}

/** Every release that has left its state here, oldest file name first. */
export function readReleases(): readonly ReleaseState[] {
  const names = existsSync(releases) ? readdirSync(releases).filter((name) => name.endsWith('.json.gz')) : [];
  return names.sort().map((name) => {
    const text = gunzipSync(readFileSync(join(releases, name))).toString('utf8');
    return JSON.parse(text) as ReleaseState; // written below
  });
}

async function main(folder: string): Promise<void> {
  const ends: (() => Promise<void>)[] = [];
  const lab = createLab({ after: (work) => void ends.push(work) });
  try {
    cpSync(join(folder, bundleName), join(lab.dir, bundleName));
    const runner = { command: process.execPath, args: [join(lab.dir, bundleName), 'run'] };
    const packed = await writeState(await openSite(lab, 'release'), runner, readVersion());
    mkdirSync(releases, { recursive: true });
    const file = join(releases, packed.version + '.json.gz');
    writeFileSync(file, gzipSync(JSON.stringify(packed), { level: 9 }));
    process.stdout.write(file + '\n');
  } finally {
    for (const end of ends) await end();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [folder] = process.argv.slice(2);
  if (folder === undefined) {
    process.stderr.write('Cannot write the state: no folder given, expected that of `npm run release`\n');
    process.exitCode = 2;
  } else await main(folder);
}
