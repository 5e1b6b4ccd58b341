// The matrix: combinations of all options of the submission server, and in each of them everything that a stranger, a person
// with a login, and a trusted device may try. Nothing gets through that the configuration does not name, and in the same run
// every legitimate mail does. What was taken is judged by an oracle of its own, not by the code under test.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { after, test } from 'node:test';
import type { TestContext } from 'node:test';
import { systemClock } from '#shared/clock.ts';
import { openOwnCertificate } from '../../../agent/send/submission/own-certificate.ts';
import type { Tls } from '../../../agent/send/submission/own-certificate.ts';
import type { SubmissionOptions } from '../../../agent/send/submission/submission-options.ts';
import type { MailServerRights } from '../../../agent/users/account-options.ts';
import { hashPassword } from '../../../agent/users/password-hash.ts';
import { writeUsers } from '../../../agent/users/users-file.ts';
import { password, plain, user } from './rig.ts';
import { hasty, startSubmission } from './submission-rig.ts';
import type { Server, Taken } from './submission-rig.ts';

const folder = await mkdtemp(join(tmpdir(), 'mailferry-matrix-'));
after(() => rm(folder, { recursive: true, force: true }));
const usersFile = join(folder, 'users.json');
const tls: Tls = await openOwnCertificate({ folder, names: ['localhost', '127.0.0.1'], now: Date.now });
const fileUser = { name: 'desk', password: 'file password', sender: 'desk@office.test' };
await writeUsers(usersFile, [
  { name: fileUser.name, hash: await hashPassword(fileUser.password), senders: [fileUser.sender] },
]);

const own = 'sales@office.test';
const device = 'scan@office.test';
const victim = 'victim@world.test';
const rewriteTo = 'bounces@office.test';

type Door = 'plain' | 'starttls' | 'implicit';
type Configuration = {
  readonly name: string;
  readonly submission: Partial<SubmissionOptions>;
  readonly tls?: Tls;
  readonly doors: readonly Door[];
  readonly trustsUs: boolean;
  readonly mailServer?: MailServerRights;
  readonly file: boolean;
  readonly localLogin: boolean;
};

const places = [
  { host: '127.0.0.1', doors: ['plain'] },
  { host: 'localhost', doors: ['plain'] },
  { host: '127.0.0.1', doors: ['starttls'], tls },
  { host: '127.0.0.1', doors: ['starttls', 'implicit'], tls, implicitPort: 0 },
  { host: '0.0.0.0', doors: ['starttls'], tls },
  { host: '0.0.0.0', doors: ['starttls', 'implicit'], tls, implicitPort: 0 },
] as const;
const trusts = [
  { name: 'no trust', us: false, entries: undefined },
  {
    name: 'a trusted network elsewhere',
    us: false,
    entries: [{ id: 'far', addresses: ['192.168.0.0/16', 'fd00::/64'], senders: ['@office.test'] }],
  },
  {
    name: 'a trusted device here',
    us: true,
    entries: [{ id: 'near', addresses: ['127.0.0.0/16'], senders: [device] }],
  },
] as const;
const policy = (
  handling: MailServerRights['nullSender'],
  headerFrom: 'replace' | 'keep' = 'replace',
): MailServerRights => ({
  nullSender: handling,
  foreignSender: handling,
  rewriteTo,
  headerFrom,
});
const servers = [undefined, policy('allow'), policy('rewrite'), policy('rewrite', 'keep'), policy('hold')] as const;

/** All of places x trusts, each with two of the servers; the other options take turns. */
const configurations: readonly Configuration[] = places.flatMap((place, a) =>
  trusts.flatMap((trust, b) =>
    [0, 2].map((c): Configuration => {
      const mailServer = servers[(a + 2 * b + c) % servers.length];
      const n = a + b + c;
      const senders = n % 3 === 0 ? [own, 'bounces@office.test'] : ['@office.test'];
      const { us, entries } = trust;
      const parts = [
        place.host,
        place.doors.join('+'),
        trust.name,
        mailServer === undefined ? 'a person' : mailServer.nullSender + ' ' + mailServer.headerFrom,
      ];
      return {
        name: parts.join(', '),
        doors: place.doors,
        trustsUs: us,
        file: n % 2 === 0,
        localLogin: n % 4 < 2,
        ...(mailServer !== undefined && { mailServer }),
        ...('tls' in place && { tls: place.tls }),
        submission: {
          host: place.host,
          ...('implicitPort' in place && { implicitPort: place.implicitPort }),
          ...(entries !== undefined && {
            trusted: entries.map((one) => ({ ...one, addresses: [...one.addresses], senders: [...one.senders] })),
          }),
          users: [
            { name: user, password: { env: 'UNUSED' }, senders, ...(mailServer !== undefined && { mailServer }) },
          ],
          maxRecipients: n % 2 === 0 ? 1 : 10_000,
          maxSizeBytes: n % 5 === 0 ? 1_024 : 1_073_741_824,
          ...(n % 3 === 1 && { limits: { recipientsPerMail: 1, mailsPerHour: 1_000, senderMailsPerDay: 1_000 } }),
        },
      };
    }),
  ),
);

/** A client that goes through a door and says lines whatever is answered. */
type Client = {
  readonly say: (line: string) => Promise<string>;
  readonly write: (text: string) => void;
  readonly end: () => void;
};

async function open(server: Server, door: Door): Promise<Client> {
  const port = door === 'implicit' ? server.implicitPort : server.port;
  let socket = door === 'implicit' ? connectTls({ port, host: '127.0.0.1', ca: tls.cert }) : connect(port, '127.0.0.1');
  let text = '';
  let closed = false;
  let wake = (): void => {};
  const listen = (): void => {
    socket
      .setEncoding('utf8')
      .on('data', (chunk: string) => {
        text += chunk;
        wake();
      })
      .on('error', () => {})
      .on('close', () => {
        closed = true;
        wake();
      });
  };
  const reply = async (): Promise<string> => {
    for (;;) {
      const found = /^(?:\d{3}-.*\r\n)*\d{3}(?: .*)?\r\n/.exec(text)?.[0];
      if (found !== undefined) {
        text = text.slice(found.length);
        return found.trimEnd();
      }
      if (closed) return 'closed';
      await new Promise<void>((resolve) => (wake = resolve));
    }
  };
  const say = (line: string): Promise<string> => {
    socket.write(line + '\r\n');
    return reply();
  };
  listen();
  await reply();
  if (door === 'starttls') {
    await say('EHLO desk');
    await say('STARTTLS');
    socket.removeAllListeners('data');
    socket = connectTls({ socket, ca: tls.cert, host: '127.0.0.1' });
    await new Promise((resolve) => socket.once('secureConnect', resolve));
    listen();
  }
  return { say, write: (bytes) => void socket.write(bytes), end: () => socket.destroy() };
}

type Envelope = { readonly from: string; readonly to: string; readonly header: string; readonly parameters?: string };

/** Says MAIL, RCPT, DATA whatever is answered, and the mail when it may. */
async function hand(client: Client, { from, to, header, parameters = '' }: Envelope): Promise<string> {
  await client.say('MAIL FROM:<' + from + '>' + parameters);
  await client.say('RCPT TO:<' + to + '>');
  const go = await client.say('DATA');
  if (!go.startsWith('354')) return go;
  return client.say((header === '' ? '' : 'From: ' + header + '\r\n') + 'Subject: a\r\n\r\nb\r\n.');
}

const legitimate: Envelope = { from: own, to: victim, header: own };
/** What a stranger could want to send, by every way to write it. */
const envelopes: readonly Envelope[] = [
  legitimate,
  { from: 'a@evil.test', to: victim, header: 'a@evil.test' },
  { from: '', to: victim, header: own },
  { from: '', to: victim, header: 'a@evil.test' },
  { from: device, to: victim, header: 'a@evil.test' },
  { from: own, to: victim, header: 'a@evil.test' },
  { from: '@office.test:a@evil.test', to: '@office.test,@b.test:' + victim, header: 'a@evil.test' },
  { from: 'a%evil.test@office.test', to: 'victim%world.test@office.test', header: 'a@evil.test' },
  { from: '"a@evil.test"@office.test', to: '"victim@world.test"@office.test', header: 'a@evil.test' },
  { from: '"sales"@office.test', to: victim, header: 'a@evil.test' },
  { from: 'sales@office.test@evil.test', to: victim, header: 'a@evil.test' },
  { from: 'a@evil.test!office.test', to: 'world.test!victim', header: 'a@evil.test' },
  { from: 'sales＠office.test@evil.test', to: victim, header: 'a@evil.test', parameters: ' SMTPUTF8' },
  { from: 'ſales@office.test', to: victim, header: 'a@evil.test', parameters: ' SMTPUTF8' },
  {
    from: 'a@evil.test',
    to: victim,
    header: '"sales@office.test" <a@evil.test>',
    parameters: ' AUTH=<sales@office.test>',
  },
];

type Opening = {
  readonly name: string;
  readonly lines: readonly string[];
  readonly clear?: true;
  /** What the user that it pretends to be may send; that of `user` when absent. */
  readonly own?: Envelope;
};
const wrong = plain(user, 'wrong');
const identity = 'AUTH PLAIN ' + Buffer.from(user + '\0nobody\0' + password).toString('base64');
const openings: readonly Opening[] = [
  { name: 'no login', lines: ['EHLO x'] },
  { name: 'no login, HELO', lines: ['HELO x'] },
  { name: 'no greeting at all', lines: [] },
  { name: 'wrong password', lines: ['EHLO x', wrong] },
  { name: 'empty password', lines: ['EHLO x', plain(user, '')] },
  { name: 'unknown user', lines: ['EHLO x', plain('admin', password)] },
  { name: 'no user', lines: ['EHLO x', plain('', '')] },
  { name: 'prototype names', lines: ['EHLO x', plain('__proto__', ''), plain('constructor', 'x')] },
  {
    name: 'wrong password of a user of the file',
    lines: ['EHLO x', plain(fileUser.name, password)],
    own: { from: fileUser.sender, to: victim, header: fileUser.sender },
  },
  { name: 'the name in other letters', lines: ['EHLO x', plain(user.toUpperCase(), password)] },
  { name: 'another identity', lines: ['EHLO x', identity] },
  { name: 'aborted AUTH', lines: ['EHLO x', 'AUTH PLAIN', '*'] },
  { name: 'half an AUTH LOGIN', lines: ['EHLO x', 'AUTH LOGIN', Buffer.from(user).toString('base64'), ''] },
  { name: 'unknown mechanism', lines: ['EHLO x', 'AUTH XOAUTH2 dXNlcj1h'] },
  {
    name: 'XCLIENT and XFORWARD',
    lines: ['EHLO x', 'XCLIENT ADDR=192.168.0.1 LOGIN=sales', 'XFORWARD ADDR=192.168.0.1'],
  },
  { name: 'PROXY', lines: ['PROXY TCP4 192.168.0.1 192.168.0.2 1 25', 'EHLO x'] },
  { name: 'after RSET', lines: ['EHLO x', 'RSET'] },
  { name: 'after failed AUTH and RSET', lines: ['EHLO x', wrong, 'RSET', 'EHLO y'] },
  { name: 'a failed login after another', lines: ['EHLO x', wrong, plain('admin', ''), 'NOOP'] },
  { name: 'login in clear beside a certificate', lines: ['EHLO x', plain()], clear: true },
  { name: 'login in clear, then STARTTLS refused', lines: ['EHLO x', plain(), 'STARTTLS now'], clear: true },
];

/** What the configuration allows, said once more in other words. Undefined: all is well. */
function judge(configuration: Configuration, mail: Taken, as: 'stranger' | 'device' | 'person'): string | undefined {
  const { mailServer, submission } = configuration;
  const header = /^From: (.*)\r\n/m.exec(mail.body)?.[1] ?? '';
  const senders: readonly string[] = as === 'device' ? [device] : (submission.users?.[0]?.senders ?? []);
  const isOwn = (address: string): boolean =>
    senders.some(
      (one) => one === address || (one.startsWith('@') && address.split('@').slice(1).join('@') === one.slice(1)),
    );
  if (as === 'stranger') return 'a stranger';
  if (as === 'device' && !(configuration.trustsUs && mail.rights.user === 'trusted/near')) return 'no trusted device';
  if (isOwn(mail.from) && (header === '' || isOwn(header))) return undefined;
  if (as === 'device' || mailServer === undefined) return 'a foreign sender';
  const handling = mail.from === '' ? mailServer.nullSender : mailServer.foreignSender;
  if (handling === 'hold') return mail.passage.held === undefined ? 'not held' : undefined;
  if (handling === 'allow') return undefined;
  const { from, replaceFrom, resentFrom } = mail.passage;
  const shown =
    header === '' ||
    isOwn(header) ||
    replaceFrom !== undefined ||
    (mailServer.headerFrom === 'keep' && resentFrom !== undefined);
  return isOwn(from) && shown ? undefined : 'not rewritten';
}

const counts = { configurations: 0, attempts: 0, relayed: 0, legitimate: 0, taken: 0 };

test('the matrix: open relays 0, and every legitimate submission succeeds', async (t) => {
  let offset = 0;
  // Each attempt is long after the one before: what refuses it is not the throttle.
  const clock = { ...hasty, monotonic: () => systemClock.monotonic() + offset };
  for (const configuration of configurations) {
    counts.configurations += 1;
    const { submission, localLogin, file } = configuration;
    const endpoint = { host: '127.0.0.1', port: 1, tls: 'none' } as const;
    const local = {
      protocol: 'imap',
      ...endpoint,
      domains: ['office.test'],
      more: [],
      cacheSeconds: 900,
      failuresPerTenMinutes: 1_000,
    } as const;
    const server = await startSubmission(t, {
      submission,
      clock,
      ...(configuration.tls !== undefined && { tls: configuration.tls }),
      ...(file && { usersFile }),
      ...(localLogin && { localLogin: { config: { ...local, domains: [...local.domains], more: [] }, endpoint } }),
    });
    const context = { t, configuration, server };
    await tryLegitimate(context);
    for (const [n, attempt] of attemptsOf(configuration).entries()) {
      offset += 1_000_000;
      await tryAttempt(context, attempt, n);
    }
    offset += 1_000_000;
    await tryLegitimate(context);
    await server.listener.stop(1);
    // One that is open is enough, and the others would tell the same.
    if (counts.relayed > 0 || counts.taken < counts.legitimate) break;
  }
  t.diagnostic(
    counts.configurations +
      ' configurations, ' +
      counts.attempts +
      ' attempts: open relays ' +
      counts.relayed +
      '; legitimate submissions ' +
      counts.legitimate +
      ', succeeded ' +
      counts.taken,
  );
  assert.equal(counts.relayed, 0);
  assert.equal(counts.taken, counts.legitimate);
  assert.equal(counts.configurations, configurations.length);
  assert.ok(counts.attempts > 2_000 && counts.legitimate > 400);
});

type Context = { readonly t: TestContext; readonly configuration: Configuration; readonly server: Server };
type Attempt = {
  readonly opening: Opening;
  readonly door: Door;
  readonly envelope: Envelope;
  readonly as: 'stranger' | 'person';
};

/** Every opening with what its user may send and with an envelope in turn, every envelope without a login, every envelope of a person; through all doors. */
function attemptsOf({ doors, tls: certificate }: Configuration): readonly Attempt[] {
  const all = certificate === undefined ? doors : (['plain', ...doors] as const);
  const [silent] = openings;
  const loggedIn: Opening = { name: 'logged in', lines: ['EHLO x', plain()] };
  return [
    ...openings.flatMap((opening, n) => {
      const clearOnly = certificate === undefined ? [] : (['plain'] as const);
      const through: readonly Door[] = opening.clear === true ? clearOnly : all;
      return through.flatMap((door, m): readonly Attempt[] => {
        const turn = envelopes[(n + m * 5) % envelopes.length] ?? legitimate;
        const wanted = m === 0 ? [opening.own ?? legitimate, turn] : [m === 1 ? (opening.own ?? legitimate) : turn];
        return wanted.map((envelope) => ({ opening, door, envelope, as: 'stranger' }));
      });
    }),
    ...envelopes.map((envelope, n): Attempt => ({
      opening: silent ?? loggedIn,
      door: all[n % all.length] ?? 'plain',
      envelope,
      as: 'stranger',
    })),
    ...envelopes.slice(1).map((envelope, n): Attempt => ({
      opening: loggedIn,
      door: doors[n % doors.length] ?? 'plain',
      envelope,
      as: 'person',
    })),
  ];
}

async function tryAttempt({ t, configuration, server }: Context, attempt: Attempt, n: number): Promise<void> {
  const { opening, door, envelope } = attempt;
  counts.attempts += 1;
  const before = server.taken.length;
  const client = await open(server, door);
  if (n % 7 === 3) {
    // All in one write: nothing may count before the login that follows has failed.
    const { from, to } = envelope;
    client.write(
      [
        ...opening.lines,
        'MAIL FROM:<' + from + '>',
        'RCPT TO:<' + to + '>',
        'DATA',
        'Subject: a',
        '',
        'b',
        '.',
        'QUIT',
        '',
      ].join('\r\n'),
    );
    while (!/^(?:221|closed|421)/.test(await client.say('NOOP')));
  } else {
    for (const line of opening.lines) await client.say(line);
    await hand(client, envelope);
  }
  client.end();
  for (const mail of server.taken.slice(before)) {
    // A device that is trusted here is trusted for its own sender, also without a login.
    const as = attempt.as === 'stranger' && configuration.trustsUs ? 'device' : attempt.as;
    const problem = judge(configuration, mail, as);
    if (problem === undefined) continue;
    counts.relayed += 1;
    t.diagnostic(
      'OPEN: ' + problem + ': ' + [configuration.name, door, opening.name, JSON.stringify(envelope)].join(' / '),
    );
  }
}

async function tryLegitimate({ t, configuration, server }: Context): Promise<void> {
  const { doors, file, trustsUs, mailServer } = configuration;
  const expect = async (what: string, door: Door, lines: readonly string[], envelope: Envelope): Promise<void> => {
    counts.legitimate += 1;
    const client = await open(server, door);
    for (const line of lines) await client.say(line);
    const answer = await hand(client, envelope);
    client.end();
    if (answer.startsWith('250')) counts.taken += 1;
    else t.diagnostic('REFUSED: ' + [configuration.name, what, door, answer].join(' / '));
  };
  for (const door of doors) {
    await expect('a user', door, ['EHLO x', plain()], legitimate);
    await expect('a user after a mistake', door, ['EHLO x', wrong, plain(), 'RSET'], legitimate);
    await expect(
      'AUTH LOGIN',
      door,
      ['EHLO x', 'AUTH LOGIN', ...[user, password].map((text) => Buffer.from(text).toString('base64'))],
      legitimate,
    );
    if (file) {
      const { name, password: secret, sender } = fileUser;
      await expect('a user of the file', door, ['EHLO x', plain(name, secret)], {
        from: sender,
        to: victim,
        header: sender,
      });
    }
    if (trustsUs) await expect('a trusted device', door, ['HELO x'], { from: device, to: victim, header: device });
    if (mailServer !== undefined) {
      await expect('a report', door, ['EHLO x', plain()], { from: '', to: victim, header: 'MAILER-DAEMON@nas.local' });
      await expect('a redirect', door, ['EHLO x', plain()], {
        from: 'a@world.test',
        to: victim,
        header: 'a@world.test',
      });
    }
  }
  if (trustsUs)
    await expect('a trusted device in clear', 'plain', ['HELO x'], { from: device, to: victim, header: device });
}
