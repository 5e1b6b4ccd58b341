// Against a real OAuth2 server (oidc-provider) on loopback.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { systemClock } from '#shared/clock.ts';
import { UserError } from '#shared/failure.ts';
import { createLog } from '#shared/log.ts';
import { LoginError } from '../../../agent/accounts/login-error.ts';
import { createTokenSource } from '../../../agent/accounts/oauth.ts';
import type { SecretSource } from '../../../agent/accounts/secret.ts';
import { refreshTokens } from '../../../agent/accounts/token-endpoint.ts';
import { createLab } from '../../lab/lab.ts';
import { startAuthorizationServer } from './authorization-server.ts';
import type { AuthorizationServer } from './authorization-server.ts';

const signal = new AbortController().signal;
const log = createLog({ level: 'silent', name: 'test' });

type Bench = {
  readonly server: AuthorizationServer;
  readonly source: SecretSource;
  readonly file: { text: string; writable: boolean; readable: boolean; readonly written: string[] };
  readonly passSeconds: (seconds: number) => void;
};

async function bench(
  t: TestContext,
  options: { readonly env?: boolean; readonly secret?: string } = {},
): Promise<Bench> {
  const server = await startAuthorizationServer(t, 'info@provider.test');
  const file = { text: await server.issue(), writable: true, readable: true, written: [] as string[] };
  let offset = 0;
  const write = async (token: string): Promise<void> => {
    if (!file.writable) throw Object.assign(new Error('disk full'), { code: 'ENOSPC' });
    // Nobody may have got the access token before its refresh token is on disk.
    await new Promise((resolve) => setImmediate(resolve));
    file.text = token;
    file.written.push(token);
  };
  const source = createTokenSource({
    account: 'info',
    client: () => ({ ...server.client, clientSecret: options.secret ?? 'client-secret' }),
    read: () => {
      if (!file.readable) throw new UserError('no such file');
      return file.text;
    },
    write: options.env === true ? undefined : write,
    clock: { ...systemClock, monotonic: () => performance.now() + offset },
    log,
  });
  return { server, source, file, passSeconds: (seconds) => void (offset += seconds * 1_000) };
}

async function token(source: SecretSource): Promise<string> {
  const secret = await source.read(signal);
  assert.ok(secret.kind === 'token');
  return secret.token;
}

const refusedWith = (refused: boolean, pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof LoginError, String(error));
  assert.equal(error.refused, refused);
  assert.match(error.message, pattern);
  assert.doesNotMatch(String(error.stack), /client-secret/);
  return true;
};

test('an access token is used until shortly before it expires, then a new one is fetched', async (t) => {
  const { server, source, passSeconds } = await bench(t);
  const first = await token(source);
  passSeconds(3_500);
  assert.equal(await token(source), first);
  passSeconds(45);
  assert.notEqual(await token(source), first);
  assert.deepEqual(server.answers, ['ok', 'ok']);
});

test('a token that lives for a few seconds is still used', async (t) => {
  const { server, source, passSeconds } = await bench(t);
  server.lifeSeconds = 10;
  const first = await token(source);
  passSeconds(4);
  assert.equal(await token(source), first);
  passSeconds(2);
  assert.notEqual(await token(source), first);
});

test('a replaced refresh token is on disk before the access token is given, and is the next one shown', async (t) => {
  const { server, source, file, passSeconds } = await bench(t);
  const old = file.text;
  await token(source);
  assert.equal(file.written.length, 1);
  assert.notEqual(file.text, old);
  assert.equal(source.changed(), false, 'our own writing is no change');
  assert.equal(source.generation(), 1);
  passSeconds(4_000);
  await token(source);
  assert.deepEqual(server.answers, ['ok', 'ok']);
});

test('many readers at once cause one refresh', async (t) => {
  const { server, source } = await bench(t);
  const gate = Promise.withResolvers<void>();
  server.gate = gate.promise;
  const reading = Array.from({ length: 5 }, () => token(source));
  gate.resolve();
  const tokens = await Promise.all(reading);
  assert.equal(new Set(tokens).size, 1);
  assert.deepEqual(server.answers, ['ok']);
});

test('invalid_grant is a refusal, and a refused refresh token is not shown again until there is another', async (t) => {
  const { server, source, file } = await bench(t);
  const good = file.text;
  file.text = 'revoked-token';
  for (let n = 0; n < 3; n += 1)
    await assert.rejects(source.read(signal), refusedWith(true, /invalid_grant \(HTTP 400\).*log in again/));
  assert.deepEqual(server.answers, ['invalid_grant']);
  assert.equal(source.changed(), false);
  file.text = good;
  assert.equal(source.changed(), true);
  await token(source);
  assert.deepEqual([source.generation(), server.answers.at(-1)], [2, 'ok']);
});

test('a client that is not accepted is a refusal', async (t) => {
  const { source } = await bench(t, { secret: 'wrong' });
  await assert.rejects(source.read(signal), refusedWith(true, /invalid_client/));
});

test('a server in trouble is no refusal, and is asked again', async (t) => {
  const { server, source } = await bench(t);
  const troubles = [
    [
      { status: 503, body: '{"error":"temporarily_unavailable"}' },
      /: it answered HTTP 503, expected tokens; will be tried again/,
    ],
    [{ status: 502, body: '<html>bad gateway</html>', type: 'text/html' }, /Cannot get an access token/],
    [{ status: 200, body: 'nonsense' }, /Cannot get an access token/],
    [
      { status: 200, body: '{"access_token":"' + 'x'.repeat(70_000) + '","token_type":"bearer"}' },
      /more than 65536 bytes/,
    ],
    [{ status: 302, body: '' }, /Cannot get an access token/],
  ] as const;
  for (const [trouble, pattern] of troubles) {
    server.trouble = trouble;
    await assert.rejects(source.read(signal), refusedWith(false, pattern));
  }
  server.trouble = undefined;
  await token(source);
});

test('a redirect is not followed: the request holds secrets', async (t) => {
  const { server, source } = await bench(t);
  const elsewhere = await startAuthorizationServer(t, 'info@provider.test');
  elsewhere.trouble = { status: 200, body: '{"access_token":"stolen","token_type":"bearer"}' };
  server.trouble = { status: 307, body: '', location: elsewhere.client.tokenUrl };
  await assert.rejects(source.read(signal), refusedWith(false, /HTTP 307/));
  assert.deepEqual(elsewhere.answers, []);
});

test('a server that nobody reaches, and a stop, are no refusals', async (t) => {
  const { server, source } = await bench(t);
  server.gate = new Promise(() => {});
  const stop = new AbortController();
  const reading = source.read(stop.signal);
  stop.abort();
  await assert.rejects(reading, refusedWith(false, /Cannot get an access token/));
});

test('a full disk does not lose the new refresh token: it is kept, used, and written later', async (t) => {
  const { server, source, file, passSeconds } = await bench(t);
  file.writable = false;
  await token(source);
  assert.deepEqual(file.written, []);
  passSeconds(4_000);
  await token(source);
  assert.deepEqual(server.answers, ['ok', 'ok'], 'the old token was not shown again');
  file.writable = true;
  passSeconds(4_000);
  server.trouble = { status: 503, body: '' };
  await assert.rejects(source.read(signal));
  assert.equal(file.written.length, 1, 'written before anything new is asked for');
  server.trouble = undefined;
  await token(source);
  assert.equal(file.written.at(-1), file.text);
  assert.equal(source.changed(), false);
});

test('a refresh token from the environment is kept in memory when it is replaced', async (t) => {
  const { server, source, passSeconds } = await bench(t, { env: true });
  await token(source);
  passSeconds(4_000);
  await token(source);
  assert.deepEqual(server.answers, ['ok', 'ok']);
});

test('a token that the mail server refused is not given again', async (t) => {
  const { server, source } = await bench(t);
  const first = await token(source);
  source.refused();
  assert.notEqual(await token(source), first);
  assert.deepEqual(server.answers, ['ok', 'ok']);
});

test('a new login by hand replaces the cached access token', async (t) => {
  const { server, source, file } = await bench(t);
  const first = await token(source);
  file.text = await server.issue();
  assert.notEqual(await token(source), first);
  assert.equal(source.generation(), 2);
});

test('a file that cannot be read is no refusal', async (t) => {
  const { server, source, file } = await bench(t);
  file.readable = false;
  await assert.rejects(source.read(signal), refusedWith(false, /no such file/));
  assert.deepEqual(server.answers, []);
});

test('a token server whose certificate nobody public signed is believed by its own authority alone', async (t) => {
  const { keyFile, certFile, ca } = await createLab(t).certificate();
  const tls = { key: readFileSync(keyFile, 'utf8'), cert: readFileSync(certFile, 'utf8') };
  const server = await startAuthorizationServer(t, 'info@provider.test', tls);
  const refreshToken = await server.issue();
  await assert.rejects(refreshTokens(server.client, refreshToken, signal), (error: unknown) => {
    assert.ok(error instanceof LoginError && !error.refused);
    assert.match(error.message, /^Cannot get an access token from 127\.0\.0\.1:\d+: .*certificate/);
    return true;
  });
  assert.deepEqual(server.answers, [], 'the refresh token was not sent');
  const tokens = await refreshTokens({ ...server.client, ca }, refreshToken, signal);
  assert.ok(tokens.accessToken.length > 20);
});
