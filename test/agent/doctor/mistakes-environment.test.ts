// Mistakes around a right configuration: servers, network, machine. The doctor names the option (with file and line) where
// there is one, what was found, what was expected, and what helps.
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { stringify } from 'yaml';
import { tryDisk, tryNode } from '../../../agent/doctor/machine.ts';
import { tryName } from '../../../agent/doctor/names.ts';
import { createLab } from '../../lab/lab.ts';
import type { Lab } from '../../lab/lab.ts';
import type { SmtpStep } from '../../lab/scripted-smtp.ts';
import { mailferry, putFiles } from '../cli/run-cli.ts';
import { startTimeServer } from './time-server.ts';

type Finding = {
  readonly check: string;
  readonly level: string;
  readonly place: string;
  readonly found: string;
  readonly expected: string;
  readonly remedy: string;
};
type Config = Record<string, unknown>;
type Expected = {
  readonly check: string;
  readonly level?: string;
  /** Undefined: it is no option's doing. */
  readonly option: string | undefined;
  readonly found: RegExp;
  readonly expected: RegExp;
  readonly remedy: RegExp;
};

/** A site on which all is well, until one thing is changed. */
async function site(t: TestContext, change: (given: Given) => Config | Promise<Config>) {
  const lab = createLab(t);
  const tls = await readKeys(lab);
  const certificate = await lab.certificate();
  const pop3 = await lab.scriptedPop3({ user: 'info', password: 'right-password', tls });
  const relay = await lab.scriptedSmtp({ login: { user: 'office', password: 'right-password' }, tls });
  const smtp = await lab.scriptedSmtp({});
  const account = {
    id: 'info',
    host: pop3.host,
    port: pop3.port,
    tls: 'starttls',
    caFile: certificate.caFile,
    user: 'info',
    password: { file: 'pw' },
    recipients: ['info@example.org'],
    firstRun: 'all',
  };
  const out = {
    id: 'out',
    host: relay.host,
    port: relay.port,
    tls: 'starttls',
    caFile: certificate.caFile,
    user: 'office',
    password: { file: 'pw' },
  };
  const base = {
    tenant: 'acme',
    agent: 'nas-1',
    state: 'state',
    local: { host: smtp.host, port: smtp.port, domains: ['example.org'] },
    accounts: [account],
    relays: [out],
    submission: {
      port: await lab.freePort(),
      users: [{ name: 'u', password: { file: 'pw' }, senders: ['@example.org'] }],
    },
  };
  putFiles(lab.dir, { pw: 'right-password\n', wrong: 'wrong-password\n' });
  const config = await change({ lab, folder: lab.dir, base, account, out, certificate });
  writeFileSync(join(lab.dir, 'agent.yaml'), stringify({ ...base, ...config }));
  return {
    lab,
    examine: async (...flags: readonly string[]) => {
      const time = flags.includes('--time-server') ? [] : ['--time-server', 'none'];
      const ran = await mailferry(lab.dir, ['doctor', '--json', ...time, ...flags]);
      const { findings } = JSON.parse(ran.out) as { readonly findings: readonly Finding[] }; // made by the command
      return { code: ran.code, findings, text: ran.out };
    },
  };
}
type Given = {
  readonly lab: Lab;
  readonly folder: string;
  readonly base: Readonly<Record<string, unknown>> & { readonly submission: { readonly port: number } };
  readonly account: Config;
  readonly out: Config;
  readonly certificate: { readonly caFile: string; readonly keyFile: string; readonly certFile: string };
};

async function readKeys(lab: Lab): Promise<{ readonly key: string; readonly cert: string }> {
  const { readFile } = await import('node:fs/promises');
  const { keyFile, certFile } = await lab.certificate();
  return { key: await readFile(keyFile, 'utf8'), cert: await readFile(certFile, 'utf8') };
}

function check(findings: readonly Finding[], wanted: Expected): void {
  const found = findings.find(
    (one) => one.check === wanted.check && one.level === (wanted.level ?? 'error') && wanted.found.test(one.found),
  );
  assert.ok(found, 'no such finding: ' + JSON.stringify(findings, undefined, 1));
  if (wanted.option === undefined) assert.equal(found.place, '');
  else
    assert.match(
      found.place,
      new RegExp('/agent\\.yaml:\\d+: option ' + wanted.option.replaceAll(/[.[\]]/g, '\\$&') + '$'),
    );
  assert.match(found.expected, wanted.expected);
  assert.match(found.remedy, wanted.remedy);
}

const login = (step: SmtpStep, text: string) => (step.verb === 'AUTH' ? text : undefined);

const rows: readonly (readonly [what: string, change: (given: Given) => Config | Promise<Config>, wanted: Expected])[] =
  [
    [
      'a wrong password of a mailbox',
      ({ account }) => ({ accounts: [{ ...account, password: { file: 'wrong' } }] }),
      {
        check: 'mailbox info',
        option: 'accounts[0].password',
        found: /the login .* was refused/,
        expected: /accepted/,
        remedy: /POP3 is switched on/,
      },
    ],
    [
      'a port at which nobody listens',
      async ({ lab, account }) => ({ accounts: [{ ...account, port: await lab.freePort() }] }),
      {
        check: 'mailbox info',
        option: 'accounts[0].port',
        found: /nobody listens at 127\.0\.0\.1:\d+ \(ECONNREFUSED\)/,
        expected: /POP3 server/,
        remedy: /995 with tls: implicit/,
      },
    ],
    [
      'TLS from the first byte at a port that begins in clear',
      ({ account }) => ({ accounts: [{ ...account, tls: 'implicit' }] }),
      {
        check: 'mailbox info',
        option: 'accounts[0].tls',
        found: /does not speak TLS/,
        expected: /TLS/,
        remedy: /tls: starttls/,
      },
    ],
    [
      'a server that is no POP3 server',
      async ({ lab, account }) => {
        const { host, port } = await lab.scriptedSmtp({});
        return { accounts: [{ ...account, host, port, tls: 'none' }] };
      },
      {
        check: 'mailbox info',
        option: 'accounts[0].port',
        found: /is no POP3 server, it says "220/,
        expected: /POP3/,
        remedy: /check host and port/,
      },
    ],
    [
      'a name that DNS does not know',
      ({ account }) => ({ accounts: [{ ...account, host: 'pop.nowhere.invalid' }] }),
      {
        check: 'mailbox info',
        option: 'accounts[0].host',
        found: /pop\.nowhere\.invalid/,
        expected: /./,
        remedy: /spelling|name servers/,
      },
    ],
    [
      'an authority that nobody knows',
      ({ account: { caFile: _caFile, ...account } }) => ({ accounts: [account] }),
      {
        check: 'mailbox info',
        option: 'accounts[0].caFile',
        found: /signed by nobody/,
        expected: /known authority/,
        remedy: /caFile/,
      },
    ],
    [
      'a certificate for another name',
      ({ account }) => ({ accounts: [{ ...account, serverName: 'pop.example.net' }] }),
      {
        check: 'mailbox info',
        option: 'accounts[0].serverName',
        found: /another name/,
        expected: /pop\.example\.net/,
        remedy: /serverName/,
      },
    ],
    [
      'a key that is none of the pins',
      ({ account }) => ({ accounts: [{ ...account, pins: ['sha256/' + 'A'.repeat(43) + '='] }] }),
      {
        check: 'mailbox info',
        option: 'accounts[0].pins',
        found: /public key is sha256/,
        expected: /pins/,
        remedy: /its pin/,
      },
    ],
    [
      'a server without STLS',
      async ({ lab, account }) => ({ accounts: [{ ...account, port: (await lab.scriptedPop3({})).port }] }),
      { check: 'mailbox info', option: 'accounts[0].tls', found: /offers no STLS/, expected: /TLS/, remedy: /995/ },
    ],
    [
      'a mailbox that another program holds',
      async ({ lab, account }) => {
        const { port } = await lab.scriptedPop3({
          script: ({ verb }) => (verb === 'PASS' ? '-ERR [IN-USE] locked\r\n' : undefined),
        });
        return { accounts: [{ ...account, port, tls: 'none' }] };
      },
      {
        check: 'mailbox info',
        option: 'accounts[0].user',
        found: /in use by another program/,
        expected: /one program/,
        remedy: /other fetcher/,
      },
    ],
    [
      'a provider that counts logins',
      async ({ lab, account }) => {
        const said = '-ERR Exceeded the login limit for a 15 minute period\r\n';
        const { port } = await lab.scriptedPop3({ script: ({ verb }) => (verb === 'PASS' ? said : undefined) });
        return { accounts: [{ ...account, port, tls: 'none' }] };
      },
      {
        check: 'mailbox info',
        option: 'accounts[0].intervalSeconds',
        found: /too often: .*15 minute/,
        expected: /pause/,
        remedy: /preset/,
      },
    ],
    [
      'a wrong password of a relay',
      ({ out }) => ({ relays: [{ ...out, password: { file: 'wrong' } }] }),
      {
        check: 'relay out',
        option: 'relays[0].password',
        found: /login was refused: .*535/,
        expected: /accepted/,
        remedy: /user and password/,
      },
    ],
    [
      'a relay without STARTTLS',
      async ({ lab, out }) => ({ relays: [{ ...out, port: (await lab.scriptedSmtp({})).port }] }),
      {
        check: 'relay out',
        option: 'relays[0].tls',
        found: /STARTTLS/,
        expected: /STARTTLS/,
        remedy: /465 with tls: implicit/,
      },
    ],
    [
      'a relay that offers no login',
      async ({ lab, out }) => ({ relays: [{ ...out, tls: 'none', port: (await lab.scriptedSmtp({})).port }] }),
      {
        check: 'relay out',
        option: 'relays[0].auth',
        found: /AUTH|login/i,
        expected: /a login that the server offers/,
        remedy: /auth: none/,
      },
    ],
    [
      'a relay that locks the account',
      async ({ lab, out }) => {
        const script = (step: SmtpStep) => login(step, '535 5.7.0 Account locked\r\n');
        const { port } = await lab.scriptedSmtp({ login: { user: 'office', password: 'x' }, script });
        return { relays: [{ ...out, port, tls: 'none' }] };
      },
      {
        check: 'relay out',
        option: 'relays[0].password',
        found: /Account locked/,
        expected: /accepted/,
        remedy: /allowed/,
      },
    ],
    [
      'a local server that does not know the mailbox',
      async ({ lab }) => {
        const { host, port } = await lab.scriptedSmtp({
          script: ({ verb }) => (verb === 'RCPT' ? '550 5.1.1 No such user\r\n' : undefined),
        });
        return { local: { host, port, domains: ['example.org'] } };
      },
      {
        check: 'local address',
        option: 'accounts[0].recipients[0]',
        found: /550 5\.1\.1.* for info@example\.org/,
        expected: /mailbox or alias/,
        remedy: /make that mailbox/,
      },
    ],
    [
      'a local server that wants a login',
      async ({ lab }) => {
        const { host, port } = await lab.scriptedSmtp({
          script: ({ verb }) => (verb === 'MAIL' ? '530 5.7.0 Authentication required\r\n' : undefined),
        });
        return { local: { host, port, domains: ['example.org'] } };
      },
      {
        check: 'local server',
        option: 'local.port',
        found: /530/,
        expected: /without a login/,
        remedy: /Skip authentication for local network/,
      },
    ],
    [
      'a local server that has blocked this machine',
      async ({ lab }) => {
        const { host, port } = await lab.scriptedSmtp({
          script: ({ verb }) => (verb === 'connect' ? { end: 'close' } : undefined),
        });
        return { local: { host, port, domains: ['example.org'] } };
      },
      {
        check: 'local server',
        option: 'local.port',
        found: /closes it before its greeting/,
        expected: /220/,
        remedy: /DSM may have blocked 127\.0\.0\.1.*Allow\/Block List/,
      },
    ],
    [
      'a local server that is off',
      async ({ lab }) => ({ local: { port: await lab.freePort(), domains: ['example.org'] } }),
      {
        check: 'local server',
        option: 'local.port',
        found: /nobody listens/,
        expected: /local mail server/,
        remedy: /the server runs/,
      },
    ],
    [
      'a port that another program has',
      async ({ lab, base }) => {
        const other = createServer();
        lab.onStop(() => void other.close());
        await new Promise<void>((resolve) => other.listen(base.submission.port, '127.0.0.1', resolve));
        return {};
      },
      {
        check: 'port PORT',
        option: 'submission.port',
        found: /another program listens/,
        expected: /free port/,
        remedy: /another port here and in the relay dialog/,
      },
    ],
    [
      'an address that is not of this machine',
      ({ base }) => ({ submission: { ...base.submission, host: '192.0.2.1' } }),
      {
        check: 'port PORT',
        option: 'submission.host',
        found: /EADDRNOTAVAIL/,
        expected: /address of this machine/,
        remedy: /127\.0\.0\.1/,
      },
    ],
    [
      'a state folder that is a file',
      ({ folder }) => {
        writeFileSync(join(folder, 'state'), '');
        return {};
      },
      { check: 'state', option: undefined, found: /state is a file/, expected: /a folder/, remedy: /another folder/ },
    ],
    [
      'a state of a newer version',
      ({ folder }) => {
        putState(folder, 'PRAGMA user_version=99');
        return {};
      },
      {
        check: 'state',
        option: undefined,
        found: /has schema 99/,
        expected: /at most \d+/,
        remedy: /install that version again/,
      },
    ],
    [
      'a damaged state',
      ({ folder }) => {
        mkdirSync(join(folder, 'state'));
        writeFileSync(
          join(folder, 'state', 'agent.db'),
          'no database, but long enough to be taken for the head of one, and more',
        );
        return {};
      },
      { check: 'state', option: undefined, found: /cannot be read/, expected: /SQLite/, remedy: /backup/ },
    ],
    [
      'a broker that is off',
      async ({ lab }) => ({ report: { url: 'mqtt://127.0.0.1:' + (await lab.freePort()), password: { file: 'pw' } } }),
      { check: 'report', option: 'report.url', found: /nobody listens/, expected: /broker/, remedy: /8883/ },
    ],
    [
      'a scanner that is off',
      async ({ lab }) => ({ check: { rspamd: { url: 'http://127.0.0.1:' + (await lab.freePort()) } } }),
      { check: 'rspamd', option: 'check.rspamd.url', found: /ECONNREFUSED/, expected: /pong/, remedy: /11333/ },
    ],
    [
      'a virus scanner without a socket',
      ({ folder }) => ({ check: { clamd: { socket: join(folder, 'clamd.sock') } } }),
      { check: 'clamd', option: 'check.clamd.socket', found: /ENOENT/, expected: /PONG/, remedy: /LocalSocket/ },
    ],
    [
      'a secret that others can read',
      ({ folder }) => {
        chmodSync(join(folder, 'pw'), 0o644);
        return {};
      },
      {
        check: 'files',
        level: 'warning',
        option: 'accounts[0].password',
        found: /pw can be read by other users/,
        expected: /alone/,
        remedy: /chmod 600/,
      },
    ],
    [
      'a secret that is gone',
      ({ account }) => ({ accounts: [{ ...account, password: { file: 'gone' } }] }),
      {
        check: 'files',
        option: undefined,
        found: /gone which cannot be read: ENOENT/,
        expected: /readable file/,
        remedy: /config check/,
      },
    ],
    [
      'a block list that refuses this resolver',
      async ({ lab }) => {
        const dns = await lab.scriptedDns({
          script: () => ({ records: ['127.255.255.254'] }),
        });
        return {
          probe: {
            dnsbl: { addresses: ['192.0.2.1'], zones: ['zen.example.test'], resolver: dns.host + ':' + dns.port },
          },
        };
      },
      {
        check: 'block list',
        level: 'warning',
        option: 'probe.dnsbl.zones[0]',
        found: /refuses to answer/,
        expected: /an answer/,
        remedy: /resolver of your own/,
      },
    ],
  ];

for (const [what, change, wanted] of rows) {
  test('doctor tells of ' + what, async (t) => {
    let port = 0;
    const { examine } = await site(t, (given) => {
      port = given.base.submission.port;
      return change(given);
    });
    const { code, findings, text } = await examine();
    const name = wanted.check.replace('PORT', String(port));
    // What comes from a refusal has its place in it already.
    const isState = wanted.check === 'state' || (wanted.check === 'files' && wanted.option === undefined);
    const seen = isState ? findings.map((one) => ({ ...one, place: '' })) : findings;
    check(seen, { ...wanted, check: name });
    assert.equal(code, (wanted.level ?? 'error') === 'error' ? 1 : 0);
    for (const secret of ['right-password', 'wrong-password']) assert.ok(!text.includes(secret), 'a secret is told');
  });
}

function putState(folder: string, sql: string): void {
  mkdirSync(join(folder, 'state'));
  const db = new DatabaseSync(join(folder, 'state', 'agent.db'));
  db.exec(sql);
  db.close();
}

test('doctor is content where all is well, logs in once at each server and sends nothing', async (t) => {
  let pop3: readonly string[] = [];
  const { lab, examine } = await site(t, async ({ lab: inner, account }) => {
    const server = await inner.scriptedPop3({ user: 'info', password: 'right-password' });
    pop3 = server.commands;
    return { accounts: [{ ...account, port: server.port, tls: 'none' }] };
  });
  const time = await startTimeServer({ after: (work) => lab.onStop(work) }, 0);
  const { code, findings } = await examine('--time-server', time);
  assert.deepEqual(
    findings.filter((one) => one.level !== 'ok'),
    [],
  );
  assert.equal(code, 0);
  assert.deepEqual(pop3.filter((line) => line === 'PASS').length, 1);
  assert.deepEqual(
    pop3.filter((line) => /^(?:RETR|DELE|TOP)/.test(line)),
    [],
  );
});

test('doctor tells how wrong the clock is', async (t) => {
  const { lab, examine } = await site(t, () => ({}));
  const owner = { after: (work: () => void) => lab.onStop(work) };
  for (const [offset, level] of [
    [30, 'warning'],
    [-7_200, 'error'],
  ] as const) {
    const { findings } = await examine('--time-server', await startTimeServer(owner, offset));
    const found =
      offset > 0 ? /the clock is (?:29\.9|30\.\d) s behind/ : /the clock is (?:7199\.9|7200\.\d) s ahead of/;
    check(findings, { check: 'clock', level, option: undefined, found, expected: /right time/, remedy: /NTP/ });
  }
});

test('doctor tells of a full disk and an old Node', () => {
  const full = tryDisk('/tmp/nowhere/state', 100 * 1_048_576);
  assert.deepEqual([full.level, full.option], ['error', ['state']]);
  assert.match(full.found, /^100 MiB are free/);
  assert.match(full.remedy, /make room/);
  assert.equal(tryDisk('/tmp', 500 * 1_048_576).level, 'warning');
  assert.equal(tryDisk('/tmp', 5_000 * 1_048_576).level, 'ok');
  for (const [version, level] of [
    ['18.18.2', 'error'],
    ['22.12.0', 'error'],
    ['22.13.0', 'ok'],
    ['24.1.0', 'ok'],
  ] as const)
    assert.equal(tryNode(version).level, level, version);
  assert.match(tryNode('20.1.0').remedy, /Node\.js v22/);
});

test('doctor tells of IPv6 that leads nowhere while IPv4 works', async (t) => {
  const server = createServer((socket) => socket.destroy());
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo; // of a TCP server
  const look = (six: string) =>
    tryName(
      { host: 'pop.example.net', port },
      {
        signal: AbortSignal.timeout(20_000),
        find: () =>
          Promise.resolve([
            { address: six, family: 6 },
            { address: '127.0.0.1', family: 4 },
          ]),
      },
    );
  // A loopback address at which nobody listens stands for the line that leads nowhere.
  const broken = await look('::1');
  assert.equal(broken?.level, 'warning');
  assert.match(broken.found, /answers by IPv4 \(127\.0\.0\.1\) but not by IPv6 \(::1\)/);
  assert.match(broken.remedy, /IPv6/);
  assert.equal((await look('::ffff:127.0.0.1'))?.level, 'ok');
});
