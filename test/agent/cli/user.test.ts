// `mailferry user`: the file that it writes, and that no password stays anywhere.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { runCli } from '../../../agent/cli/program.ts';
import { isPassword } from '../../../agent/users/password-hash.ts';
import { readUsers } from '../../../agent/users/users-file.ts';

const config =
  'tenant: acme\nagent: nas-1\nstate: state\nlocal: {domains: [office.test, shop.test]}\n' +
  "relays: [{id: provider, host: relay.test, user: u, password: {env: HOME}}]\nsubmission: {port: 2526, users: [{name: fixed, password: {env: HOME}, senders: ['@office.test']}]}\n";

function startSite(t: TestContext, input = '') {
  const folder = mkdtempSync(join(tmpdir(), 'mf-user-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'agent.yaml'), config);
  mkdirSync(join(folder, 'state'));
  const file = join(folder, 'state', 'users.json');
  const run = async (...args: string[]) => {
    let out = '';
    let error = '';
    const code = await runCli(['user', ...args], {
      out: (text) => void (out += text),
      error: (text) => void (error += text),
      folder,
      now: () => 0,
      readInput: async () => input,
    });
    return { code, out, error };
  };
  return { run, file, folder };
}

const passwordIn = (out: string): string => /Its password, shown this once: (\S+)\n$/.exec(out)?.[1] ?? '';

test('add makes a password, shows it once, and keeps its hash alone', async (t) => {
  const { run, file, folder } = startSite(t);
  const { code, out } = await run('add', 'sales', 'sales@office.test', '@shop.test');
  assert.equal(code, 0);
  const password = passwordIn(out);
  assert.match(password, /^[a-z2-9]{5}(?:-[a-z2-9]{5}){3}$/);
  const [user] = await readUsers(file);
  assert.deepEqual([user?.name, user?.senders], ['sales', ['sales@office.test', '@shop.test']]);
  assert.equal(await isPassword(password, user?.hash ?? ''), true);
  assert.equal(await isPassword(password + 'x', user?.hash ?? ''), false);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(join(folder, 'state')), ['users.json'], 'no temporary file is left');
  assert.ok(!readFileSync(file, 'utf8').includes(password));
  const listed = await run('list');
  assert.equal(listed.out, 'sales  sales@office.test, @shop.test\n');
  assert.doesNotMatch((await run('list', '--json')).out, /scrypt/);
});

test('a password from standard input is taken as it is, and a short one refused', async (t) => {
  const site = startSite(t, 'ein langes Passwort\n');
  assert.equal((await site.run('add', 'scan', 'scan@office.test', '--password-stdin')).out.includes('Passwort'), false);
  assert.equal(await isPassword('ein langes Passwort', (await readUsers(site.file))[0]?.hash ?? ''), true);
  const short = startSite(t, 'short\n');
  const { code, error } = await short.run('add', 'scan', 'scan@office.test', '--password-stdin');
  assert.deepEqual(
    [code, error],
    [2, 'Cannot use the password: found 5 characters, expected one line of at least 10\n'],
  );
});

test('password and remove change just the one user', async (t) => {
  const { run, file } = startSite(t);
  const first = passwordIn((await run('add', 'a', 'a@office.test')).out);
  await run('add', 'b', 'b@office.test');
  const before = await readUsers(file);
  const second = passwordIn((await run('password', 'a')).out);
  assert.notEqual(first, second);
  const after = await readUsers(file);
  assert.equal(await isPassword(second, after[0]?.hash ?? ''), true);
  assert.deepEqual(after[1], before[1]);
  assert.equal((await run('remove', 'a')).code, 0);
  assert.deepEqual(
    (await readUsers(file)).map((user) => user.name),
    ['b'],
  );
  assert.equal((await run('remove', 'a')).error, 'Cannot remove user "a": unknown, expected one of b\n');
});

const refusals: readonly (readonly [string, readonly string[], RegExp])[] = [
  ['a name that is there', ['add', 'there', 'a@office.test'], /"there": it is there, expected a new name/],
  ['a name of the configuration', ['add', 'fixed', 'a@office.test'], /the configuration has one/],
  ['a sender that is none', ['add', 'x', 'office.test'], /sender "office\.test", expected an address, or @domain/],
  ['a name with a blank', ['add', 'x y', 'a@office.test'], /not a login name/],
  ['rewrite without an address', ['add', 'x', '@office.test', '--null-sender', 'rewrite'], /expected --rewrite-to/],
  [
    'rewrite to an address of somebody else',
    ['add', 'x', '@office.test', '--null-sender', 'rewrite', '--rewrite-to', 'a@world.test'],
    /--rewrite-to a@world\.test, expected an address of its senders/,
  ],
  ['a policy that is none', ['add', 'x', '@office.test', '--foreign-sender', 'yes'], /expected one of refuse, hold/],
];
for (const [name, args, expected] of refusals)
  test('add refuses ' + name, async (t) => {
    const { run, file } = startSite(t);
    await run('add', 'there', 'a@office.test');
    const before = readFileSync(file, 'utf8');
    const { code, error } = await run(...args);
    assert.equal(code, 2);
    assert.match(error, expected);
    assert.equal(readFileSync(file, 'utf8'), before);
  });

test('relay-dialog makes the account once, says what to fill in, and shows its password once', async (t) => {
  const { run, file } = startSite(t);
  const first = await run('relay-dialog', '--null-sender', 'rewrite', '--rewrite-to', 'office@office.test');
  assert.match(
    first.out,
    /^Server {13}127\.0\.0\.1\nPort {15}2526\nSecure connection {2}on \(STARTTLS\); off while submission\.tls is not set\nAuthentication {5}on\nAccount {12}relay-dialog\nPassword {11}(\S+)\n/,
  );
  const password = /Password +(\S+)\n/.exec(first.out)?.[1] ?? '';
  const [user] = await readUsers(file);
  assert.deepEqual(
    [user?.senders, user?.mailServer],
    [
      ['@office.test', '@shop.test'],
      { nullSender: 'rewrite', foreignSender: 'refuse', headerFrom: 'replace', rewriteTo: 'office@office.test' },
    ],
  );
  const again = await run('relay-dialog');
  assert.match(again.out, /as it was shown when it was made/);
  assert.equal(await isPassword(password, (await readUsers(file))[0]?.hash ?? ''), true, 'the old one still works');
  const renewed = /Password +(\S+)\n/.exec((await run('relay-dialog', '--renew')).out)?.[1] ?? '';
  const [after] = await readUsers(file);
  assert.deepEqual(
    [await isPassword(renewed, after?.hash ?? ''), await isPassword(password, after?.hash ?? '')],
    [true, false],
  );
  assert.deepEqual(after?.mailServer, user?.mailServer);
});

test('a file that is not ours is named and not overwritten', async (t) => {
  const { run, file } = startSite(t);
  for (const text of ['{', '{"v": 1, "users": [{"name": "x", "hash": "secret", "senders": ["@office.test"]}]}', '[]']) {
    writeFileSync(file, text);
    const { code, error } = await run('add', 'a', 'a@office.test');
    assert.equal(code, 2);
    assert.match(error, /^Cannot read .*users\.json: it is not as `mailferry user` writes it/);
    assert.equal(readFileSync(file, 'utf8'), text);
  }
});
