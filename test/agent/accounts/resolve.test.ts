import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findAccountProblem, resolveAccount, resolveOAuth } from '../../../agent/accounts/resolve.ts';
import type { AccountOptions } from '../../../agent/accounts/resolve.ts';

const password = { file: 'secret' };
const refreshToken = { file: 'token' };
const oauth = { clientId: 'us', refreshToken, tokenUrl: 'https://login.example.net/token' };
const base: AccountOptions = { host: 'pop.example.net', password, intervalSeconds: 15 };

test('without a preset: implicit TLS on 995, and the interval as it stands', () => {
  assert.deepEqual(resolveAccount(base), {
    host: 'pop.example.net',
    port: 995,
    tls: 'implicit',
    intervalSeconds: 15,
    busySeconds: 15,
    minIntervalSeconds: 0,
  });
});

test('after mail a third of the interval with a preset, never under its minimum; without one only as somebody says', () => {
  const table: readonly (readonly [Partial<AccountOptions>, number])[] = [
    [{ intervalSeconds: 300 }, 300],
    [{ intervalSeconds: 300, busySeconds: 20 }, 20],
    [{ intervalSeconds: 300, busySeconds: 900 }, 300],
    [{ intervalSeconds: 300, preset: 'ionos' }, 100],
    [{ intervalSeconds: 90, preset: 'ionos' }, 60],
    [{ intervalSeconds: 300, busySeconds: 1, preset: 'ionos' }, 60],
    [{ intervalSeconds: 15, preset: 'ionos' }, 60],
  ];
  for (const [change, expected] of table)
    assert.equal(resolveAccount({ ...base, ...change }).busySeconds, expected, JSON.stringify(change));
});

test('a preset fills in what is not said; own values win', () => {
  const { host: _, ...bare } = base;
  const preset = { ...bare, preset: 'web-de' };
  assert.deepEqual([resolveAccount(preset).host, resolveAccount(preset).port], ['pop3.web.de', 995]);
  const own = resolveAccount({ ...preset, host: 'pop.example.net', port: 110, tls: 'starttls' });
  assert.deepEqual([own.host, own.port, own.tls], ['pop.example.net', 110, 'starttls']);
});

test("the preset's minimum wins over every interval, and a longer interval stays", () => {
  for (const [intervalSeconds, effective] of [
    [1, 900],
    [899, 900],
    [900, 900],
    [3_600, 3_600],
  ] as const) {
    const { minIntervalSeconds, ...found } = resolveAccount({ ...base, preset: 'web-de', intervalSeconds });
    assert.deepEqual([found.intervalSeconds, minIntervalSeconds], [effective, 900]);
  }
});

test('endpoints of OAuth2 come from the preset, own ones win', () => {
  const account = { ...base, preset: 'microsoft-365', oauth: { clientId: 'us', refreshToken, scope: 'mine' } };
  const { tokenUrl, scope } = resolveOAuth(account);
  assert.match(tokenUrl ?? '', /^https:\/\/login\.microsoftonline\.com\//);
  assert.equal(scope, 'mine');
  assert.deepEqual(resolveOAuth(base), {});
});

const { host: _host, ...hostless } = base;
const { password: _password, ...open } = base;
const table: readonly (readonly [string, AccountOptions, string | undefined, RegExp?])[] = [
  ['a host and a password', base, undefined],
  ['no host', hostless, 'host', /a host name or an IP address, or a preset/],
  ['a preset without a host', { ...hostless, preset: 'all-inkl' }, 'host', /ALL-INKL .*wXXXXXXX\.kasserver\.com/],
  ['a preset with a host', { ...hostless, preset: 'gmx' }, undefined],
  ['no secret', open, 'password', /or oauth/],
  ['two secrets', { ...base, oauth }, 'password', /one of them/],
  ['oauth', { ...open, oauth }, undefined],
  ['oauth with another login', { ...open, oauth, auth: 'plain' }, 'auth'],
  ['xoauth2 without oauth', { ...base, auth: 'xoauth2' }, 'auth'],
  ['oauth in clear', { ...open, oauth, tls: 'none' }, 'tls', /travels in clear/],
  ['oauth in clear inside this machine', { ...open, oauth, tls: 'none', host: '127.0.0.1' }, undefined],
  ['oauth without an endpoint', { ...open, oauth: { clientId: 'us', refreshToken } }, 'oauth.tokenUrl'],
  [
    'an endpoint in clear',
    { ...open, oauth: { ...oauth, tokenUrl: 'http://login.example.net/token' } },
    'oauth.tokenUrl',
    /https/,
  ],
  [
    'an endpoint that looks local',
    { ...open, oauth: { ...oauth, tokenUrl: 'http://127.0.0.1@evil.example/t' } },
    'oauth.tokenUrl',
  ],
  ['a local endpoint', { ...open, oauth: { ...oauth, tokenUrl: 'http://127.0.0.1:8080/token' } }, undefined],
  [
    'a device endpoint in clear',
    { ...open, oauth: { ...oauth, deviceUrl: 'http://example.net/d' } },
    'oauth.deviceUrl',
  ],
  ['pins without TLS', { ...base, tls: 'none', pins: ['sha256/x'] }, 'pins'],
];

for (const [what, account, path, expected] of table) {
  test('findAccountProblem() on ' + what + ' names ' + (path ?? 'nothing'), () => {
    const problem = findAccountProblem(account);
    assert.equal(problem?.path.join('.'), path);
    if (expected !== undefined) assert.match(problem?.expected ?? '', expected);
  });
}
