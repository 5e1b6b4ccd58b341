// Providers whose UIDLs do not name a mail for ever: message numbers, numbers that begin anew, names that change each time.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { Pop3Step, ScriptedMail } from '../../../lab/scripted-pop3.ts';
import type { Action } from '../../../lab/line-server.ts';
import { waitFor } from '../../../lab/wait.ts';
import { createBench } from '../bench.ts';
import { count, delivered, left, setScene } from '../failures/scene.ts';
import type { Scene, SceneOptions } from '../failures/scene.ts';
import { seeded } from '../random.ts';

const letter = (name: string, body = 'text\r\n', uid = 'uid-' + name): ScriptedMail => ({
  uid,
  bytes: Buffer.from(
    'Received: by mx.test; Wed, 25 Nov 2026 08:00:00 +0000\r\nMessage-ID: <' +
      name +
      '@x.test>\r\nDate: Wed, 25 Nov 2026 07:59:00 +0000\r\nFrom: <customer@example.net>\r\nSubject: ' +
      name +
      '\r\n\r\n' +
      body,
  ),
});
const letters = (total: number): ScriptedMail[] =>
  Array.from({ length: total }, (_, n) => letter('m' + n, 'x'.repeat(n) + '\r\n'));

/** UIDLs are the numbers of the mails in the session, whatever the mails are. */
function byNumber({ verb, good }: Pop3Step): Action | undefined {
  return verb === 'UIDL' ? good.toString('latin1').replaceAll(/^(\d+) .*$/gm, '$1 $1') : undefined;
}

const capabilities = { withTop: ['UIDL', 'TOP', 'PIPELINING'], withoutTop: ['UIDL', 'PIPELINING'] };

async function quiet({ bench }: Pick<Scene, 'bench'>): Promise<void> {
  for (let n = 0, well = 0; well < 3 && n < 40; n += 1) {
    const [status] = await bench.fetch();
    well = status?.problem === '' ? well + 1 : 0;
  }
  await waitFor('nothing left to fetch', () => bench.status()[0]?.backlog === 0);
}

const numbered = (t: TestContext, options: SceneOptions = {}): Promise<Scene> =>
  setScene(t, { ...options, pop3: { script: byNumber, ...options.pop3 } });

test('UIDLs are message numbers: when a mail goes, those behind it are known, and a new one is new', async (t) => {
  for (const [name, list] of Object.entries(capabilities)) {
    const mails = letters(40);
    const scene = await numbered(t, { pop3: { mails, capabilities: list }, account: { keep: 'forever' } });
    const { pop3, smtp } = scene;
    await quiet(scene);
    assert.equal(smtp.mails.length, 40);
    const read = count(pop3.commands, /^RETR/);
    pop3.mails.splice(3, 1);
    pop3.mails.splice(20, 2, letter('new', 'a new mail\r\n'));
    await quiet(scene);
    assert.deepEqual([smtp.mails.length, delivered(smtp).at(-1), pop3.deleted], [41, 'new', []], name);
    // Three places are not settled by a header: those of the mails that went, and of the new one.
    if (name === 'withTop') assert.ok(count(pop3.commands, /^RETR/) - read <= 4, pop3.commands.slice(-90).join());
    await scene.bench.stop();
  }
});

test('UIDLs are message numbers and all sizes are equal: a look at the last one tells that they moved', async (t) => {
  for (const [name, list] of Object.entries(capabilities)) {
    const mails = ['a', 'b', 'c', 'd'].map((one) => letter(one));
    const scene = await numbered(t, { pop3: { mails, capabilities: list }, account: { keep: 'forever' } });
    const { pop3, smtp } = scene;
    await quiet(scene);
    pop3.mails.splice(1, 1);
    pop3.mails.push(letter('e'));
    await quiet(scene);
    assert.deepEqual(delivered(smtp), ['a', 'b', 'c', 'd', 'e'], name);
    await scene.bench.stop();
  }
});

test('a mail in quarantine keeps its place there when numbers move, and is never deleted', async (t) => {
  const refuse = ({ verb, before }: { readonly verb: string; readonly before: number }): Action | undefined =>
    verb === 'body' && before === 2 ? '554 5.7.1 no\r\n' : undefined;
  const scene = await numbered(t, {
    pop3: { mails: letters(5) },
    smtp: { script: refuse },
    account: { keep: { days: 1 } },
    bench: { sessions: 1 },
  });
  const { pop3, smtp, bench } = scene;
  await quiet(scene);
  assert.deepEqual(delivered(smtp), ['m0', 'm1', 'm3', 'm4']);
  pop3.mails.splice(0, 1);
  await quiet(scene);
  for (let day = 0; day < 3; day += 1) {
    bench.passDays(1);
    await quiet(scene);
  }
  assert.deepEqual([left(pop3), delivered(smtp).length], [['uid-m2'], 4]);
  assert.equal(bench.db.prepare("SELECT count(*) AS n FROM received WHERE state = 'quarantined'").get()?.['n'], 1);
});

test('mails that are not wanted stay unwanted when numbers move, and new ones arrive', async (t) => {
  const scene = await numbered(t, { pop3: { mails: letters(6) }, account: { keep: 'forever', firstRun: 'new-only' } });
  const { pop3, smtp, bench } = scene;
  await quiet(scene);
  pop3.mails.splice(0, 2);
  pop3.mails.push(letter('n1'), letter('n2'));
  await quiet(scene);
  assert.deepEqual([delivered(smtp), bench.status()[0]?.passedOver], [['n1', 'n2'], 4]);
});

test('when nobody can tell unwanted mails from new ones, a person is asked', async (t) => {
  for (const [answer, expected] of [
    ['known', ['n2']],
    ['new', ['m2', 'm3', 'm4', 'n1', 'n2']],
    ['since:2026-11-25', ['m2', 'm3', 'm4', 'n1', 'n2']],
    ['since:2026-11-26', ['n2']],
  ] as const) {
    const scene = await numbered(t, {
      pop3: { mails: letters(6), capabilities: capabilities.withoutTop },
      account: { keep: 'forever', firstRun: 'new-only' },
    });
    const { pop3, smtp, bench } = scene;
    await quiet(scene);
    pop3.mails.splice(0, 2);
    pop3.mails.push(letter('n1'), letter('n2'));
    await bench.fetch();
    await waitFor('the question', () => bench.status()[0]?.paused);
    assert.match(
      bench.status()[0]?.problem ?? '',
      /paused, the provider gives known UIDLs to other mails, .* 5 mails .*`mailferry confirm info since:YYYY-MM-DD`/,
    );
    const before = delivered(smtp);
    await bench.confirm('info', answer);
    await quiet(scene);
    assert.deepEqual(before, [], 'nothing is delivered before');
    // The last one, m5, was noted at the first run: it is known, and what stands at its place is not.
    assert.deepEqual(delivered(smtp), expected, answer);
    await bench.stop();
  }
});

test('an empty listing of a confused provider costs looks, and no second delivery', async (t) => {
  const scene = await setScene(t, { pop3: { mails: letters(60) }, account: { keep: 'forever' } });
  const { pop3, smtp } = scene;
  await quiet(scene);
  const all = pop3.mails.splice(0);
  await scene.bench.fetch();
  pop3.mails.push(...all);
  const read = count(pop3.commands, /^RETR/);
  await quiet(scene);
  assert.deepEqual([smtp.mails.length, count(pop3.commands, /^RETR/) - read], [60, 0]);
});

/** How UIDLs come about; `mail.uid` is what the test knows a mail by. */
const manners = {
  numbers: (mails: readonly ScriptedMail[]) => mails.map((_, index) => String(index + 1)),
  'begins anew': (mails: readonly ScriptedMail[], session: number) =>
    mails.map((_, index) => String(index + 1 + 3 * Math.floor(session / 5))),
  'other names each time': (mails: readonly ScriptedMail[], session: number) =>
    mails.map((_, index) => session + '-' + index),
  'one name for all': (mails: readonly ScriptedMail[]) => mails.map(() => 'same'),
  'one of two names': (mails: readonly ScriptedMail[], session: number) =>
    mails.map((_, index) => 'name-' + ((index + Math.floor(session / 3)) % 2)),
  good: (mails: readonly ScriptedMail[]) => mails.map(({ uid }) => uid),
} as const;

for (const [manner, nameAll] of Object.entries(manners)) {
  test('random days at a provider of this manner: ' + manner, { timeout: 120_000 }, async (t) => {
    for (let seed = 1; seed <= 4; seed += 1) {
      const equal = seed % 4 < 2 && manner !== 'begins anew';
      await liveThrough(t, { seed, nameAll, top: seed % 2 === 0, equal, calm: seed < 3 });
    }
  });
}

const subjectOf = ({ bytes }: ScriptedMail): string => /Subject: (.*)\r\n/.exec(bytes.toString())?.[1] ?? '';

/** Mails come, some twice with the same bytes, people delete some, days pass; lines break, the agent is started anew. */
async function liveThrough(
  t: TestContext,
  facts: {
    readonly seed: number;
    readonly nameAll: (mails: readonly ScriptedMail[], session: number) => readonly string[];
    readonly top: boolean;
    /** All mails have one size. */
    readonly equal: boolean;
    /** No line breaks, nothing is refused, the agent lives on. */
    readonly calm: boolean;
  },
): Promise<void> {
  const random = seeded(facts.seed);
  const below = (n: number): number => Math.floor(random() * n);
  let session = 0;
  let over = false;
  const scene = await setScene(t, {
    pop3: {
      capabilities: facts.top ? capabilities.withTop : capabilities.withoutTop,
      script: ({ verb }) => {
        if (verb === 'PASS') session += 1;
        if (!facts.calm && !over && /RETR|TOP|DELE|QUIT/.test(verb) && below(25) === 0) return { end: 'reset' };
        if (verb !== 'UIDL') return undefined;
        const names = facts.nameAll(scene.pop3.mails, session);
        return ['+OK', ...names.map((name, index) => index + 1 + ' ' + name), '.', ''].join('\r\n');
      },
    },
    smtp: {
      script: ({ verb }) => (verb === 'body' && !facts.calm && below(12) === 0 ? '451 4.3.0 later\r\n' : undefined),
    },
    account: { keep: { days: 2 } },
  });
  const { lab, pop3, smtp } = scene;
  let { bench } = scene;
  let days = 0;
  const passDay = (): void => {
    days += 1;
    bench.passDays(1);
  };
  const startAnew = async (): Promise<void> => {
    await bench.stop();
    bench = await createBench(t, lab, {
      accounts: [{ endpoint: { host: pop3.host, port: pop3.port, tls: 'none' }, keep: { days: 2 } }],
      local: { host: smtp.host, port: smtp.port, tls: 'none' },
    });
    bench.passDays(days);
  };
  const came = new Map<string, number>();
  const deleted = new Set<string>();
  const subjects = new Map<string, string>();
  let serial = 0;
  for (let round = 0; round < 14; round += 1) {
    for (let n = below(4); n > 0; n -= 1) {
      serial += 1;
      // One that was deleted and that comes again, to the byte, would be taken for a mail that was moved.
      const one = below(6) === 0 ? pop3.mails[below(pop3.mails.length)] : undefined;
      const twin = one !== undefined && !deleted.has(subjectOf(one)) ? one : undefined;
      const name = 'm' + serial;
      const fresh = twin ?? letter(name.padEnd(5, '_'), facts.equal ? 'x\r\n' : 'x'.repeat(serial * 7) + '\r\n');
      pop3.mails.push({ ...fresh, uid: name });
      const subject = subjectOf(fresh);
      subjects.set(name, subject);
      came.set(subject, (came.get(subject) ?? 0) + 1);
    }
    await quiet({ bench });
    for (const uid of pop3.deleted) deleted.add(subjects.get(uid) ?? '');
    const found = new Map<string, number>();
    for (const subject of delivered(smtp)) found.set(subject, (found.get(subject) ?? 0) + 1);
    const where = JSON.stringify({ ...facts, round });
    assert.deepEqual(
      Object.fromEntries(found),
      Object.fromEntries([...came].sort(([a], [b]) => (a < b ? -1 : 1))),
      where,
    );
    // Somebody deletes what has arrived.
    if (below(2) === 0 && pop3.mails.length > 0)
      for (const one of pop3.mails.splice(below(pop3.mails.length), 1 + below(2))) deleted.add(subjectOf(one));
    if (below(3) === 0) passDay();
    if (!facts.calm && below(3) === 0) await startAnew();
  }
  over = true;
  for (let day = 0; day < 5; day += 1) {
    passDay();
    await quiet({ bench });
  }
  assert.deepEqual(left(pop3), [], 'nothing is left for ever');
  await bench.stop();
  await pop3.close();
}
