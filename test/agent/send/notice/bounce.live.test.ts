// Reports through a real dovecot, read by an independent parser: the email package of Python's standard library.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { systemClock } from '#shared/clock.ts';
import { createLog } from '#shared/log.ts';
import { createLocal } from '../../../../agent/local/local.ts';
import { composeNotice } from '../../../../agent/send/notice/notice.ts';
import type { NoticeOptions } from '../../../../agent/send/notice/notice.ts';
import { createLab } from '../../../lab/lab.ts';
import { waitFor } from '../../../lab/wait.ts';
import { letter, loggedIn, sender, startRig } from '../rig.ts';

type Parsed = {
  readonly defects: readonly string[];
  readonly type: string;
  readonly report: string | null;
  readonly headers: Readonly<Record<string, string>>;
  readonly parts: readonly { readonly type: string; readonly text: string }[];
  /** Groups of fields of message/delivery-status. */
  readonly status: readonly Readonly<Record<string, string>>[];
  readonly dates: readonly string[];
};

/** Reads a list of mails in base64, writes what it found in each. */
const program = `
import sys, json, base64, email, email.policy, email.utils
def read(raw):
    message = email.message_from_bytes(raw, policy=email.policy.default)
    parts, status, dates = [], [], [message['date'].datetime.isoformat()]
    defects = [str(d) for part in message.walk() for d in part.defects]
    defects += [str(d) for part in message.walk() for name in part.keys() for d in part[name].defects]
    for part in message.iter_parts() if message.is_multipart() else [message]:
        kind, text = part.get_content_type(), ''
        if kind == 'message/delivery-status':
            for group in part.get_payload():
                fields = {k.lower(): str(v) for k, v in group.items()}
                status.append(fields)
                for name in ('arrival-date', 'last-attempt-date', 'will-retry-until'):
                    if name in fields: dates.append(email.utils.parsedate_to_datetime(fields[name]).isoformat())
        elif kind == 'message/rfc822': text = part.get_payload(0).as_bytes().decode('utf-8', 'replace')
        else: text = part.get_payload(decode=True).decode('utf-8', 'replace')
        parts.append({'type': kind, 'text': text})
    return {'defects': defects, 'type': message.get_content_type(), 'report': message.get_param('report-type'),
        'headers': {k.lower(): str(v) for k, v in message.items()}, 'parts': parts, 'status': status, 'dates': dates}
json.dump([read(base64.b64decode(one)) for one in json.load(sys.stdin)], sys.stdout)
`;

function parse(mails: readonly Buffer[]): Promise<readonly Parsed[]> {
  return new Promise((resolve, reject) => {
    const child = execFile('python3', ['-c', program], { timeout: 60_000, maxBuffer: 1e8 }, (error, stdout, stderr) => {
      if (error !== null) reject(new Error(stderr));
      else resolve(JSON.parse(stdout) as readonly Parsed[]); // the shape that the program above writes
    });
    child.stdin?.end(JSON.stringify(mails.map((mail) => mail.toString('base64'))));
  });
}

async function startScene(t: TestContext) {
  const lab = createLab(t);
  const dovecot = await lab.dovecot({ users: { [sender]: 'x', 'postmaster@office.test': 'x' } });
  const relay = await lab.scriptedSmtp({
    login: { user: 'relay-user', password: 'relay-password' },
    script: ({ verb }) =>
      verb === 'RCPT' ? '550-5.1.1 The account does not exist.\r\n550 5.1.1 Ask gr\u00fcn@world.test\r\n' : undefined,
  });
  const local = createLocal({
    config: {
      protocol: 'lmtp',
      host: '127.0.0.1',
      port: dovecot.lmtp,
      tls: 'none',
      domains: ['office.test'],
      sessions: 2,
    },
    endpoint: { host: '127.0.0.1', port: dovecot.lmtp, tls: 'none' },
    name: 'nas.office.test',
    clock: systemClock,
    log: createLog({ name: 'test', level: 'silent' }),
  });
  t.after(local.close);
  const rig = await startRig(t, { relay, local, operator: 'postmaster@office.test' });
  const arrived = async (to: string): Promise<Buffer> => {
    await waitFor('the report', async () => (await dovecot.count(to)) > 0);
    return (await dovecot.mails(to))[0] ?? Buffer.alloc(0);
  };
  return { rig, arrived };
}

test('an independent parser reads the report that a real dovecot delivered, without a defect', async (t) => {
  const { rig, arrived } = await startScene(t);
  const client = await loggedIn(t, rig.port);
  await client.say('MAIL FROM:<' + sender + '> RET=FULL ENVID=offer-1 BODY=8BITMIME');
  await client.say('RCPT TO:<nobody@world.test> NOTIFY=FAILURE,DELAY ORCPT=rfc822;Nobody@World.test');
  await client.say('DATA');
  client.socket.write(
    Buffer.from('Message-ID: <offer@office.test>\r\n' + letter('Gr\u00fc\u00dfe, 5 \u20ac', 'offer')),
  );
  assert.match((await client.say('.')) ?? '', /^250/);
  const [found] = await parse([await arrived(sender)]);
  assert.ok(found);
  assert.deepEqual(found.defects, []);
  assert.equal(found.type, 'multipart/report');
  assert.equal(found.report, 'delivery-status');
  assert.equal(found.headers['return-path'], '<>');
  assert.equal(found.headers['auto-submitted'], 'auto-replied');
  assert.equal(found.headers['in-reply-to'], '<offer@office.test>');
  assert.equal(found.headers['x-mailferry-trace'], 'in test-trace');
  assert.deepEqual(
    found.parts.map((part) => part.type),
    ['text/plain', 'message/delivery-status', 'message/rfc822'],
  );
  const [whole = {}, about = {}, ...more] = found.status;
  assert.deepEqual(more, []);
  assert.equal(whole['original-envelope-id'], 'offer-1');
  assert.equal(whole['reporting-mta'], 'dns; nas.office.test');
  assert.equal(about['original-recipient'], 'rfc822; Nobody@World.test');
  assert.equal(about['final-recipient'], 'rfc822; nobody@world.test');
  assert.deepEqual([about['action'], about['status'], about['remote-mta']], ['failed', '5.1.1', 'dns; 127.0.0.1']);
  assert.equal(about['diagnostic-code'], 'smtp; 550 5.1.1 The account does not exist. / 5.1.1 Ask gr?n@world.test');
  assert.equal(found.dates.length, 3);
  assert.match(found.parts[0]?.text ?? '', /Ask gr\ufffdn@world\.test\n +This means: The address does not exist\./);
  assert.match(found.parts[2]?.text ?? '', /Subject: offer\n[^]*Gr\u00fc\u00dfe, 5 \u20ac/);
  await waitFor('an empty queue', () => rig.send.queue.list().length === 0);
});

test('reports of every kind, about whatever mail and reply, are read without a defect', async () => {
  const base: NoticeOptions = {
    id: 'notice-1.abc',
    kind: 'failed',
    to: 'sales@office.test',
    reports: [],
    original: Buffer.from('Subject: x\r\n\r\nbody\r\n'),
    arrivedAt: Date.UTC(2026, 10, 25, 7),
    createdAt: Date.UTC(2026, 10, 25, 8),
    hostname: 'nas.office.test',
    relayHost: 'smtp.provider.test',
    traceId: 'test-trace',
  };
  const basis = { address: 'a@world.test', status: '5.0.0', reply: '550 no', mayHaveArrived: false, attemptedAt: 1 };
  const originals = [
    Buffer.alloc(0),
    Buffer.from('no header at all'),
    Buffer.from('Subject: \u00e4\0\r\nX-Long: ' + 'y'.repeat(5_000) + '\n\n\u0001\0', 'latin1'),
    Buffer.from('Subject: x\r\n\r\n--=_mailferry_notice-1.abc\r\n--=_mailferry_notice-1.abc_--\r\n'),
  ];
  const replies = [
    '550 ' + 'word '.repeat(900),
    '550 ' + 'x'.repeat(4_000),
    '550 \u20ac \r\n.\r\n--=_mailferry',
    'Not sent within 5 hours',
  ];
  const cases = originals.flatMap((original) =>
    replies.flatMap((reply, at) =>
      (['failed', 'delayed', 'relayed'] as const).map((kind) => {
        const other = { address: 'b\u00fcro@world.test', original: 'utf-8;b\u00fcro\r\nX: y@world.test', held: true };
        const reports = [
          { ...basis, action: kind, reply },
          { ...basis, ...other, action: kind },
        ];
        const options = { ...base, kind, reports, original, whole: at % 2 === 0, envid: 'a b', retryUntil: 1e12 };
        return { kind, reply, mail: composeNotice(options) };
      }),
    ),
  );
  const all = await parse(cases.map(({ mail }) => mail));
  for (const [index, found] of all.entries()) {
    const { kind = '', reply = '' } = cases[index] ?? {};
    assert.deepEqual(found.defects, [], String(index));
    assert.equal(found.status.length, 3, String(index));
    assert.equal(found.status[1]?.['action'], kind);
    assert.ok((found.status[1]?.['diagnostic-code'] ?? '').length >= Math.min(reply.length, 900), String(index));
  }
  assert.equal(all.length, 48);
});
