// The device login on the page against a real OAuth2 server (oidc-provider) on loopback.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '#shared/clock.ts';
import { parseConfig } from '#shared/config.ts';
import { UserError } from '#shared/failure.ts';
import { refreshTokens } from '../../../agent/accounts/token-endpoint.ts';
import { agentSchema, parseAgentConfig } from '../../../agent/config.ts';
import { createDeviceLogin } from '../../../agent/page-login.ts';
import type { DeviceLogin } from '../../../agent/page/work.ts';
import { startAuthorizationServer } from '../accounts/authorization-server.ts';
import { waitFor as waitForSoon } from '../../lab/wait.ts';
import { openSite } from './page-site.ts';

const waitFor = <T>(what: string, condition: () => Promise<T>): Promise<T> =>
  waitForSoon(what, condition, { timeoutMs: 60_000 });
const account = (oauth: string): string => `tenant: acme
agent: nas-1
state: state
local: {domains: [example.org]}
accounts:
  - id: info
    host: pop.example.net
    user: info@provider.test
    recipients: [info@example.org]
    oauth:
${oauth}`;
const form = {
  host: 'pop.example.net',
  user: 'info@provider.test',
  recipients: 'info@example.org',
  delivery: 'recipients',
  keep: 'days',
};

test('a person logs in on a page of the provider, and the token is stored and taken up', async (t) => {
  const server = await startAuthorizationServer(t, 'info@provider.test');
  const { tokenUrl, deviceUrl } = server.client;
  const text = account(
    '      clientId: mailferry\n      clientSecret: {file: client}\n      refreshToken: {file: token}\n' +
      '      scope: mail offline_access\n      tokenUrl: ' +
      tokenUrl +
      '\n      deviceUrl: ' +
      deviceUrl +
      '\n',
  );
  let deviceLogin: DeviceLogin | undefined;
  const site = await openSite(t, {
    text,
    work: {
      deviceLogin: (options) => deviceLogin?.(options) ?? Promise.reject(new UserError('not ready')),
    },
  });
  writeFileSync(join(site.folder, 'client'), 'client-secret\n');
  writeFileSync(join(site.folder, 'token'), 'old and worthless\n');
  const loaded = parseAgentConfig(site.file, text);
  deviceLogin = createDeviceLogin({ loaded: () => loaded, clock: systemClock, signal: AbortSignal.timeout(60_000) });
  const { get, post } = await site.logIn();
  assert.match((await get('/mailboxes/info')).body, /Log in again/);
  const begun = await post('/mailboxes/info', { ...form, clientId: 'mailferry', action: 'device' });
  const place = String(begun.headers.location);
  assert.match(place, /^\/device\/[0-9a-f]{24}$/);
  const code = await waitFor('the code', async () => /id="code">([^<]+)</.exec((await get(place)).body)?.[1]);
  await server.decide(code ?? '', true);
  await waitFor('the login to be done', async () => (await get(place)).headers.location === '/mailboxes');
  assert.match((await get('/')).body, /Saved; it counts at once/);
  assert.equal(site.applied(), 1);
  const token = readFileSync(join(site.folder, 'token'), 'utf8').trim();
  const tokens = await refreshTokens(
    { ...server.client, clientSecret: 'client-secret' },
    token,
    AbortSignal.timeout(30_000),
  );
  assert.notEqual(tokens.accessToken, '');
  assert.equal(readFileSync(site.file, 'utf8'), text, 'the configuration is as it was typed');
  assert.equal((await get(place)).status, 404);
});

test('a new mailbox with OAuth2 is saved with its token and without a password; a refusal saves nothing', async (t) => {
  const answers: PromiseWithResolvers<string>[] = [];
  const asked: unknown[] = [];
  const site = await openSite(t, {
    work: {
      deviceLogin: ({ entry, show }) => {
        const answer = Promise.withResolvers<string>();
        answers.push(answer);
        asked.push(entry['oauth']);
        show({ url: 'https://provider.example/device', code: 'ABCD' });
        return answer.promise;
      },
    },
  });
  const { get, post } = await site.logIn();
  const before = readFileSync(site.file, 'utf8');
  const typed = {
    ...form,
    id: 'cloud',
    preset: 'microsoft-365',
    host: '',
    firstRun: 'all',
    clientId: 'app-1',
    action: 'save',
  };
  const first = String((await post('/mailboxes/+', typed)).headers.location);
  assert.match((await get(first)).body, /https:\/\/provider\.example\/device[\s\S]*ABCD/);
  answers[0]?.reject(new UserError('the code has expired'));
  await waitFor('the refusal', async () => /the code has expired/.test((await get(first)).body));
  assert.equal(readFileSync(site.file, 'utf8'), before);
  const second = String((await post('/mailboxes/+', typed)).headers.location);
  answers[1]?.resolve('a-refresh-token');
  await waitFor('the mailbox to be saved', async () => (await get(second)).status === 303);
  assert.deepEqual(asked, [{ clientId: 'app-1' }, { clientId: 'app-1' }]);
  const { value } = parseConfig({ file: site.file, text: readFileSync(site.file, 'utf8'), schema: agentSchema });
  const { oauth, password } = value.accounts[1] ?? {};
  assert.deepEqual(
    [oauth, password],
    [{ clientId: 'app-1', refreshToken: { file: 'secrets/mailbox-cloud-token' } }, undefined],
  );
  assert.equal(readFileSync(join(site.folder, 'secrets', 'mailbox-cloud-token'), 'utf8'), 'a-refresh-token\n');
  // Back to a password: the token goes with the option.
  const back = { ...form, preset: 'posteo', host: '', clientId: '', action: 'save' };
  assert.match((await post('/mailboxes/cloud', back)).body, /Please type the password/);
  assert.equal((await post('/mailboxes/cloud', { ...back, password: 'typed' })).status, 303);
  assert.doesNotMatch(readFileSync(site.file, 'utf8'), /oauth/);
  assert.equal(existsSync(join(site.folder, 'secrets', 'mailbox-cloud-token')), false);
  for (let n = 0; n < 4; n += 1) await post('/mailboxes/+', { ...typed, id: 'more' + n });
  assert.equal((await post('/mailboxes/+', { ...typed, id: 'more5' })).status, 503, 'few at once');
});
