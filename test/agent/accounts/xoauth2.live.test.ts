// A real dovecot that checks the tokens of a real OAuth2 server (oidc-provider) by the server's public key.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '#shared/clock.ts';
import { createLog } from '#shared/log.ts';
import { createTokenSource } from '../../../agent/accounts/oauth.ts';
import { openPop3 } from '../../../agent/receive/pop3/pop3.ts';
import type { Pop3 } from '../../../agent/receive/pop3/pop3.ts';
import { troubleOf } from '../../../agent/receive/problem.ts';
import { createLab } from '../../lab/lab.ts';
import { startAuthorizationServer, tokenPassdb } from './authorization-server.ts';

const user = 'info@provider.test';

test('a mailbox is opened with an access token, again with a new one, and a forged or foreign one is refused', async (t) => {
  const lab = createLab(t);
  const server = await startAuthorizationServer(t, user);
  const passdb = tokenPassdb(lab.dir, server);
  const dovecot = await lab.dovecot({
    users: { [user]: 'unused', 'sales@provider.test': 'unused' },
    extra: 'auth_mechanisms = xoauth2\n' + passdb,
  });
  await dovecot.put(user, Buffer.from('Subject: test\r\n\r\ntext\r\n'));
  let stored = await server.issue();
  const source = createTokenSource({
    account: 'info',
    client: () => server.client,
    read: () => stored,
    write: async (token) => void (stored = token),
    clock: systemClock,
    log: createLog({ level: 'silent', name: 'test' }),
  });
  const endpoint = { host: 'localhost', port: dovecot.pop3s, tls: 'implicit', ca: dovecot.ca } as const;
  const open = async (name: string, change = (token: string): string => token): Promise<Pop3> => {
    const secret = await source.read(t.signal);
    assert.ok(secret.kind === 'token');
    const token = change(secret.token);
    return openPop3({ endpoint, user: name, password: { kind: 'token', token }, signal: t.signal, clock: systemClock });
  };
  for (let n = 0; n < 2; n += 1) {
    const pop3 = await open(user);
    assert.deepEqual(await pop3.stat().then(({ count }) => count), 1);
    await pop3.quit();
    source.refused();
  }
  assert.deepEqual(server.answers, ['ok', 'ok']);
  const stls = await openPop3({
    endpoint: { ...endpoint, port: dovecot.pop3, tls: 'starttls' },
    user,
    password: await source.read(t.signal),
    signal: t.signal,
    clock: systemClock,
  });
  await stls.quit();
  const forge = (token: string): string => token.slice(0, -4) + (token.endsWith('AAAA') ? 'BBBB' : 'AAAA');
  for (const refused of [() => open(user, forge), () => open('sales@provider.test')]) {
    await assert.rejects(refused(), (error: unknown) => {
      const trouble = troubleOf(error, 'info', endpoint);
      assert.equal(trouble.kind, 'login');
      assert.match(trouble.problem, /login refused, Cannot AUTH XOAUTH2: .*\(the token: (?:401|invalid_token)\)/);
      return true;
    });
  }
});
