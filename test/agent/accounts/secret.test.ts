import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { UserError } from '#shared/failure.ts';
import { LoginError } from '../../../agent/accounts/login-error.ts';
import { passwordSource } from '../../../agent/accounts/secret.ts';
import { writeSecretFile } from '../../../agent/accounts/secret-file.ts';

const signal = new AbortController().signal;

function tempFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'mf-secret-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test('the password is read before each login, and a change shows at once', async () => {
  let stored = 'one';
  const source = passwordSource(() => stored);
  assert.deepEqual(await source.read(signal), { kind: 'password', password: 'one' });
  assert.deepEqual([source.generation(), source.changed()], [1, false]);
  await source.read(signal);
  assert.equal(source.generation(), 1);
  stored = 'two';
  assert.deepEqual([source.generation(), source.changed()], [1, true]);
  assert.deepEqual(await source.read(signal), { kind: 'password', password: 'two' });
  assert.deepEqual([source.generation(), source.changed()], [2, false]);
});

test('a password that cannot be read is no refusal and no change', async () => {
  let broken = false;
  const source = passwordSource(() => {
    if (broken) throw new UserError('agent.yaml:4: found no file');
    return 'one';
  });
  await source.read(signal);
  broken = true;
  assert.equal(source.changed(), false);
  await assert.rejects(
    source.read(signal),
    (error: unknown) => error instanceof LoginError && !error.refused && /agent\.yaml:4/.test(error.message),
  );
});

test('a secret file is replaced as a whole, for its owner alone, and nothing is left over', async (t) => {
  const folder = tempFolder(t);
  const file = join(folder, 'token');
  writeFileSync(file, 'old\n', { mode: 0o644 });
  await writeSecretFile(file, 'new');
  assert.equal(readFileSync(file, 'utf8'), 'new\n');
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(folder), ['token']);
});

test('a secret file that cannot be replaced stays as it is', async (t) => {
  const folder = tempFolder(t);
  mkdirSync(join(folder, 'token', 'inside'), { recursive: true }); // a folder where the file should be
  await assert.rejects(writeSecretFile(join(folder, 'token'), 'new'));
  assert.deepEqual(readdirSync(folder), ['token']);
  await assert.rejects(writeSecretFile(join(folder, 'missing', 'token'), 'new'), /ENOENT/);
});
