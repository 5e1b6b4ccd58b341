// `mailferry login` against a real OAuth2 server (oidc-provider) on loopback.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { systemClock } from '#shared/clock.ts';
import { runCli } from '../../../agent/cli/program.ts';
import { refreshTokens } from '../../../agent/accounts/token-endpoint.ts';
import { createLab } from '../../lab/lab.ts';
import { waitFor } from '../../lab/wait.ts';
import { startAuthorizationServer } from './authorization-server.ts';

type Site = {
  readonly folder: string;
  readonly login: (onCode?: (code: string) => Promise<void>, account?: string) => Promise<Ran>;
};
type Ran = { readonly code: number; readonly out: string; readonly error: string; readonly waits: readonly number[] };

function createSite(t: TestContext, account: string): Site {
  const folder = mkdtempSync(join(tmpdir(), 'mf-login-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'client'), 'client-secret\n');
  writeFileSync(
    join(folder, 'agent.yaml'),
    'tenant: acme\nagent: nas-1\nstate: state\nlocal: {domains: [example.org]}\naccounts:\n  - id: info\n' +
      '    host: 127.0.0.1\n    tls: none\n    user: info@provider.test\n    recipients: [info@example.org]\n' +
      account,
  );
  return {
    folder,
    async login(onCode = async () => {}, id = 'info') {
      let out = '';
      let error = '';
      const waits: number[] = [];
      let decided: Promise<void> | undefined;
      const code = await runCli(['login', id], {
        out(text) {
          out += text;
          const found = /and type (\S+)/.exec(text)?.[1];
          if (found !== undefined) decided = onCode(found);
        },
        error: (text) => void (error += text),
        folder,
        now: () => 0,
        clock: {
          ...systemClock,
          async sleep(ms) {
            waits.push(ms);
            // The person decides after the first question.
            if (waits.length > 1) await decided;
          },
        },
      });
      return { code, out, error, waits };
    },
  };
}

const options = (tokenUrl: string, deviceUrl: string | undefined, refreshToken = '{file: token}'): string =>
  '    oauth:\n      clientId: mailferry\n      clientSecret: {file: client}\n      scope: mail offline_access\n' +
  '      refreshToken: ' +
  refreshToken +
  '\n      tokenUrl: ' +
  tokenUrl +
  '\n' +
  (deviceUrl === undefined ? '' : '      deviceUrl: ' + deviceUrl + '\n');

test('login shows page and code, waits as it is told, and writes a refresh token that works', async (t) => {
  const server = await startAuthorizationServer(t, 'info@provider.test');
  const site = createSite(t, options(server.client.tokenUrl, server.client.deviceUrl));
  const gate = Promise.withResolvers<void>();
  const login = site.login(async (code) => {
    await gate.promise;
    await server.decide(code, true);
  });
  gate.resolve();
  const { code, out, error, waits } = await login;
  assert.deepEqual([code, error], [0, '']);
  assert.match(
    out,
    /^Open http:\/\/127\.0\.0\.1:\d+\/device\S*\nand type [A-Z]{4}-[A-Z]{4} \(within 10 min\)\nLogged in\. /,
  );
  assert.ok(waits.every((ms) => ms >= 5_000));
  const file = join(site.folder, 'token');
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const refreshToken = readFileSync(file, 'utf8').trimEnd();
  assert.ok(!out.includes(refreshToken));
  const tokens = await refreshTokens(server.client, refreshToken, new AbortController().signal);
  assert.ok(tokens.accessToken.length > 20);
});

test('a server whose certificate is signed by an authority of its own needs caFile', async (t) => {
  const { keyFile, certFile, caFile } = await createLab(t).certificate();
  const tls = { key: readFileSync(keyFile, 'utf8'), cert: readFileSync(certFile, 'utf8') };
  const server = await startAuthorizationServer(t, 'info@provider.test', tls);
  const given = options(server.client.tokenUrl, server.client.deviceUrl);
  const site = createSite(t, given + '      caFile: ' + caFile + '\n');
  const { code, error } = await site.login((userCode) => server.decide(userCode, true));
  assert.deepEqual([code, error], [0, '']);
  assert.ok(readFileSync(join(site.folder, 'token'), 'utf8').length > 20);
  const without = await createSite(t, given).login();
  assert.equal(without.code, 2);
  assert.match(without.error, /^Cannot begin the device login from 127\.0\.0\.1:\d+: .*certificate/);
  const missing = await createSite(t, given + '      caFile: nowhere.pem\n').login();
  assert.match(missing.error, /option accounts\[0\]\.oauth\.caFile: found .*nowhere\.pem which cannot be read/);
});

test('a person who says no, and a code that nobody knows, end the login with a line', async (t) => {
  const server = await startAuthorizationServer(t, 'info@provider.test');
  const site = createSite(t, options(server.client.tokenUrl, server.client.deviceUrl));
  const { code, error } = await site.login((userCode) => server.decide(userCode, false));
  assert.equal(code, 2);
  assert.match(error, /^Cannot finish the device login from 127\.0\.0\.1:\d+: it answered access_denied/);
  assert.equal(existsSync(join(site.folder, 'token')), false);
});

test('a server in trouble is asked again, slower each time', async (t) => {
  const server = await startAuthorizationServer(t, 'info@provider.test');
  const site = createSite(t, options(server.client.tokenUrl, server.client.deviceUrl));
  server.trouble = { status: 400, body: '{"error":"slow_down"}' };
  const { code, waits } = await site.login(async (userCode) => {
    await waitFor('the first question', () => server.answers.length > 0);
    await server.decide(userCode, true);
    server.trouble = undefined;
  });
  assert.equal(code, 0);
  assert.deepEqual(waits.slice(0, 2), [5_000, 10_000]);
});

test('what cannot work is refused with the option that is wrong', async (t) => {
  const url = 'http://127.0.0.1:9/token';
  const table: readonly (readonly [string, string, RegExp])[] = [
    [options(url, undefined), 'info', /option accounts\[0\]\.oauth\.deviceUrl: found nothing/],
    [options(url, url, '{env: TOKEN}'), 'info', /oauth\.refreshToken: found an environment variable/],
    ['    password: {env: P}\n', 'info', /accounts\[0\]\.oauth: found nothing, expected oauth;/],
    [options(url, url), 'sales', /^Cannot log in sales: no such account, expected one of info/],
    [options(url, url), 'info', /^Cannot begin the device login from 127\.0\.0\.1:9: /],
  ];
  for (const [account, id, message] of table) {
    const { code, error } = await createSite(t, account).login(undefined, id);
    assert.equal(code, 2);
    assert.match(error, message);
  }
});

test('login takes a relay by its id too, and says what that one lacks', async (t) => {
  const password = '    password: {env: P}\n';
  const relay = (deviceUrl: string): string =>
    'relays:\n  - id: outgoing\n    host: smtp.provider.test\n    user: info@provider.test\n' +
    options('https://login.provider.test/token', undefined, '{file: token}') +
    deviceUrl;
  const site = createSite(t, password + relay(''));
  const { code, error } = await site.login(undefined, 'outgoing');
  assert.equal(code, 2);
  assert.match(error, /option relays\[0\]\.oauth\.deviceUrl: found nothing/);
  const unknown = await site.login(undefined, 'nobody');
  assert.match(unknown.error, /Cannot log in nobody: no such account, expected one of info, outgoing/);
});
