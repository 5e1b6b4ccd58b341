// Round trips between real servers: a relay (Postfix) that hands to the provider's mailboxes (Dovecot), a local mail server that
// relays through the agent, and the agent between them. Each way in which the way can break has its state.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Dovecot } from '../lab/dovecot.ts';
import { askAgent } from '../../agent/cli/client.ts';
import { exitCodeOf } from '../../agent/cli/render-check.ts';
import { createLab } from '../lab/lab.ts';
import type { Lab, Owner } from '../lab/lab.ts';
import type { Postfix } from '../lab/postfix.ts';
import { waitFor } from '../lab/wait.ts';
import { cases, relayAddress, zonesOf } from '../agent/probe/domain/domains.ts';
import { startZoneServer } from '../agent/probe/domain/zone-server.ts';
import { relayUsers } from './estate.ts';
import { startProgram } from './programs.ts';

const password = 'right-password';
const secret = { file: 'secret' };
const address = 'info@example.org';
/** At the provider, but not in a domain of the local mail server: what a round trip by way of that server needs. */
const outside = 'office@provider.example';
const patient = { timeoutMs: 60_000, everyMs: 200 };

type Finding = { readonly target: string; readonly level: string; readonly text: string; readonly remedy?: string };
type Checked = { readonly level: string; readonly findings: readonly Finding[] };
type Site = {
  readonly lab: Lab;
  readonly provider: Dovecot;
  readonly relay: Postfix;
  readonly local: Postfix;
  readonly start: (trip: object) => Promise<void>;
  /** What the agent answers to `check`, and how `mailferry check` would end. */
  readonly check: (what?: string, now?: 'now') => Promise<Checked & { readonly code: number }>;
  /** The same by the program itself. */
  readonly program: (...words: readonly string[]) => Promise<{ readonly code: number; readonly out: string }>;
  /** Mails in the agent's own queue. */
  readonly queued: () => Promise<number>;
};

async function createSite(t: Owner, options: { readonly loginOfLocal?: string } = {}): Promise<Site> {
  const lab = createLab(t);
  const agentPort = await lab.freePort();
  const names = await startZoneServer(t, zonesOf(cases));
  const provider = await lab.dovecot({ users: { [address]: password, [outside]: password } });
  const back = '[127.0.0.1]:' + agentPort;
  const [relay, local] = await Promise.all([
    lab.postfix({
      role: 'relay',
      domains: ['example.org', 'provider.example'],
      users: relayUsers,
      main: {
        virtual_transport: 'lmtp:inet:127.0.0.1:' + provider.lmtp,
        minimal_backoff_time: '1s',
        maximal_backoff_time: '2s',
        queue_run_delay: '1s',
        transport_retry_time: '1s',
      },
    }),
    lab.postfix({
      role: 'local',
      domains: ['example.org'],
      main: {
        relayhost: back,
        default_transport: 'smtp',
        smtpd_relay_restrictions: 'permit_mynetworks reject',
        smtp_sasl_auth_enable: 'yes',
        smtp_sasl_password_maps: 'inline:{ { ' + back + ' = nas:' + (options.loginOfLocal ?? password) + ' } }',
        smtp_sasl_security_options: 'noanonymous',
        smtp_sasl_mechanism_filter: 'plain',
      },
    }),
  ]);
  const folder = join(lab.dir, 'agent');
  const account = (user: string) => ({
    id: user.split('@')[0],
    host: provider.host,
    port: provider.pop3s,
    caFile: provider.caFile,
    user,
    password: secret,
    recipients: [address],
    keep: { days: 14 },
    firstRun: 'all',
    intervalSeconds: 1,
  });
  const config = (trip: object) => ({
    tenant: 'acme',
    agent: 'nas-1',
    state: 'state',
    local: { host: local.host, port: local.smtp, domains: ['example.org'] },
    accounts: [account(address), account(outside)],
    relays: [
      {
        id: 'provider',
        host: relay.host,
        port: relay.submission,
        caFile: relay.caFile,
        user: 'office@example.org',
        password: secret,
        retryFirstSeconds: 1,
        retryMaxSeconds: 2,
      },
    ],
    submission: { port: agentPort, users: [{ name: 'nas', password: secret, senders: ['@example.org'] }] },
    probe: {
      certificates: {},
      domain: {
        resolver: '127.0.0.1:' + names.resolver.port,
        domains: [{ name: 'well.test', selectors: ['s1'] }],
        relayAddresses: [relayAddress],
      },
      roundTrips: [
        { id: 'way', from: address, to: outside, account: 'office', intervalSeconds: 3, lateSeconds: 60, ...trip },
      ],
    },
  });
  return {
    lab,
    provider,
    relay,
    local,
    start: async (trip) => {
      const agent = await startProgram({
        program: 'agent',
        folder,
        config: config(trip),
        secrets: { secret: password },
      });
      lab.onStop(() => agent.stop());
    },
    check: async (what = 'roundtrip', now) => {
      const asked = { what, ...(now === undefined ? {} : { now }) };
      const checked = (await ask(folder, 'check', asked)) as Checked; // the documented answer
      return { ...checked, code: exitCodeOf(checked) };
    },
    program: (...words) => run(folder, ['check', ...words]),
    queued: async () => ((await ask(folder, 'queue list', {})) as { readonly total: number }).total, // likewise
  };
}

async function ask(folder: string, command: string, given: Readonly<Record<string, string>>): Promise<unknown> {
  const path = join(folder, 'state', 'agent.sock');
  const answer = await askAgent({ path, request: { command, arguments: given }, timeoutMs: 300_000 });
  if (answer.ok !== true) throw new Error(command + ': ' + JSON.stringify(answer));
  return answer.value;
}

function run(folder: string, command: readonly string[]): Promise<{ readonly code: number; readonly out: string }> {
  const main = fileURLToPath(new URL('../../agent/cli/main.ts', import.meta.url));
  const args = [main, '--config', join(folder, 'agent.yaml'), ...command];
  return new Promise((resolve) => {
    const child = execFile(process.execPath, args, { timeout: 300_000 }, (_error, out) => {
      resolve({ code: child.exitCode ?? -1, out });
    });
  });
}

/** Waits for a finding. */
async function untilText(site: Site, text: RegExp): Promise<Checked & { readonly code: number }> {
  let last: unknown;
  const found = await waitFor(
    'a finding like ' + String(text),
    async () => {
      const checked = await site.check();
      last = checked;
      return text.test(checked.findings[0]?.text ?? '') ? checked : undefined;
    },
    patient,
  ).catch((error: unknown) => {
    throw new Error('last answer: ' + JSON.stringify(last), { cause: error });
  });
  assert.ok(found);
  return found;
}

function textOf(checked: Checked): string {
  return checked.findings[0]?.text ?? '';
}

/** `local 0.01 s, queue ...` to numbers, with the total of the sentence before. */
function legsOf(text: string): { readonly total: number; readonly legs: Readonly<Record<string, number>> } {
  const legs = Object.fromEntries(
    [...text.matchAll(/(local|queue|relay|return) ([\d.]+) s/g)].map(([, name, value]) => [name, Number(value)]),
  );
  return { total: Number(/after ([\d.]+) s/.exec(text)?.[1]), legs };
}

test('a probe by way of the local mail server comes back, its legs add up, and nobody sees it; forged ones are mail', async (t) => {
  const site = await createSite(t);
  const { local, provider } = site;
  // A forger who knows the form, but not the key.
  const forged = 'X-Mailferry-Probe: 1 ' + 'A'.repeat(16) + ' ' + 'B'.repeat(43);
  const top = 'From: <x@outside.example>\r\nTo: <' + outside + '>\r\nSubject: forged\r\n';
  await provider.put(outside, Buffer.from(top + forged + '\r\n\r\nHello\r\n'));
  await site.start({ via: 'local', handIn: { host: local.host, port: local.smtp, tls: 'none' }, intervalSeconds: 600 });
  const checked = await site.check('roundtrip', 'now');
  assert.match(textOf(checked), /^back after /);
  assert.equal(checked.code, 0);
  const { legs, total } = legsOf(textOf(checked));
  assert.deepEqual(Object.keys(legs).toSorted(), ['local', 'queue', 'relay', 'return']);
  const sum = Object.values(legs).reduce((all, one) => all + one, 0);
  // The total is told in tenths of a second, from ten seconds on in whole ones.
  assert.ok(Math.abs(sum - total) < (total < 10 ? 0.1 : 0.6), 'legs ' + sum + ' s, total ' + total + ' s');
  // The mailbox keeps mails for 14 days, but not probes.
  await waitFor('only the forged mail at the provider', async () => (await provider.count(outside)) === 1, patient);
  await waitFor('the forged mail', async () => (await local.mails(address)).length >= 1, patient);
  const mails = await local.mails(address);
  const [told, json] = [await site.program('roundtrip'), await site.program('tls', 'now', '--json')];
  assert.match(told.out, /^ROUNDTRIP OK - 1 finding, all well\n {2}OK +way roundtrip: back after /);
  assert.equal(told.code, 0);
  const certificates = JSON.parse(json.out) as Checked; // the documented answer
  assert.deepEqual([certificates.level, json.code], ['ok', 0]);
  const servers = certificates.findings.map(({ target }) => target).toSorted();
  assert.deepEqual(
    servers,
    [provider.host + ':' + provider.pop3s, site.relay.host + ':' + site.relay.submission].toSorted(),
  );
  const domain = await site.check('domain', 'now');
  assert.deepEqual(
    domain.findings.filter(({ target }) => target === 'well.test').map(({ level }) => level),
    ['ok', 'ok', 'ok', 'ok'],
  );
  const subjects = mails.map((bytes) => /^Subject: (.*)$/m.exec(bytes.toString('latin1'))?.[1]);
  assert.deepEqual(subjects, ['forged']);
});

test('a probe whose relay is dead is late, then lost, and does not stay in the queue', async (t) => {
  const site = await createSite(t);
  await site.relay.crash();
  await site.start({ lateSeconds: 2, lostSeconds: 10, intervalSeconds: 600 });
  const late = await site.check('roundtrip', 'now');
  assert.match(textOf(late), /^late: .*waits in the queue of the agent: .*ECONNREFUSED/);
  assert.equal(late.code, 1);
  const lost = await untilText(site, /^lost: not back after 10 s; it waits in the queue of the agent: /);
  assert.equal(lost.code, 2);
  assert.match(lost.findings[0]?.remedy ?? '', /mailferry queue list/);
  await waitFor('it is taken out of the queue', async () => (await site.queued()) === 0, patient);
  const again = await site.check('roundtrip', 'now');
  assert.deepEqual([again.level, again.code], ['critical', 2], 'asked again so soon, no new probe is sent');
  assert.equal(await site.queued(), 0);
});

test('a probe whose provider is dead is late on its way back, and known again when it comes', async (t) => {
  const site = await createSite(t);
  await site.start({ lateSeconds: 10, lostSeconds: 600, intervalSeconds: 4 });
  await site.check('roundtrip', 'now');
  await untilText(site, /^back after /);
  await site.provider.crash();
  const late = await untilText(
    site,
    /^late: .*the relay took it, and it has not come into office@provider\.example; that mailbox: /,
  );
  assert.equal(late.code, 1);
  assert.match(late.findings[0]?.remedy ?? '', /mailbox at the provider/);
  await site.provider.start();
  const well = await untilText(site, /^back after /);
  assert.equal(well.code, 0);
  assert.equal((await site.local.mails(address)).length, 0, 'the late ones were known again too');
});

test('a local mail server that cannot log in to the agent shows as a probe that it keeps', async (t) => {
  const site = await createSite(t, { loginOfLocal: 'wrong-password' });
  const { local } = site;
  const handIn = { host: local.host, port: local.smtp, tls: 'none' };
  await site.start({ via: 'local', handIn, lateSeconds: 3, lostSeconds: 600, intervalSeconds: 600 });
  const late = await site.check('roundtrip', 'now');
  assert.match(textOf(late), /^late: .*the local mail server took it and has not handed it to the agent/);
  assert.equal(late.code, 1);
  assert.match(late.findings[0]?.remedy ?? '', /relay host/);
  await waitFor('its own words', () => /authentication failed/i.test(local.log()), patient);
});

test('a local mail server that is dead shows at once', async (t) => {
  const site = await createSite(t);
  const { local } = site;
  await local.crash();
  await site.start({ via: 'local', handIn: { host: local.host, port: local.smtp, tls: 'none' }, intervalSeconds: 600 });
  const refused = await site.program('roundtrip', 'now');
  assert.match(
    refused.out,
    /^ROUNDTRIP CRITICAL - 1 of 1 finding: way roundtrip: nobody took the probe: .*ECONNREFUSED/,
  );
  assert.match(refused.out, /\n +-> Look at the local mail server/);
  assert.equal(refused.code, 2);
});

test('a probe that bounces behind the relay is told as bounced, and no mailbox gets the report', async (t) => {
  const site = await createSite(t);
  // The relay takes it, and learns from the mailbox's server that there is no such user.
  await site.start({ to: 'nobody@provider.example', intervalSeconds: 600 });
  const bounced = await site.check('roundtrip', 'now');
  assert.match(textOf(bounced), /^came back as undeliverable: .*nobody@provider\.example/);
  assert.equal(bounced.code, 2);
  await waitFor('the report is gone from the mailbox', async () => (await site.provider.count(address)) === 0, patient);
  assert.equal((await site.local.mails(address)).length, 0);
});

test('a probe that the relay refuses is told as bounced with its words, and waits for nobody', async (t) => {
  const site = await createSite(t);
  await site.start({ to: 'someone@nowhere.example', intervalSeconds: 600 });
  const bounced = await site.check('roundtrip', 'now');
  assert.match(textOf(bounced), /^the relay refused the probe: .*554/);
  assert.equal(bounced.code, 2);
  await waitFor('an empty queue', async () => (await site.queued()) === 0, patient);
  assert.equal((await site.local.mails(address)).length, 0, 'its sender gets no report of it');
});
