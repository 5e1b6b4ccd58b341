// Real servers: dovecot as the provider (POP3, POP3S, STLS) and dovecot's LMTP as the local server, judged by their files.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { before, after, test } from 'node:test';
import { createLab } from '../../lab/lab.ts';
import type { Lab } from '../../lab/lab.ts';
import type { Dovecot } from '../../lab/dovecot.ts';
import { withoutTrace } from '../../lab/maildir.ts';
import { waitFor } from '../../lab/wait.ts';
import type { Endpoint } from '../../../agent/net/socket.ts';
import { createBench } from './bench.ts';

const names = ['pops', 'stls', 'plain', 'days', 'twins', 'cut', 'pieces', 'away', 'error'];
const providerUser = (name: string): string => name + '@provider.test';
const localUser = (name: string): string => name + '@example.org';
const passwords = (user: (name: string) => string) => Object.fromEntries(names.map((name) => [user(name), 'secret']));

const lab: Lab = createLab({ after });
let provider: Dovecot;
let local: Dovecot;
before(async () => {
  [provider, local] = await Promise.all([
    lab.dovecot({ users: passwords(providerUser) }),
    lab.dovecot({ users: passwords(localUser) }),
  ]);
});

const mail = (name: string, n: number, body = 'text\r\n'): Buffer =>
  Buffer.from('Return-Path: <customer@example.net>\r\nSubject: ' + name + ' ' + n + '\r\n\r\n' + body, 'latin1');
const hardBodies: readonly string[] = [
  '.\r\n..\r\n...\r\n.x\r\n',
  '\u00e4\u00ff\u0080 8-bit without a charset\r\n',
  'NUL \0 in the middle\r\n\0\r\n',
  'bare \r in a line\r\n',
  'x'.repeat(100_000) + '\r\n',
  '',
  '\r\n\r\n\r\n',
  '.' + '\r\n.'.repeat(500) + '\r\n',
  ('0123456789'.repeat(7) + '\r\n').repeat(20_000),
];
const hardMails = (name: string): readonly Buffer[] => [
  ...hardBodies.map((body, index) => mail(name, index, body)),
  Buffer.from('From nobody Mon Jan  1 00:00:00 2026\r\nSubject: mbox-like\r\n\r\nx\r\n'),
  Buffer.from('\r\nno header\r\n'),
];

/** Servers store a mail with LF line ends; on the wire every line ends in CRLF. */
const sha256 = (bytes: Buffer): string =>
  createHash('sha256').update(bytes.toString('latin1').replaceAll('\r\n', '\n'), 'latin1').digest('hex');
const trace = /^X-Mailferry-Trace: in abc123\r?\n/;

/** What arrived for a local user, without the lines that were put on top on the way. */
async function arrived(name: string): Promise<readonly string[]> {
  const mails = await local.mails(localUser(name));
  return mails.map((bytes) => {
    const rest = withoutTrace(bytes);
    const found = trace.exec(rest.toString('latin1', 0, 100))?.[0];
    assert.ok(found !== undefined, rest.toString('latin1', 0, 200));
    return sha256(rest.subarray(found.length));
  });
}
const expected = (mails: readonly Buffer[]): readonly string[] => mails.map(sha256).sort();
const put = async (name: string, mails: readonly Buffer[]): Promise<void> => {
  for (const bytes of mails) await provider.put(providerUser(name), bytes);
};
const atProvider = (name: string): Promise<number> => provider.count(providerUser(name));
const accountOf = (name: string, endpoint: Endpoint) => ({
  id: name,
  user: providerUser(name),
  secret: 'secret',
  recipients: [localUser(name)],
  endpoint,
});
const endpoints = {
  pops: (): Endpoint => ({ host: 'localhost', port: provider.pop3s, tls: 'implicit', ca: provider.ca }),
  stls: (): Endpoint => ({ host: 'localhost', port: provider.pop3, tls: 'starttls', ca: provider.ca }),
  plain: (): Endpoint => ({ host: '127.0.0.1', port: provider.pop3, tls: 'none' }),
};
const lmtp = (): Endpoint => ({ host: '127.0.0.1', port: local.lmtp, tls: 'none' });

test('POP3S, STLS and plain at once: every byte arrives, once, and is gone at the provider', async (t) => {
  const ways = ['pops', 'stls', 'plain'] as const;
  for (const name of ways) await put(name, hardMails(name));
  const bench = await createBench(t, lab, {
    name: 'ways',
    accounts: ways.map((name) => accountOf(name, endpoints[name]())),
    local: lmtp(),
    protocol: 'lmtp',
  });
  const statuses = await bench.fetch();
  assert.deepEqual(
    statuses.map(({ problem }) => problem),
    ['', '', ''],
  );
  for (const name of ways) {
    assert.deepEqual((await arrived(name)).toSorted(), expected(hardMails(name)), name);
    assert.equal(await atProvider(name), 0, name);
  }
  assert.equal(bench.mailIn().length, 3 * hardMails('').length);
});

test('keep {days: 1}: delivered once, kept, and deleted when two more days were seen', async (t) => {
  await put('days', [mail('days', 1), mail('days', 2)]);
  const bench = await createBench(t, lab, {
    name: 'days',
    accounts: [{ ...accountOf('days', endpoints.pops()), keep: { days: 1 } }],
    local: lmtp(),
    protocol: 'lmtp',
  });
  for (const left of [2, 2, 0]) {
    await bench.fetch();
    assert.equal(await atProvider('days'), left);
    bench.passDays(1);
  }
  assert.deepEqual((await arrived('days')).toSorted(), expected([mail('days', 1), mail('days', 2)]));
});

test('a provider that gives one UIDL to all mails: all are delivered once', async (t) => {
  const twins = await lab.dovecot({ users: passwords(providerUser), extra: 'pop3_uidl_format = %v' });
  const mails = [1, 2, 3, 4, 5].map((n) => mail('twins', n));
  for (const bytes of mails) await twins.put(providerUser('twins'), bytes);
  const endpoint: Endpoint = { host: '127.0.0.1', port: twins.pop3, tls: 'none' };
  const bench = await createBench(t, lab, {
    name: 'twins',
    accounts: [{ ...accountOf('twins', endpoint), keep: { days: 1 } }],
    local: lmtp(),
    protocol: 'lmtp',
  });
  await bench.fetch();
  await twins.put(providerUser('twins'), mail('twins', 6));
  bench.passDays(1);
  await bench.fetch();
  bench.passDays(1);
  await bench.fetch();
  assert.equal(await twins.count(providerUser('twins')), 6, 'the sixth is younger, so all stay');
  bench.passDays(1);
  await bench.fetch();
  assert.equal(await twins.count(providerUser('twins')), 0);
  assert.deepEqual((await arrived('twins')).toSorted(), expected([...mails, mail('twins', 6)]));
});

test('a line that is cut in RETR: nothing is delivered, nothing deleted; then all, once', async (t) => {
  const mails = [mail('cut', 1, ('y'.repeat(70) + '\r\n').repeat(10_000))];
  await put('cut', mails);
  const proxy = await lab.proxy({ to: { host: '127.0.0.1', port: provider.pop3s } });
  const endpoint: Endpoint = { host: 'localhost', port: proxy.port, tls: 'implicit', ca: provider.ca };
  const bench = await createBench(t, lab, {
    name: 'cut',
    accounts: [accountOf('cut', endpoint)],
    local: lmtp(),
    protocol: 'lmtp',
  });
  for (const bytes of [400_000, 700_000]) {
    proxy.cutAfter('down', bytes);
    const [status] = await bench.fetch();
    assert.equal(status?.up, false);
    assert.deepEqual([await local.count(localUser('cut')), await atProvider('cut')], [0, 1]);
  }
  const [status] = await bench.fetch();
  assert.equal(status?.problem, '');
  assert.deepEqual([await arrived('cut'), await atProvider('cut')], [expected(mails), 0]);
});

test('re-cut into pieces of 1448 bytes and of odd sizes, mails arrive as they are', async (t) => {
  const proxy = await lab.proxy({ to: { host: '127.0.0.1', port: provider.pop3 } });
  const endpoint: Endpoint = { host: '127.0.0.1', port: proxy.port, tls: 'none' };
  const bench = await createBench(t, lab, {
    name: 'pieces',
    accounts: [accountOf('pieces', endpoint)],
    local: lmtp(),
    protocol: 'lmtp',
  });
  const all: Buffer[] = [];
  for (const sizes of [[1_448], [1, 2, 3, 5, 7, 11, 1_000]]) {
    // Lengths that put the terminator on every place around the end of a piece.
    const mails = Array.from({ length: 60 }, (_, n) =>
      mail('pieces ' + sizes.length, n, '.' + 'z'.repeat(1_200 + 7 * n) + '\r\n'),
    );
    all.push(...mails);
    await put('pieces', mails);
    proxy.rechunk(sizes);
    const [status] = await bench.fetch();
    assert.equal(status?.problem, '');
  }
  assert.deepEqual((await arrived('pieces')).toSorted(), expected(all));
  assert.equal(await atProvider('pieces'), 0);
});

test('the local server goes away and comes back: nothing is lost, nothing doubled', async (t) => {
  const mails = Array.from({ length: 80 }, (_, n) => mail('away', n));
  await put('away', mails);
  const proxy = await lab.proxy({ to: { host: '127.0.0.1', port: local.lmtp } });
  const bench = await createBench(t, lab, {
    name: 'away',
    accounts: [{ ...accountOf('away', endpoints.stls()), intervalSeconds: 1 }],
    local: { host: '127.0.0.1', port: proxy.port, tls: 'none' },
    protocol: 'lmtp',
  });
  await proxy.refuse(true);
  const [status] = await bench.fetch();
  assert.match(status?.problem ?? '', /^away: Cannot .*ECONNREFUSED/);
  assert.deepEqual([status?.backlog, await local.count(localUser('away'))], [80, 0]);
  await proxy.refuse(false);
  await waitFor('all mails', async () => (await atProvider('away')) === 0, { timeoutMs: 30_000 });
  assert.deepEqual((await arrived('away')).toSorted(), expected(mails));
});

test('each wrong setting gives one clear line', async (t) => {
  const free = await lab.freePort();
  const table: readonly (readonly [Endpoint, string, RegExp])[] = [
    [
      endpoints.pops(),
      'wrong',
      /: login refused, Cannot PASS: the server said "-ERR \[AUTH\] Authentication failed\.", expected \+OK; check user and password/,
    ],
    [
      { ...endpoints.pops(), port: provider.pop3 },
      'secret',
      /: Cannot start TLS: .*WRONG_VERSION_NUMBER.*\(the port does not speak TLS from the first byte: 995 does, 110 needs tls: starttls\)$/,
    ],
    [
      { ...endpoints.plain(), port: provider.pop3s },
      'secret',
      /: Cannot read the answer to greeting: .*, expected \+OK; check port and tls \(port 995 needs tls: implicit\)$/,
    ],
    [
      { ...endpoints.plain(), port: local.lmtp },
      'secret',
      /: Cannot talk: it greets with "220 .*", expected \+OK of a POP3 server; check host and port$/,
    ],
    [
      { ...endpoints.plain(), port: free },
      'secret',
      /: Cannot connect: ECONNREFUSED, expected a mail server that answers there; check host and port$/,
    ],
    [
      { host: 'localhost', port: provider.pop3s, tls: 'implicit' },
      'secret',
      /: Cannot start TLS: .*, expected a valid certificate for localhost; check host, port, tls and caFile$/,
    ],
    [
      { ...endpoints.pops(), serverName: 'other.test' },
      'secret',
      /: Cannot start TLS: ERR_TLS_CERT_ALTNAME_INVALID, expected a valid certificate for other\.test/,
    ],
    [{ ...endpoints.stls(), serverName: 'other.test' }, 'secret', /: Cannot start TLS: ERR_TLS_CERT_ALTNAME_INVALID/],
  ];
  const bench = await createBench(t, lab, {
    name: 'error',
    accounts: table.map(([endpoint, secret], index) => ({
      ...accountOf('error', endpoint),
      id: 'error-' + index,
      secret,
    })),
    local: lmtp(),
    protocol: 'lmtp',
    timeouts: { replyMs: 1_500 },
  });
  const statuses = await bench.fetch();
  for (const [index, [, , pattern]] of table.entries()) {
    const problem = statuses[index]?.problem ?? '';
    assert.match(problem, pattern);
    assert.match(problem, /^error-\d at (localhost|127\.0\.0\.1):\d+: [^\n]+$/);
    assert.doesNotMatch(problem, /secret/);
  }
});

test('what is sent in clear together with the answer to STLS is dropped', async (t) => {
  const { readFile } = await import('node:fs/promises');
  const { ca, keyFile, certFile } = await lab.certificate();
  const tls = { key: await readFile(keyFile, 'utf8'), cert: await readFile(certFile, 'utf8') };
  const bytes = mail('real', 1);
  const pop3 = await lab.scriptedPop3({
    tls,
    mails: [{ uid: 'a', bytes }],
    capabilities: ['USER', 'UIDL'],
    // An answer to the CAPA that will follow inside TLS, smuggled in before it.
    script: ({ verb, good }) =>
      verb === 'STLS' ? Buffer.concat([good, Buffer.from('+OK\r\nPIPELINING\r\n.\r\n')]) : undefined,
  });
  const endpoint: Endpoint = { host: 'localhost', port: pop3.port, tls: 'starttls', ca };
  const smtp = await lab.scriptedSmtp({});
  const bench = await createBench(t, lab, {
    name: 'inject',
    accounts: [{ endpoint }],
    local: { host: smtp.host, port: smtp.port, tls: 'none' },
  });
  const [status] = await bench.fetch();
  assert.equal(status?.problem, '');
  assert.deepEqual([smtp.mails.length, pop3.mails.length], [1, 0]);
  // Had the smuggled answer been believed, the answers would have been one off and RETR sent ahead.
  assert.deepEqual(pop3.commands.slice(0, 6), ['CAPA', 'STLS', 'CAPA', 'USER info@example.org', 'PASS', 'CAPA']);
});

test('without STLS no password is sent', async (t) => {
  for (const capabilities of [['USER', 'UIDL'], undefined]) {
    const pop3 = await lab.scriptedPop3({
      ...(capabilities === undefined ? {} : { capabilities }),
      script: ({ verb }) => (verb === 'CAPA' && capabilities === undefined ? '-ERR what\r\n' : undefined),
    });
    const endpoint: Endpoint = { host: 'localhost', port: pop3.port, tls: 'starttls' };
    const bench = await createBench(t, lab, { name: 'no-stls' + pop3.port, accounts: [{ endpoint }], local: lmtp() });
    const [status] = await bench.fetch();
    assert.match(
      status?.problem ?? '',
      /: Cannot start TLS: the server (does not offer|refuses) STLS, expected STLS; try port 995 with tls: implicit$/,
    );
    assert.ok(!pop3.commands.some((line) => /USER|PASS/.test(line)));
  }
});
