// Faults planted in the checks of domains, certificates, round trips and the machine, each with the test that must notice it.

export type WatchMutant = {
  readonly what: string;
  readonly file: string;
  readonly text: string;
  readonly replacement: string;
  /** Test file, and the beginning of the name of the test in it; absent: any of them. */
  readonly test: string;
  readonly name?: string;
};

const probe = 'agent/probe/';
const tests = 'test/agent/probe/';

type Row = readonly [what: string, text: string, replacement: string, name?: string];

function group(file: string, test: string, rows: readonly Row[]): readonly WatchMutant[] {
  return rows.map(([what, text, replacement, name]) => ({
    what,
    file: probe + file,
    text,
    replacement,
    test: tests + test,
    ...(name === undefined ? {} : { name }),
  }));
}

export const mutants: readonly WatchMutant[] = [
  ...group('round-trip/token.ts', 'round-trip/own-mail.test.ts', [
    [
      'the proof of a token is not compared',
      'timingSafeEqual(found, expected) ? id',
      'timingSafeEqual(found, found) ? id',
    ],
    ['the proof does not depend on the key', "createHmac('sha256', key)", "createHmac('sha256', 'key')"],
    ['the proof does not depend on the id', '.update(id).digest()', '.digest()'],
  ]),
  ...group('round-trip/trip-table.ts', 'round-trip/own-mail.test.ts', [
    ['a used id is used again by another mail', "(usedBy !== '' && usedBy !== digest)", "(usedBy === '0')"],
    [
      'an id that was never sent is taken',
      'if (row === undefined || ',
      "if (row === undefined) return { trip: '', again: false };\n        if (",
    ],
    [
      'forgotten ids stay',
      "'DELETE FROM probe_trip WHERE sent_at < ?'",
      "'DELETE FROM probe_trip WHERE sent_at < ? - 1000000'",
    ],
  ]),
  ...group('round-trip/own-mail.ts', 'round-trip/own-mail.test.ts', [
    ['two tokens in one header are taken', 'values.length === single', 'values.length >= single'],
    [
      'a token in the body of any mail is taken',
      'if (values.length > 0 || !isReport(from, header)) return undefined;',
      'if (values.length > 0) return undefined;',
    ],
    ['large mails are read', 'if (body.sizeBytes > maxBytes) return undefined;', ''],
  ]),
  ...group('round-trip/hops.ts', 'round-trip/hops.test.ts', [
    ['lines of strangers count', 'received.slice(0, Math.max(0, own))', 'received'],
    ['private addresses are learned', 'target !== undefined && !isPrivate(target)', 'target !== undefined'],
    ['comments are read as results', "const plain = value.replaceAll(/\\([^()]*\\)/g, ' ');", 'const plain = value;'],
  ]),
  ...group('round-trip/trips.ts', 'round-trip/trips.test.ts', [
    [
      'a late probe is well',
      "totalMs > out.setup.lateSeconds * 1_000 ? 'late' : 'ok'",
      "totalMs > out.setup.lostSeconds * 9_000 ? 'late' : 'ok'",
    ],
    ['the relay is a part of the queue too', 'queue: relayedAt - queuedAt - relay', 'queue: relayedAt - queuedAt'],
    ['a lost probe stays in the queue', 'useless.push(out.mailId)', 'useless.slice(0)'],
    [
      'an old probe that comes hides how things are now',
      'before.out.startedAt <= out.startedAt',
      'before.out.startedAt >= 0',
    ],
    ['a refusal for good is taken for one for a while', ' || /^5\\d\\d\\b/.test(reply)', ''],
    ['a late probe hides that a later one came', 'one.startedAt > since && ', ''],
  ]),
  ...group('schedule.ts', 'schedule.test.ts', [
    ['a check overlaps itself', 'if (running !== undefined) return running;', ''],
    [
      'a check that hangs is waited for',
      'const first = await Promise.race([work, late]);',
      'const first = await Promise.race([work]);\n      void late;',
    ],
    ['a check that hangs is not told to stop', '} finally {\n      ending.abort();', '} finally {'],
    ['all sites ask at the same second', '(1 + jitter * (2 * random() - 1))', '1'],
    ['a failure counts as success', 'const success = problem === undefined;', 'const success = problem !== null;'],
  ]),
  ...group('check.ts', 'schedule.test.ts', [
    [
      'not known is worse than a warning',
      "['ok', 'info', 'unknown', 'warning', 'critical'];",
      "['ok', 'info', 'warning', 'unknown', 'critical'];",
    ],
  ]),
  ...group('domain/look.ts', 'domain/domain.test.ts', [
    [
      'no answer is taken for none',
      "return { kind: 'unknown', text: answer.text };",
      "return { kind: 'none', exists: true };",
    ],
  ]),
  ...group('domain/mx.ts', 'domain/domain.test.ts', [
    [
      'a stranger among the MX is passed over',
      "foreign.length > 0 ? 'critical' : 'warning'",
      "foreign.length > 9 ? 'critical' : 'warning'",
    ],
    ['private addresses are public', 'if (hidden.length === addresses.values.length)', 'if (hidden.length > 9)'],
    ['an alias is a host', "if (alias.kind === 'found')", "if (alias.kind === 'unknown')"],
  ]),
  ...group('domain/spf.ts', 'domain/domain.test.ts', [
    ['two records are one', 'if (records.values.length > 1)', 'if (records.values.length > 2)'],
    ['look-ups are not counted', 'if (lookups > mostLookups)', 'if (lookups > 99)'],
    ['names that do not exist are not counted', 'if (voids > mostVoids)', 'if (voids > 99)'],
    ['everybody may send', "...(whole.result === 'pass'\n      ? [", "...(whole.result === 'none'\n      ? ["],
  ]),
  ...group('domain/spf-evaluate.ts', 'domain/spf.test.ts', [
    [
      'softfail of an include is a match',
      "return result === 'pass';\n}",
      "return result === 'pass' || result === 'softfail';\n}",
    ],
    ['a failing look-up is no match', "throw new SpfError('temperror', looked.text)", 'return []'],
    ['voids are free', 'cost.voids > question.mostVoids', 'cost.voids > 99'],
    [
      'a redirect is followed though it leads nowhere',
      "if (result === 'none') throw new SpfError('permerror', 'redirect",
      "if (result === 'temperror') throw new SpfError('permerror', 'redirect",
    ],
  ]),
  ...group('domain/spf-record.ts', 'domain/spf.test.ts', [
    ['networks are compared whole', 'const shift = BigInt(address.bits - bits);', 'const shift = 0n;'],
    ['macros are not reversed', "if (reverse !== '') parts.reverse();", ''],
    [
      'an unknown term is passed over',
      "return 'the term ' + word + ' is not known';",
      "return { mechanism: 'exists', qualifier: 'neutral', target: 'x.test', bits4: 0, bits6: 0 };",
    ],
  ]),
  ...group('domain/dkim.ts', 'domain/domain.test.ts', [
    ['a revoked key is a key', "if (key === '')", "if (key === '-')"],
    ['short keys are long enough', 'if (bits < 1_024)', 'if (bits < 512)'],
    ['keys that are cut off are whole', 'if (bits === undefined)', 'if (bits === null)'],
  ]),
  ...group('domain/dmarc.ts', 'domain/domain.test.ts', [
    [
      'the consent of who gets reports is not asked',
      "if (agreed.kind === 'found') return undefined;",
      'return undefined;',
    ],
    ['a limit of size is a part of the host', '(?:![0-9]+[kmgt]?)?$/i', '$/i'],
    ['the record of the domain above is not looked for', 'cut < 8; cut += 1', 'cut < 1; cut += 1'],
  ]),
  ...group('domain/addresses.ts', 'domain/domain.test.ts', [
    ['drift of one family is covered by the other', 'if (wrong.length === 0 && fits)', 'if (fits)'],
    [
      'a name need not lead back',
      'found.values.map(canonical).includes(canonical(address))',
      'found.values.length > 0',
    ],
  ]),
  ...group('domain/authentication.ts', 'domain/domain.test.ts', [
    [
      'SPF that fails is always bad',
      "const covered = method !== 'dmarc' && results['dmarc'] === 'pass';",
      'const covered = false;',
    ],
  ]),
  ...group('certificate/path.ts', 'certificate/path.test.ts', [
    [
      'what stands above a trusted authority counts',
      'const anchor = trusted.find((one) => issued(one, current));',
      'const anchor = sent.some((one) => !path.includes(one) && issued(one, current)) ? undefined : trusted.find((one) => issued(one, current));',
    ],
    [
      'an issuer by name alone is believed',
      'if (issuer.subject !== subject.issuer || !subject.checkIssued(issuer)) return false;',
      'return true;',
    ],
    [
      'the last one to expire decides',
      'Date.parse(a.validTo) - Date.parse(b.validTo)',
      'Date.parse(b.validTo) - Date.parse(a.validTo)',
    ],
  ]),
  ...group('certificate/certificate.ts', 'certificate/path.test.ts', [
    ['only days count', 'life.shareLeft < limit.share && ', ''],
    ['only the share counts', ' && life.daysLeft < limit.days', ''],
  ]),
  ...group('certificate/handshake.ts', 'certificate/certificate.live.test.ts', [
    ['a certificate that is not believed is', 'if (!secure.authorized) {', 'if (secure.destroyed) {'],
    [
      'pins are not looked at',
      "return pin === undefined ? undefined : { code: 'PIN', text: pin };",
      'return undefined;',
    ],
    [
      'nobody is waited for without end',
      'AbortSignal.any([options.signal, AbortSignal.timeout(options.timeoutMs)])',
      'AbortSignal.any([options.signal, AbortSignal.timeout(100_000)])',
    ],
  ]),
  ...group('certificate/dialog.ts', 'certificate/certificate.live.test.ts', [
    [
      'a refusal of TLS is a yes',
      "{ command: 'STARTTLS', ends: /^\\d{3}(?: |$)/, good: /^220/ }",
      "{ command: 'STARTTLS', ends: /^\\d{3}(?: |$)/, good: /^/ }",
    ],
    ['a greeting has no limit', 'if (text.length > maxBytes)', 'if (text.length > maxBytes * 100)'],
  ]),
  ...group('host/host.ts', 'host/host.test.ts', [
    ['jumps of the clock are not seen', 'Math.abs(jumpMs) > toleratedJumpMs ? jumpMs : 0', '0'],
    ['a jump is told again and again', 'before = here;', ''],
  ]),
  ...group('host/skew.ts', 'host/host.test.ts', [
    [
      'the mean counts, and a liar with it',
      'const middle = sorted[Math.floor((sorted.length - 1) / 2)];',
      'const middle = sorted.length === 0 ? undefined : sorted.reduce((a, b) => a + b, 0) / sorted.length;',
    ],
    ['what was said long ago counts', 'now - at < validMs', 'now >= at'],
  ]),
  {
    what: 'probes are kept at the provider like mails',
    file: 'agent/receive/delivery/handover.ts',
    text: 'const day = ours ? longAgo : today;',
    replacement: 'const day = today;',
    test: 'test/flow/round-trip.live.test.ts',
    name: 'a probe by way of the local mail server',
  },
  {
    what: 'probes are delivered',
    file: 'agent/round-trips.ts',
    text: 'if (!(await trips.take(mail))) return local.deliver(mail);',
    replacement: 'await trips.take(mail);\n      if (mail.recipients.length > 0) return local.deliver(mail);',
    test: 'test/flow/round-trip.live.test.ts',
    name: 'a probe by way of the local mail server',
  },
  {
    what: 'the room that sends does not tell what becomes of mails',
    file: 'agent/send/queue/queue.ts',
    text: 'options.watch?.tried(mail.id, outcomes, about.seconds?.relay ?? 0);',
    replacement: '',
    test: 'test/flow/round-trip.live.test.ts',
    name: 'a probe that the relay refuses',
  },
];
