// What the tests of the package's life share: the package from the real bundle, a site around the NAS, its configuration.
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { chown } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { writeBundle } from '../../../../agent/package/bundle.ts';
import { writeSpk } from '../../../../agent/package/spk/write-spk.ts';
import type { Dovecot } from '../../../lab/dovecot.ts';
import type { Dsm } from '../../../lab/dsm/dsm.ts';
import type { Lab } from '../../../lab/lab.ts';
import { handOver } from '../../../lab/plain-clients.ts';
import type { Postfix } from '../../../lab/postfix.ts';

export const state = '/var/packages/mailferry/var/state';
export const provider = { user: 'info@provider.test', password: 'secret' } as const;
export const recipient = 'info@example.org';
export const customer = 'customer@elsewhere.test';

/** Of the versions that are asked for, all of the same bundle. */
export async function buildSpks(folder: string, versions: readonly string[]): Promise<readonly string[]> {
  const bundle = join(folder, 'bundle');
  await writeBundle(bundle);
  return versions.map((version) => writeSpk({ folder, bundle, version }));
}

export type World = {
  readonly pop3: Dovecot;
  readonly local: Dovecot;
  readonly relay: Postfix;
  readonly submission: number;
};

export async function buildWorld(lab: Lab): Promise<World> {
  const [pop3, local, relay, submission] = await Promise.all([
    lab.dovecot({ users: { [provider.user]: provider.password } }),
    lab.dovecot({ users: { [recipient]: 'secret' } }),
    lab.postfix({ role: 'relay', domains: ['elsewhere.test'], users: { [provider.user]: provider.password } }),
    lab.freePort(),
  ]);
  return { pop3, local, relay, submission };
}

/** A whole configuration in place of the one that is there. `more`: further options. */
export async function configure(dsm: Dsm, world: World, more: object = {}): Promise<void> {
  const { pop3, local, relay, submission } = world;
  const home = dsm.real('home');
  const config = {
    tenant: 'acme',
    agent: 'nas-1',
    state,
    local: { protocol: 'lmtp', host: local.host, port: local.lmtp, domains: ['example.org'] },
    accounts: [
      {
        id: 'info',
        host: pop3.host,
        port: pop3.pop3s,
        caFile: 'ca.pem',
        user: provider.user,
        password: { file: 'provider' },
        recipients: [recipient],
        keep: 'forever',
        firstRun: 'all',
        intervalSeconds: 1,
      },
    ],
    relays: [
      {
        id: 'provider',
        host: relay.host,
        port: relay.submission,
        caFile: 'ca.pem',
        user: provider.user,
        password: { file: 'provider' },
        retryFirstSeconds: 1,
        retryMaxSeconds: 2,
      },
    ],
    submission: { port: submission, trusted: [{ id: 'nas', addresses: ['127.0.0.1'], senders: ['@example.org'] }] },
    ...more,
  };
  await writeOwned(dsm, join(home, 'agent.yaml'), stringify(config));
  await writeOwned(dsm, join(home, 'provider'), provider.password + '\n');
  cpSync(pop3.caFile, join(home, 'ca.pem'));
}

/** A file as the agent would have written it. */
export async function writeOwned(dsm: Dsm, file: string, text: string): Promise<void> {
  writeFileSync(file, text, { mode: 0o600 });
  await chown(file, dsm.uid, dsm.uid);
}

/** Hands mails to the agent as the mail server of the NAS would; gives their answers. */
export function submit(world: World, subjects: readonly string[]): Promise<readonly string[]> {
  const mails = subjects.map((subject) =>
    Buffer.from(
      'From: <' +
        recipient +
        '>\r\nTo: <' +
        customer +
        '>\r\nMessage-ID: <' +
        subject +
        '@example.org>\r\nSubject: ' +
        subject +
        '\r\n\r\ntext\r\n',
    ),
  );
  return handOver({ protocol: 'smtp', port: world.submission, from: recipient, to: customer, mails });
}

/** Subjects of what a server holds, sorted. */
export function subjectsOf(mails: readonly Buffer[]): readonly string[] {
  return mails.map((mail) => /^Subject: (.*?)\r?$/m.exec(mail.toString('latin1'))?.[1] ?? '?').sort();
}

/** The agent's own, without what supervises it. */
export function agentPids(dsm: Dsm): readonly number[] {
  return dsm
    .processes()
    .filter((pid) => readFileSync('/proc/' + pid + '/cmdline', 'utf8').includes('mailferry-agent.mjs\0run'));
}
