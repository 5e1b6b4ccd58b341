import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { WebSocket } from 'ws';
import { systemClock } from '#shared/clock.ts';
import type { Clock } from '#shared/clock.ts';
import { createLog } from '#shared/log.ts';
import { createAuth } from '../../../collector/web/auth.ts';
import { isLocalHostHeader, isOwnOrigin } from '../../../collector/web/host.ts';
import { createThrottle } from '../../../collector/web/throttle.ts';
import { createWeb } from '../../../collector/web/web.ts';
import { createHandClock } from './hand-clock.ts';
import { createHandFed } from './hand-fed.ts';

const log = createLog({ level: 'silent', name: 'test' });
const password = 'pass:wörd "\\';

async function start(t: TestContext, options: { readonly password?: string; readonly clock?: Clock }) {
  const fed = createHandFed();
  fed.put({ tenant: 'acme', id: 'nas-1' });
  const web = createWeb({
    config: { host: '127.0.0.1', port: 0 },
    ...fed.sources,
    store: { query: async () => [] },
    clock: options.clock ?? systemClock,
    log,
    ...(options.password === undefined ? {} : { password: options.password }),
  });
  await web.start();
  t.after(web.stop);
  return { base: '127.0.0.1:' + web.address().port, web };
}

function basic(user: string, secret: string): Record<string, string> {
  return { authorization: 'Basic ' + Buffer.from(user + ':' + secret).toString('base64') };
}

/** 101, or the status of the refusal. */
async function upgrade(base: string, headers: Record<string, string> = {}): Promise<number> {
  const socket = new WebSocket('ws://' + base + '/live', { headers });
  try {
    return await new Promise<number>((resolve, reject) => {
      socket.on('open', () => resolve(101));
      socket.on('unexpected-response', (_request, response) => resolve(response.statusCode ?? 0));
      socket.on('error', reject);
    });
  } finally {
    socket.on('error', () => {}); // a refused one is terminated here
    socket.terminate();
  }
}

test('with a password nothing but /healthz is answered without the login, upgrades included', async (t) => {
  const { base } = await start(t, { password });
  const paths = [
    '/',
    '/page.js',
    '/vendor/uPlot.esm.js',
    '/api/agents',
    '/api/agents/acme/nas-1',
    '/api/alerts',
    '/metrics',
    '/nothing',
    '/live',
  ];
  const attempts: readonly (readonly [string, Record<string, string>, boolean])[] = [
    ['no login', {}, false],
    ['a wrong password', basic('mailferry', 'wrong'), false],
    ['a part of the password', basic('mailferry', password.slice(0, -1)), false],
    ['a wrong name', basic('admin', password), false],
    ['an empty password', basic('mailferry', ''), false],
    ['another scheme', { authorization: 'Bearer ' + password }, false],
    ['a made-up cookie', { cookie: 'mailferry=99999999999999.' + 'A'.repeat(43) }, false],
    ['the login', basic('mailferry', password), true],
  ];
  for (const path of paths) {
    for (const [what, headers, passes] of attempts) {
      if (!passes && what !== 'no login' && path !== '/api/agents') continue; // wrong tries are throttled
      const answer = await fetch('http://' + base + path, { headers });
      assert.equal(answer.status === 401, !passes, path + ' with ' + what + ': ' + answer.status);
      const text = await answer.text();
      if (passes) continue;
      assert.match(answer.headers.get('www-authenticate') ?? '', /^Basic realm="mailferry"/);
      assert.match(text, /^\{"error":\{"code":"login-needed"/);
    }
  }
  for (const [what, headers, passes] of attempts)
    assert.equal(await upgrade(base, headers), passes ? 101 : 401, 'upgrade with ' + what);
  assert.equal((await fetch('http://' + base + '/healthz')).status, 200);
  assert.equal((await fetch('http://' + base + '/healthz?x=1')).status, 200);
  assert.equal((await fetch('http://' + base + '/healthz/')).status, 401);
});

test('a refused upgrade is answered in full and its connection is closed, so that none is left behind', async (t) => {
  const { base, web } = await start(t, { password });
  for (const path of ['/live', '/api/agents', '/nothing']) {
    const socket = connect(web.address().port, '127.0.0.1');
    let answer = '';
    socket.on('data', (bytes) => (answer += bytes.toString()));
    socket.write(
      'GET ' +
        path +
        ' HTTP/1.1\r\nHost: ' +
        base +
        '\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ' +
        Buffer.alloc(16, 1).toString('base64') +
        '\r\n\r\n',
    );
    await once(socket, 'close', { signal: AbortSignal.timeout(5_000) });
    assert.match(answer, /^HTTP\/1\.1 401 [\s\S]*"login-needed"/, path);
  }
  const begun = performance.now();
  await web.stop();
  assert.ok(performance.now() - begun < 1_000);
});

test('the cookie that a login gives opens the live feed, also where the browser sends no login with it', async (t) => {
  const { base } = await start(t, { password });
  const answer = await fetch('http://' + base + '/', { headers: basic('mailferry', password) });
  const cookie = answer.headers.get('set-cookie') ?? '';
  assert.match(cookie, /; Path=\/; HttpOnly; SameSite=Strict; Max-Age=43200$/);
  const own = cookie.split(';')[0] ?? '';
  assert.equal(await upgrade(base, { cookie: 'other=1; ' + own }), 101);
  assert.equal(await upgrade(base, { cookie: own.slice(0, -1) + (own.endsWith('A') ? 'B' : 'A') }), 401);
  const secure = await fetch('http://' + base + '/', {
    headers: { ...basic('mailferry', password), 'x-forwarded-proto': 'https' },
  });
  assert.match(secure.headers.get('set-cookie') ?? '', /; Secure$/);
});

test('a cookie ends by time, and is worth nothing after a restart', async () => {
  const clock = createHandClock();
  const credentials = {
    authorization: basic('mailferry', 'x')['authorization'],
    cookie: undefined,
    address: '192.0.2.1',
  };
  const auth = createAuth({ password: 'x', clock });
  const admission = auth.admit(credentials);
  assert.ok(admission.ok && admission.setCookie !== undefined);
  const cookie = admission.setCookie.split(';')[0];
  const again = { authorization: undefined, cookie, address: '192.0.2.1' };
  assert.equal(auth.admit(again).ok, true);
  assert.equal(createAuth({ password: 'x', clock }).admit(again).ok, false);
  await clock.advance(12 * 3_600_000 - 1);
  assert.equal(auth.admit(again).ok, true);
  await clock.advance(1);
  assert.equal(auth.admit(again).ok, false);
});

test('wrong tries are throttled by address: even the right password is then not looked at', async () => {
  const clock = createHandClock();
  const auth = createAuth({ password: 'right', clock });
  const admit = (secret: string, address: string) =>
    auth.admit({ authorization: basic('mailferry', secret)['authorization'], cookie: undefined, address });
  for (let tries = 0; tries < 20; tries += 1)
    assert.deepEqual(admit('wrong', '192.0.2.1'), { ok: false, reason: 'wrong' });
  assert.deepEqual(admit('right', '192.0.2.1'), { ok: false, reason: 'throttled', waitSeconds: 3 });
  assert.equal(admit('right', '192.0.2.2').ok, true);
  await clock.advance(3_000);
  assert.deepEqual(admit('wrong', '192.0.2.1'), { ok: false, reason: 'wrong' });
  assert.equal(admit('right', '192.0.2.1').ok, false);
  await clock.advance(60_000);
  assert.equal(admit('right', '192.0.2.1').ok, true);
});

test('too many tries answer 429 with the time to wait', async (t) => {
  const { base } = await start(t, { password });
  let answer = await fetch('http://' + base + '/api/agents', { headers: basic('mailferry', 'wrong') });
  for (let tries = 0; tries < 20; tries += 1)
    answer = await fetch('http://' + base + '/api/agents', { headers: basic('mailferry', 'wrong') });
  assert.equal(answer.status, 429);
  assert.match(answer.headers.get('retry-after') ?? '', /^[1-3]$/);
  assert.match(await answer.text(), /too many wrong tries; wait [1-3] s/);
});

test('the memory of wrong tries is bounded, and a /64 of IPv6 is one address', () => {
  const throttle = createThrottle({ clock: createHandClock(), burst: 2, everyMs: 1_000, maxAddresses: 10 });
  throttle.failed('2001:db8:1:2::1');
  throttle.failed('2001:db8:1:2:ffff::9');
  assert.equal(throttle.waitSeconds('2001:db8:1:2::77'), 1);
  assert.equal(throttle.waitSeconds('2001:db8:1:3::77'), 0);
  throttle.failed('::ffff:192.0.2.9');
  throttle.failed('192.0.2.9');
  assert.equal(throttle.waitSeconds('192.0.2.9'), 1);
  for (let host = 0; host < 500; host += 1) throttle.failed('198.51.100.' + host);
  assert.ok(throttle.waitSeconds('203.0.113.1') > 100, 'those beyond the bound share one account');
  assert.equal(throttle.waitSeconds('2001:db8:1:2::77'), 1, 'the known ones keep theirs');
});

const hosts: readonly (readonly [string | undefined, boolean])[] = [
  ['localhost', true],
  ['LOCALHOST:8420', true],
  ['127.0.0.1:8420', true],
  ['127.8.9.1', true],
  ['[::1]:8420', true],
  ['[::1]', true],
  [undefined, false],
  ['', false],
  ['evil.example', false],
  ['127.evil.example', false],
  ['127.0.0.1.evil.example', false],
  ['localhost.evil.example', false],
  ['localhost:8420@evil.example', false],
  ['localhost:x', false],
  ['10.0.0.1', false],
  ['[::2]', false],
];
for (const [header, local] of hosts) {
  test('Host ' + String(header) + (local ? ' is this machine' : ' is not this machine'), () => {
    assert.equal(isLocalHostHeader(header), local);
  });
}

test('only a page from here may open the live feed', () => {
  const cases: readonly (readonly [string | undefined, string, string | undefined, boolean])[] = [
    [undefined, 'localhost:8420', undefined, true],
    ['http://localhost:8420', 'localhost:8420', undefined, true],
    ['https://mail.example', 'mail.example', undefined, true],
    ['https://mail.example', 'mail.example:443', undefined, true],
    ['https://mail.example', '127.0.0.1:8420', 'mail.example', true],
    ['http://evil.example', 'localhost:8420', undefined, false],
    ['http://localhost:9999', 'localhost:8420', undefined, false],
    ['http://localhost:8420.evil.example', 'localhost:8420', undefined, false],
    ['null', 'localhost:8420', undefined, false],
    ['file://', 'localhost:8420', undefined, false],
  ];
  for (const [origin, host, forwardedHost, own] of cases)
    assert.equal(isOwnOrigin({ origin, host, forwardedHost }), own, origin);
});

test('without a password a foreign name for this machine is refused, for requests and upgrades', async (t) => {
  const { base } = await start(t, {});
  assert.equal(await upgrade(base, { host: 'evil.example:8420' }), 421);
  assert.equal(await upgrade(base, { origin: 'http://evil.example' }), 403);
  assert.equal(await upgrade(base, { origin: 'http://' + base }), 101);
  assert.equal(await upgrade(base), 101);
});

test('with a password another name is fine, a foreign page still is not', async (t) => {
  const { base } = await start(t, { password });
  const login = basic('mailferry', password);
  assert.equal(await upgrade(base, { ...login, host: 'mail.example' }), 101);
  assert.equal(await upgrade(base, { ...login, host: 'mail.example', origin: 'https://evil.example' }), 403);
});

test('a taken port is one clear line', async (t) => {
  const { web } = await start(t, {});
  const fed = createHandFed();
  const second = createWeb({
    config: { host: '127.0.0.1', port: web.address().port },
    ...fed.sources,
    store: { query: async () => [] },
    clock: systemClock,
    log,
  });
  await assert.rejects(second.start(), {
    name: 'UserError',
    message: /^Cannot listen on 127\.0\.0\.1:\d+: the port is taken .* \(options web\.host and web\.port\)$/,
  });
});

test('stop() is idempotent, bounded, and says goodbye to live clients', async (t) => {
  const { base, web } = await start(t, {});
  const socket = new WebSocket('ws://' + base + '/live');
  await once(socket, 'open');
  const closed = once(socket, 'close');
  await Promise.all([web.stop(), web.stop()]);
  assert.equal((await closed)[0], 1001);
  await assert.rejects(fetch('http://' + base + '/healthz'));
});
