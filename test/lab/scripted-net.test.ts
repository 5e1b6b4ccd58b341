// Scripted DNS and Bot API, judged by Node's own resolver and by grammy.
import assert from 'node:assert/strict';
import { Resolver } from 'node:dns/promises';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { Api, GrammyError, HttpError } from 'grammy';
import { codeOf } from '#shared/failure.ts';
import { createLab } from './lab.ts';
import type { DnsReaction, DnsQuery } from './scripted-dns.ts';

async function dns(t: TestContext, script: (query: DnsQuery) => DnsReaction | undefined) {
  const server = await createLab(t).scriptedDns({ script });
  const resolver = new Resolver({ timeout: 500, tries: 1 });
  resolver.setServers([server.host + ':' + server.port]);
  return { server, resolver };
}

test('scripted DNS answers A and TXT, and NXDOMAIN to what the script leaves out', async (t) => {
  const { server, resolver } = await dns(t, ({ name, type }) => {
    if (name !== 'listed.bl.test') return undefined;
    return { records: type === 'TXT' ? ['listed, see bl.test'] : ['127.0.0.2', '127.0.0.10'], ttl: 7 };
  });
  assert.deepEqual(await resolver.resolve4('listed.bl.test', { ttl: true }), [
    { address: '127.0.0.2', ttl: 7 },
    { address: '127.0.0.10', ttl: 7 },
  ]);
  assert.deepEqual(await resolver.resolveTxt('listed.bl.test'), [['listed, see bl.test']]);
  await assert.rejects(resolver.resolve4('clean.bl.test'), (error) => codeOf(error) === 'ENOTFOUND');
  assert.deepEqual(
    server.queries.map(({ name, type }) => type + ' ' + name),
    ['A listed.bl.test', 'TXT listed.bl.test', 'A clean.bl.test'],
  );
});

test('a truncated answer over UDP sends the client to TCP', async (t) => {
  const { server, resolver } = await dns(t, ({ transport }) =>
    transport === 'udp' ? { truncated: true } : { records: ['127.0.0.2'] },
  );
  assert.deepEqual(await resolver.resolve4('big.bl.test'), ['127.0.0.2']);
  assert.deepEqual(
    server.queries.map(({ transport }) => transport),
    ['udp', 'tcp'],
  );
});

test('scripted DNS refuses, keeps silent, answers with a wrong id before the right one', async (t) => {
  const { server, resolver } = await dns(t, ({ name, id }) => {
    if (name === 'refused.test') return { rcode: 'REFUSED' };
    if (name === 'silent.test') return 'silence';
    if (name === 'broken.test') return Buffer.from('no DNS at all');
    return [{ id: (id + 1) % 65_536, records: ['127.0.0.66'] }, { records: ['127.0.0.2'] }];
  });
  await assert.rejects(resolver.resolve4('refused.test'), (error) => codeOf(error) === 'EREFUSED');
  await assert.rejects(resolver.resolve4('silent.test'), (error) => codeOf(error) === 'ETIMEOUT');
  await assert.rejects(resolver.resolve4('broken.test'), (error) => codeOf(error) === 'EBADRESP');
  assert.deepEqual(await resolver.resolve4('spoofed.test'), ['127.0.0.2']);
  assert.equal(server.queries.length, 4);
});

test('scripted Bot API takes messages, asks to slow down, and hides nothing', async (t) => {
  const server = await createLab(t).scriptedBotApi({
    token: '1:right',
    script: ({ method, before }) => {
      if (method !== 'sendMessage') return undefined;
      if (before === 0) return { error: 429, description: 'Too Many Requests: retry after 3', retryAfterSeconds: 3 };
      return before === 1 ? 'reset' : undefined;
    },
  });
  const api = new Api('1:right', { apiRoot: server.url });
  assert.equal((await api.getMe()).username, 'lab_bot');
  const slow = await api.sendMessage('-100123', 'one').catch((error: unknown) => error);
  assert.ok(slow instanceof GrammyError && slow.parameters.retry_after === 3);
  const reset = await api.sendMessage('-100123', 'two').catch((error: unknown) => error);
  assert.ok(reset instanceof HttpError);
  assert.equal((await api.sendMessage('-100123', 'three ü')).message_id, 1);
  assert.deepEqual(server.messages, [{ chat: '-100123', text: 'three ü' }]);
  assert.deepEqual(
    server.calls.map(({ method }) => method),
    ['getMe', 'sendMessage', 'sendMessage', 'sendMessage'],
  );
  await assert.rejects(new Api('1:wrong', { apiRoot: server.url }).getMe(), /401/);
});
