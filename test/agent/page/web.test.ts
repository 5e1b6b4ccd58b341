// Who may ask the page what, and what every answer says; without a browser, so that a bad client can be played.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { commandSpecs } from '../../../agent/control/commands.ts';
import { isHash } from '../../../agent/users/password-hash.ts';
import { UserError } from '#shared/failure.ts';
import { waitFor } from '../../lab/wait.ts';
import { sampleHeld, sampleMail, sampleQueue } from '../control/sample.ts';
import { openSite } from './page-site.ts';

const pages = ['/', '/mailboxes', '/mailboxes/+', '/mailboxes/info', '/sending', '/sending/+', '/local', '/queue'];
const more = ['/quarantine', '/log', '/log?all=1', '/commands', '/commands/queue%20list', '/settings'];

test('without a session there is the login and nothing else', async (t) => {
  const { ask } = await openSite(t);
  for (const path of [...pages, ...more, '/quarantine/info-12/mail.eml', '/nothing']) {
    const { status, headers, body } = await ask('GET', path);
    assert.deepEqual([path, status, body], [path, 303, '']);
    assert.match(String(headers.location), /^\/login\?to=/);
  }
  for (const path of ['/fetch', '/adopt', '/local', '/queue/flush', '/users/add', '/settings/password', '/logout'])
    assert.equal((await ask('POST', path, { body: 'token=x' })).status, 303, path);
  const { cookie } = { cookie: '__Host-mailferry=' + 'a'.repeat(43) };
  assert.equal((await ask('GET', '/', { headers: { cookie } })).status, 303);
});

test('every page says what a browser must not do with it', async (t) => {
  const { ask, logIn } = await openSite(t);
  const { answer, get } = await logIn();
  const [cookie = ''] = answer.headers['set-cookie'] ?? [];
  assert.match(cookie, /^__Host-mailferry=[\w-]{43}; Path=\/; Secure; HttpOnly; SameSite=Strict$/);
  for (const page of [
    await ask('GET', '/login'),
    await ask('GET', '/nothing'),
    await get('/'),
    await ask('PUT', '/'),
  ]) {
    const { headers } = page;
    assert.match(
      String(headers['content-security-policy']),
      /^default-src 'none'; style-src 'self'; script-src 'self';/,
    );
    assert.match(String(headers['content-security-policy']), /frame-ancestors 'none'/);
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.equal(headers['cache-control'], 'no-store');
    assert.equal(headers['strict-transport-security'], undefined, 'it would count for all of the NAS, DSM included');
  }
  for (const path of [...pages, ...more]) {
    const { status, body } = await get(path);
    assert.equal(status, 200, path);
    assert.doesNotMatch(body, /<script>|style="| on[a-z]+="|javascript:/, path + ' has nothing inline');
    assert.doesNotMatch(body, /undefined|\[object|NaN/, path);
  }
});

test('what changes something needs the token of the session and comes from a page of ours', async (t) => {
  const { ask, logIn, applied, file } = await openSite(t);
  const { post, cookie, token } = await logIn();
  const before = readFileSync(file, 'utf8');
  const form = { domains: 'example.org example.net', action: 'save' };
  assert.equal((await ask('POST', '/local', { headers: { cookie }, body: 'action=save' })).status, 403);
  assert.equal((await post('/local', { ...form, token: token.slice(1) + 'x' })).status, 403);
  const { token: other } = await logIn();
  assert.equal((await post('/local', { ...form, token: other })).status, 403, 'the token of another session');
  for (const headers of [
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
  ])
    assert.equal((await post('/local', form, headers)).status, 403, JSON.stringify(headers));
  assert.equal((await post('/login', { password: 'a good password' }, { origin: 'https://evil.example' })).status, 403);
  assert.deepEqual([readFileSync(file, 'utf8'), applied()], [before, 0]);
  assert.equal(
    (await post('/local', form, { host: 'nas', origin: 'https://nas', 'sec-fetch-site': 'same-origin' })).status,
    303,
  );
  assert.match(readFileSync(file, 'utf8'), /domains: \[example\.org, example\.net\]/);
  assert.equal(applied(), 1);
});

test('a guessed password costs time, then the door is closed for a while, and says so', async (t) => {
  const { ask, clock, logIn, storedPassword, work } = await openSite(t);
  const attempt = async (password: string) => {
    const answer = ask('POST', '/login', { body: new URLSearchParams({ password }).toString() });
    let over = false;
    void answer.finally(() => (over = true));
    await waitFor('the wrong password to be held back', () => over || clock.sleepers() > 0);
    await clock.advance(5_000);
    return answer;
  };
  const started = clock.monotonic();
  for (let n = 0; n < 5; n += 1) assert.equal((await attempt('guess ' + n)).status, 401);
  assert.ok(clock.monotonic() > started);
  const closed = await attempt('a good password');
  assert.equal(closed.status, 429, 'not even the right one is looked at');
  assert.equal(closed.headers['set-cookie'], undefined);
  await clock.advance(120_000);
  assert.equal((await logIn()).answer.status, 303);
  assert.equal(work.fingerprint(), 'AA:BB');
  assert.equal(storedPassword(), 'a good password', 'nothing but seal() and change() writes');
});

test('a session ends: by the log out, unused, when it is old, and when the password is changed elsewhere', async (t) => {
  const { clock, logIn, ask, storedPassword } = await openSite(t);
  const minute = 60_000;
  const first = await logIn();
  assert.equal((await first.post('/logout')).status, 303);
  assert.equal((await first.get('/')).status, 303);
  const idle = await logIn();
  await clock.advance(29 * minute);
  assert.equal((await idle.get('/')).status, 200);
  await clock.advance(29 * minute);
  const looked = await ask('GET', '/', { headers: { cookie: idle.cookie, 'x-part': '1' } });
  assert.equal(looked.status, 200);
  await clock.advance(2 * minute);
  assert.equal((await idle.get('/')).status, 303, 'a page that looks by itself keeps no session alive');
  const old = await logIn();
  for (let n = 0; n < 36; n += 1) {
    await clock.advance(20 * minute);
    assert.equal((await old.get('/')).status, 200);
  }
  await clock.advance(minute);
  assert.equal((await old.get('/')).status, 303);
  const [here, there] = [await logIn(), await logIn()];
  const change = (form: Readonly<Record<string, string>>) => here.post('/settings/password', form);
  await change({ old: 'wrong', fresh: 'another password', again: 'another password' });
  assert.match((await here.get('/settings')).body, /the present one is wrong/);
  await change({ old: 'a good password', fresh: 'short', again: 'short' });
  assert.match((await here.get('/settings')).body, /expected at least 10/);
  await change({ old: 'a good password', fresh: 'another password', again: 'another passwort' });
  assert.match((await here.get('/settings')).body, /typed differently/);
  assert.equal(storedPassword(), 'a good password');
  await change({ old: 'a good password', fresh: 'another password', again: 'another password' });
  assert.ok(isHash(storedPassword()));
  assert.deepEqual([(await here.get('/')).status, (await there.get('/')).status], [200, 303]);
  assert.equal((await logIn('another password')).answer.status, 303);
});

test('a stored password goes to no other server, and as no other user, than it was stored for', async (t) => {
  const { logIn, tried, file } = await openSite(t);
  const { post } = await logIn();
  const same = {
    preset: 'gmx',
    host: '',
    port: '',
    tls: '',
    user: 'info@example.org',
    recipients: 'info@example.org',
    delivery: 'recipients',
    keep: 'days',
  };
  const elsewhere = [
    { host: 'evil.example' },
    { user: 'other' },
    { preset: '', host: 'pop.gmx.net' },
    { port: '9950' },
    { tls: 'none' },
  ];
  for (const change of elsewhere) {
    for (const action of ['login', 'save']) {
      const { body, status } = await post('/mailboxes/info', { ...same, ...change, action });
      assert.match(body, /Server or login name are others than before/, JSON.stringify(change));
      assert.equal(status, action === 'save' ? 422 : 200);
    }
  }
  assert.equal(tried.length, 0);
  assert.match(readFileSync(file, 'utf8'), /preset: gmx/);
  await post('/mailboxes/info', { ...same, action: 'login' });
  assert.deepEqual(
    [tried.length, tried[0]?.password, tried[0]?.entry['password']],
    [1, undefined, { file: 'info-password' }],
  );
  await post('/mailboxes/info', { ...same, host: 'pop.example.net', password: 'typed', action: 'login' });
  assert.deepEqual([tried.length, tried[1]?.password, tried[1]?.entry['host']], [2, 'typed', 'pop.example.net']);
  assert.equal(
    (await post('/mailboxes/info', { ...same, host: 'pop.example.net', password: 'typed', action: 'save' })).status,
    303,
  );
  assert.match(readFileSync(file, 'utf8'), /host: pop\.example\.net/);
  assert.equal(readFileSync(join(file, '..', 'info-password'), 'utf8'), 'typed\n');
});

test('what the page does not know of an entry stays: options without a field, comments', async (t) => {
  const { logIn, file } = await openSite(t);
  const { get, post } = await logIn();
  const { body } = await get('/mailboxes/info');
  const version = /name="version" value="(\w+)"/.exec(body)?.[1] ?? '';
  const form = {
    version,
    preset: 'gmx',
    user: 'info@example.org',
    recipients: 'info@example.org',
    delivery: 'recipients',
    keep: 'days',
    keepDays: '30',
    action: 'save',
  };
  assert.equal((await post('/mailboxes/info', form)).status, 303);
  const text = readFileSync(file, 'utf8');
  assert.match(text, /pins: \['sha256\/A+='\] {3}# not on the page/);
  assert.match(text, /keep: \{days: 30\}/);
  assert.match(text, /local: \{domains: \[example\.org\]\} {3}# ours/);
  assert.equal((await post('/mailboxes/info', { ...form, keepDays: '31' })).status, 409, 'the file has changed since');
  assert.match(readFileSync(file, 'utf8'), /days: 30/);
  assert.equal((await post('/mailboxes/info/remove')).status, 303);
  const { accounts } = parse(readFileSync(file, 'utf8')) as { readonly accounts?: readonly unknown[] };
  assert.equal(accounts, undefined);
  assert.equal((await get('/mailboxes/info')).status, 404);
});

test('a change that the running agent cannot use is taken back, so that it can start again', async (t) => {
  let reloads = 0;
  const reload = async () => {
    reloads += 1;
    if (reloads === 1) throw new UserError('Cannot listen on 127.0.0.1:1: EACCES');
    return { changes: [], reopened: [], restart: ['page.port', 'report.url'] };
  };
  const { logIn, file, folder } = await openSite(t, { commands: { reload } });
  const { get, post } = await logIn();
  const before = readFileSync(file, 'utf8');
  const form = {
    preset: 'gmx',
    user: 'info@example.org',
    recipients: 'info@example.org',
    delivery: 'recipients',
    keep: 'none',
    password: 'typed',
    action: 'save',
  };
  const { status, body } = await post('/mailboxes/info', form);
  assert.equal(status, 409);
  assert.match(body, /Not saved, the agent cannot use it: Cannot listen on 127\.0\.0\.1:1/);
  assert.equal(readFileSync(file, 'utf8'), before);
  assert.equal(readFileSync(join(folder, 'info-password'), 'utf8'), 'stored secret\n');
  assert.equal(reloads, 2);
  assert.equal((await post('/mailboxes/info', form)).status, 303);
  assert.match((await get('/')).body, /At the next start of the agent these count: report\.url</);
  assert.match(readFileSync(file, 'utf8'), /keep: none/);
});

test('a new mailbox needs a password and the answer to what becomes of the mails that are there', async (t) => {
  const { logIn, file, folder } = await openSite(t);
  const { post } = await logIn();
  const form = {
    id: 'sales',
    preset: 'posteo',
    user: 'sales@example.org',
    recipients: 'sales@example.com',
    delivery: 'recipients',
    keep: 'days',
    action: 'save',
  };
  const wrong = await post('/mailboxes/+', form);
  assert.equal(wrong.status, 422);
  assert.match(wrong.body, /Please choose: nobody but you can know/);
  assert.match(wrong.body, /found &quot;sales@example\.com&quot;, expected an address in a domain of local\.domains/);
  const checked = await post('/mailboxes/+', { ...form, action: 'check' }, { 'sec-fetch-dest': 'empty' });
  const { fields } = JSON.parse(checked.body) as {
    readonly fields: Readonly<Record<string, { readonly level: string }>>;
  };
  assert.deepEqual(Object.keys(fields).sort(), ['firstRun', 'password', 'recipients']);
  const asked = await post('/mailboxes/+', { ...form, recipients: 'sales@example.org', firstRun: 'all' });
  assert.match(asked.body, /Please type the password/);
  const typed = {
    ...form,
    recipients: 'sales@example.org info@example.org',
    firstRun: 'since',
    firstRunSince: '2026-11-01',
    password: 's3cret <&>',
  };
  assert.equal((await post('/mailboxes/+', typed)).status, 303);
  assert.doesNotMatch(readFileSync(file, 'utf8'), /s3cret/);
  assert.equal(readFileSync(join(folder, 'secrets', 'mailbox-sales'), 'utf8'), 's3cret <&>\n');
  const { accounts } = parse(readFileSync(file, 'utf8')) as { readonly accounts: readonly unknown[] };
  assert.deepEqual(accounts[1], {
    id: 'sales',
    preset: 'posteo',
    user: 'sales@example.org',
    recipients: ['sales@example.org', 'info@example.org'],
    firstRun: { since: '2026-11-01' },
    password: { file: 'secrets/mailbox-sales' },
  });
});

test('hostile words of strangers are text: in the list, on the page of the mail, in the log', async (t) => {
  const hostile = '<script>alert(1)</script>"\'><img src=x onerror=alert(1)>';
  const mail = { ...sampleMail, from: hostile, problem: hostile };
  const { logIn, folder } = await openSite(t, { commands: { queueList: () => [mail], queueShow: () => mail } });
  const { get } = await logIn();
  for (const path of ['/queue', '/queue/abc1', '/log']) {
    const { body } = await get(path);
    assert.doesNotMatch(body, /<script>|<img src=x|<b>bold/, path);
  }
  writeFileSync(join(folder, 'held.eml'), hostile);
  const file = await get('/quarantine/info-12/mail.eml');
  assert.equal(file.body, hostile);
  assert.equal(file.headers['content-type'], 'application/octet-stream');
  assert.equal(file.headers['content-disposition'], 'attachment; filename="info-12.eml"');
});

test('every command of the table can be run from the page, with its arguments checked', async (t) => {
  const asked: string[] = [];
  const { logIn } = await openSite(t, {
    commands: {
      fetch: async (account) => {
        asked.push('fetch ' + String(account));
        return [];
      },
      queue: () => ({ ...sampleQueue, flush: () => ({ mails: 3 }) }),
    },
  });
  const { get, post } = await logIn();
  const { body: list } = await get('/commands');
  for (const name of Object.keys(commandSpecs)) {
    assert.ok(list.includes('href="/commands/' + encodeURIComponent(name) + '"'), name);
    assert.equal((await get('/commands/' + encodeURIComponent(name))).status, 200, name);
  }
  const listed = await post('/commands/queue%20list');
  assert.match(listed.body, /id="answer"[\s\S]*a@example\.net/);
  const refused = await post('/commands/fetch', { 'argument-account': 'inf' });
  assert.equal(refused.status, 422);
  assert.match(
    refused.body,
    /Cannot fetch account &quot;inf&quot;: unknown, expected info \(the nearest known account\)/,
  );
  await post('/commands/fetch', { 'argument-account': 'info' });
  assert.deepEqual(asked, ['fetch info']);
  assert.match((await post('/commands/queue%20flush')).body, /3/);
  assert.equal((await get('/commands/none')).status, 404);
  await post('/queue/abc1/retry');
  assert.match((await get('/queue/abc1')).body, /It may have arrived before at: b@example\.net/);
});

test('users of submission are added, get another password and go; a password is shown once', async (t) => {
  const { logIn, work, file } = await openSite(t);
  const { get, post } = await logIn();
  writeFileSync(
    file,
    readFileSync(file, 'utf8') +
      'relays: [{id: r, host: smtp.example.net, user: u, password: {env: X}}]\nsubmission: {port: 2600}\n',
  );
  const shown = await post('/users/dialog');
  const password = /id="made">([^<]+)</.exec(shown.body)?.[1] ?? '';
  assert.match(password, /^(?:[a-z2-9]{5}-){3}[a-z2-9]{5}$/);
  assert.match(shown.body, /2600[\s\S]*relay-dialog[\s\S]*@example\.org/);
  assert.ok(!readFileSync(work.usersFile, 'utf8').includes(password));
  for (const [form, problem] of [
    [{ name: 'relay-dialog', senders: '@example.org' }, /there is a user of that name/],
    [{ name: 'two words', senders: '@example.org' }, /without blanks/],
    [{ name: 'printer', senders: 'nonsense' }, /must be addresses/],
    [{ name: 'printer', senders: '' }, /must be addresses/],
  ] as const) {
    await post('/users/add', form);
    assert.match((await get('/sending')).body, problem);
  }
  assert.equal((await post('/users/add', { name: 'printer', senders: 'printer@example.org' })).status, 200);
  const other = await post('/users/password', { name: 'printer' });
  assert.match(other.body, /id="made">/);
  await post('/users/remove', { name: 'relay-dialog' });
  const { users } = JSON.parse(readFileSync(work.usersFile, 'utf8')) as { readonly users: readonly { name: string }[] };
  assert.deepEqual(
    users.map(({ name }) => name),
    ['printer'],
  );
});

test('the doctor is shown as a table, the file for helpers is downloaded, and both ask for the token', async (t) => {
  const finding = {
    check: 'mailbox <info>',
    place: 'agent.yaml:6',
    found: 'refused',
    expected: 'a login',
    remedy: 'look',
  };
  const report = JSON.stringify({
    ok: false,
    findings: [
      { ...finding, level: 'error' },
      { ...finding, level: 'note' },
    ],
  });
  const asked: string[] = [];
  const { logIn, ask } = await openSite(t, {
    work: {
      commandLine: async (args) => {
        asked.push(args.join(' '));
        return { code: 1, out: args[0] === 'doctor' ? report : 'the bundle' };
      },
    },
  });
  const { post, cookie } = await logIn();
  for (const path of ['/doctor', '/support'])
    assert.equal((await ask('POST', path, { headers: { cookie } })).status, 403);
  assert.deepEqual(asked, []);
  const { body } = await post('/doctor');
  assert.match(
    body,
    /mailbox &lt;info&gt;[\s\S]*light error[\s\S]*refused[\s\S]*a login[\s\S]*look[\s\S]*agent\.yaml:6/,
  );
  const file = await post('/support');
  assert.deepEqual([file.body, file.headers['content-type']], ['the bundle', 'application/octet-stream']);
  assert.deepEqual(asked, ['doctor --json', 'support-bundle --out -']);
});

test('a body that is too large, of another kind, or a broken address is refused with a word', async (t) => {
  const { ask, logIn } = await openSite(t);
  const { cookie } = await logIn();
  const send = (path: string, body: string, headers = {}) =>
    ask('POST', path, { headers: { cookie, ...headers }, body });
  assert.equal((await send('/local', 'x='.padEnd(70_000, 'y'))).status, 413);
  assert.equal((await send('/local', '{}', { 'content-type': 'application/json' })).status, 415);
  assert.equal((await ask('DELETE', '/local', { headers: { cookie } })).status, 405);
  assert.equal((await ask('GET', '/commands/%E0%A4%A', { headers: { cookie } })).status, 400);
  const { headers } = await ask('POST', '/login?to=//evil.example', { body: 'password=a+good+password' });
  assert.equal(headers.location, '/', 'never to another host');
});

test('the page speaks the language that was chosen, else that of the browser', async (t) => {
  const { ask } = await openSite(t);
  const of = async (headers: Readonly<Record<string, string>>) =>
    /<html lang="(\w+)">/.exec((await ask('GET', '/login', { headers })).body)?.[1];
  assert.equal(await of({ 'accept-language': 'de-AT,de;q=0.9,en;q=0.8' }), 'de');
  assert.equal(await of({ 'accept-language': 'fr,en;q=0.8,de;q=0.5' }), 'en');
  assert.equal(await of({}), 'en');
  const { headers } = await ask('GET', '/language?to=de&from=/queue');
  assert.equal(headers.location, '/queue');
  const cookie = String(headers['set-cookie']?.[0]).split(';')[0] ?? '';
  assert.equal(await of({ 'accept-language': 'en', cookie }), 'de');
  assert.equal(sampleHeld.id, 'info-12');
});
