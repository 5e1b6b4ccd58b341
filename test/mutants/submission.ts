// `npm run mutants:submission [-- WORDS...]`: plants each fault below in a private copy of the repository and runs the
// tests that guard it; one of them must fail. Where two guards stand one behind the other, the fault takes both away.
// Exit code 1 when a mutant survives or its text is not there exactly once.
import { globSync } from 'node:fs';
import { isBroken, makeCopy, removeCopy, runTests, withFaults } from './planting.ts';

type Place = readonly [file: string, text: string, replacement: string];
type Mutant = { readonly what: string; readonly tests: readonly string[]; readonly edits: readonly Place[] };

const matrix = ['open-relay'];
const mutants: readonly Mutant[] = [
  {
    what: 'every sender is allowed',
    tests: matrix,
    edits: [['access', '  return allowed\n', '  return allowed || senders.length > 0\n']],
  },
  {
    what: 'the null sender is allowed',
    tests: matrix,
    edits: [
      [
        'access',
        "  if (from === '')\n    return refuse(",
        "  if (from === '') return { ok: true };\n  if (from === ' ')\n    return refuse(",
      ],
    ],
  },
  {
    what: 'a domain that ends alike is allowed',
    tests: ['access'],
    edits: [['access', 'sender === domain)', 'domain.endsWith(sender.slice(1)))']],
  },
  {
    what: 'letters outside ASCII become ASCII letters',
    tests: ['access'],
    edits: [['access', '  if (!needsUtf8(text)) return text.toLowerCase();\n', '  return text.toLowerCase();\n']],
  },
  {
    what: 'without a mark everybody has the policy of a mail server',
    tests: matrix,
    edits: [
      [
        'rights',
        "  if (rights.mailServer === undefined) return 'refuse';",
        "  if (rights.mailServer === undefined) return 'allow';",
      ],
    ],
  },
  {
    what: 'the header From is not looked at',
    tests: matrix,
    edits: [['rights', '  const problem = envelope.ok ? header : envelope;', '  const problem = envelope;']],
  },
  {
    what: 'what is to be held goes out',
    tests: matrix,
    edits: [['rights', ', held: heldReason(from, envelope.ok) };', ' };']],
  },
  {
    what: 'the header From is not rewritten',
    tests: matrix,
    edits: [['rights', '  if (ownHeader) return {};', '  return {};']],
  },
  {
    what: 'any password of a user of the configuration is right',
    tests: matrix,
    edits: [
      [
        'accounts',
        "  return same && expected !== undefined && expected !== '';",
        '  return expected !== undefined || same;',
      ],
    ],
  },
  {
    what: 'any password of a user of the file is right',
    tests: matrix,
    edits: [['accounts', "(await prove(name, password, user.hash)) ? user : 'wrong'", 'user']],
  },
  {
    what: 'every address is trusted once one is',
    tests: matrix,
    edits: [['trusted', 'all.find(({ list }) => list.check(plain, family))?.rights', 'all[0]?.rights']],
  },
  {
    what: 'a trusted device may send as anybody',
    tests: matrix,
    edits: [
      [
        'trusted',
        "const rights: Rights = { user: 'trusted/' + id, senders,",
        "const rights: Rights = { user: 'trusted/' + id, senders: [...senders, '@evil.test'],",
      ],
    ],
  },
  {
    what: 'a failed login is a login (both the callback and the rights)',
    tests: matrix,
    edits: [
      [
        'handlers',
        '        if (!answer.ok) return done(smtpError(answer));\n        options.known(session);\n        loggedIn.set(session, answer.rights);\n        done(null, { user: answer.rights.user });',
        "        const rights = answer.ok ? answer.rights : { user: 'x', senders: ['@office.test'], limits: {} };\n        loggedIn.set(session, rights);\n        done(null, { user: 'x' });",
      ],
    ],
  },
  {
    what: 'who is not logged in has rights (AUTH optional, and rights for all)',
    tests: matrix,
    edits: [
      ['door', '    authOptional: options.trusts,', '    authOptional: true,'],
      [
        'handlers',
        'options.trust(session.remoteAddress);',
        "options.trust(session.remoteAddress) ?? { user: 'x', senders: ['@office.test'], limits: {} };",
      ],
    ],
  },
  {
    what: 'passwords are taken in clear beside a certificate (both guards)',
    tests: [...matrix, 'submission.live'],
    edits: [
      ['door', 'allowInsecureAuth: false,', 'allowInsecureAuth: true,'],
      [
        'login',
        '    if (!session.secure && !options.allowClear)',
        '    if (options.allowClear && !options.allowClear)',
      ],
    ],
  },
  {
    what: 'passwords in clear pass the guard of ours',
    tests: ['login'],
    edits: [
      [
        'login',
        '    if (!session.secure && !options.allowClear)',
        '    if (options.allowClear && !options.allowClear)',
      ],
    ],
  },
  {
    what: 'a network address without a certificate',
    tests: ['listener'],
    edits: [['listener', '  checkClear(submission, tls);', '']],
  },
  {
    what: 'wide networks may be trusted',
    tests: ['trusted'],
    edits: [['trusted', "  const narrowest = own.check(address, 'ipv4') ? 16 : 29;", '  const narrowest = 0;']],
  },
  {
    what: 'IPv6 addresses that stand for all of IPv4 may be trusted',
    tests: ['trusted'],
    edits: [['trusted', "if (standIns.check(address, 'ipv6') && ", "if (address === 'x' && "]],
  },
  {
    what: 'the throttle lets everybody try',
    tests: ['login'],
    edits: [
      [
        'login',
        '      if (!throttle.mayTry(name, address))',
        '      if (!throttle.mayTry(name, address) && looksNever)',
      ],
      ['login', 'const maxLoginFailures = 5;', 'const looksNever = false;\nconst maxLoginFailures = 5;'],
    ],
  },
  {
    what: 'tries of one user run side by side',
    tests: ['login'],
    edits: [['login', '    const own = before.then(work, work);', '    const own = work();\n    void before;']],
  },
  {
    what: 'one guesser closes this machine to all its programs',
    tests: ['login', 'throttle'],
    edits: [
      ['throttle', 'if (isLoopback(address) || known.has(pair)) return true;', 'if (known.has(pair)) return true;'],
    ],
  },
  {
    what: 'guesses at one user from all over the Internet are not counted together',
    tests: ['throttle'],
    edits: [['throttle', '      if (!isPrivate(address)) count(userKey(user), freeOfUser);\n', '']],
  },
  {
    what: 'guesses from the Internet keep the own network out',
    tests: ['throttle'],
    edits: [['throttle', '(isPrivate(address) || !closed(userKey(user)))', '!closed(userKey(user))']],
  },
  {
    what: 'who was removed goes on in an open session',
    tests: ['submission.live'],
    edits: [['handlers', ' || (await rights.current?.()) === false', '']],
  },
  {
    what: 'questions on their way are failures',
    tests: ['submission.live'],
    edits: [['local-login', '            used.filter(({ settled }) => settled),', '            used,']],
  },
  {
    what: 'each IPv6 address is a client of its own',
    tests: ['throttle'],
    edits: [['throttle', '  if (!isIPv6(address) || isLoopback(address)) return address;', '  return address;']],
  },
  {
    what: 'the local server is asked as often as clients like',
    tests: ['submission.live'],
    edits: [['local-login', '    all.length >= limit || all.filter(', '    all.length < 0 && all.filter(']],
  },
  {
    what: 'a right password makes every other one right',
    tests: ['submission.live'],
    edits: [['local-login', 'update(JSON.stringify([name, password]))', 'update(JSON.stringify([name]))']],
  },
  {
    what: 'a server that is in trouble says yes',
    tests: ['submission.live'],
    edits: [
      [
        'local-login',
        "      return { ok: false, why: 'trouble', known: false };",
        '      return { ok: true, rights };',
      ],
    ],
  },
  {
    what: 'a new budget with each restart',
    tests: ['quota', 'extensions'],
    edits: [['quota', '        for (const who of names) add.run(who, slot);', '        void add;\n        void slot;']],
  },
  {
    what: 'simultaneous sessions share the last place',
    tests: ['quota'],
    edits: [['quota', 'return counted + (pending.get(who) ?? 0) >= mails;', 'return counted >= mails;']],
  },
  {
    what: 'signed mail is folded',
    tests: ['long-lines'],
    edits: [['long-lines', '        if (signed) return signedLine;\n        const cut', '        const cut']],
  },
  {
    what: 'long lines pass',
    tests: ['long-lines'],
    edits: [['long-lines', '        if (column + bytes.length - at <= maxLine) {', '        if (column >= 0) {']],
  },
  {
    what: 'a certificate is not renewed',
    tests: ['own-certificate'],
    edits: [
      ['own-certificate', 'Date.parse(cert.validTo) >= now + renewDays * dayMs', 'Date.parse(cert.validTo) >= 0'],
    ],
  },
  {
    what: 'another certificate is not shown',
    tests: ['submission.live'],
    edits: [['listener', '        for (const door of doors) door.renew(next);\n', '']],
  },
  {
    what: 'what clients ask to be told is forgotten with the index',
    tests: ['extensions'],
    edits: [['envelope', '...(each.length > 0 && { recipientDsn: each }),', '']],
  },
  {
    what: 'a held mail is not held when the index is lost',
    tests: ['extensions'],
    edits: [['envelope', "...(typeof held === 'string' && { held }),", '']],
  },
];

const limitMs = 300_000;

async function judge(copy: string, { edits, tests }: Mutant): Promise<string> {
  const faults = edits.map(([name, text, replacement]) => {
    const file = globSync('agent/send/**/' + name + '.ts', { cwd: copy })[0] ?? name;
    return { file, text, replacement };
  });
  const files = tests.flatMap((name) => globSync('test/agent/send/**/' + name + '.test.ts', { cwd: copy }));
  const run = await withFaults(copy, faults, () => runTests(copy, files, limitMs));
  if (run === undefined) return 'TEXT NOT FOUND';
  if (run.code === 0) return 'SURVIVED';
  return isBroken(run.output) ? 'NOT JUDGED' : 'killed';
}

async function main(wanted: readonly string[]): Promise<number> {
  const chosen = mutants.filter(({ what }) => wanted.length === 0 || wanted.some((part) => what.includes(part)));
  const copy = makeCopy();
  let bad = 0;
  try {
    for (const mutant of chosen) {
      const result = await judge(copy, mutant);
      if (result !== 'killed') bad += 1;
      process.stdout.write(result.padEnd(12) + mutant.tests.join(', ').padEnd(30) + mutant.what + '\n');
    }
  } finally {
    removeCopy(copy);
  }
  process.stdout.write(chosen.length - bad + ' of ' + chosen.length + ' mutants killed\n');
  return bad === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
