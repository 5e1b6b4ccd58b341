// What answers mean: a code is never read without its list.
import assert from 'node:assert/strict';
import { check, domain, healthy4, ip4, list, short } from '../scripted-list.ts';
import { failure } from './failure.ts';

failure('F1', 'the code for refused resolvers is no listing', async (t) => {
  const entries = { ...healthy4, '10.2.0.192': ['127.255.255.254'] };
  const { results } = await check(t, 'zen.spamhaus.org', [list('zen.spamhaus.org', entries)], [ip4]);
  assert.match(short(results)[0] ?? '', /^192\.0\.2\.10 refused: .*public or unattributable resolver/);
});

failure('F3', 'a code beyond those of the list is no listing', async (t) => {
  for (const code of ['127.0.0.99', '127.0.0.1', '127.0.1.2']) {
    const entries = { ...healthy4, '10.2.0.192': [code] };
    const { results } = await check(t, 'zen.spamhaus.org', [list('zen.spamhaus.org', entries)], [ip4]);
    assert.equal(results[0]?.state, 'error', code);
    assert.deepEqual(results[0].codes, [code]);
  }
});

failure('F5', 'a list that refuses says why, and a person reads it', async (t) => {
  const words = 'Error: open resolver; https://example.net/returnc/pub/';
  const all = list('zen.spamhaus.org', { '*': ['127.255.255.254'] }, { '*': [words] });
  assert.ok(short((await check(t, 'zen.spamhaus.org', [all], [ip4])).results)[0]?.endsWith(words));
});

failure('F5b', 'so does a list that refuses this one question', async (t) => {
  const words = 'Error: too many queries';
  const entries = { ...healthy4, '10.2.0.192': ['127.255.255.255'] };
  const one = list('zen.spamhaus.org', entries, { '10.2.0.192': [words] });
  assert.ok(short((await check(t, 'zen.spamhaus.org', [one], [ip4])).results)[0]?.endsWith(words));
});

failure('F6', 'error codes of a list that nobody knows are no listings either', async (t) => {
  for (const code of ['127.255.255.252', '127.255.255.254', '127.255.255.255', '127.255.255.7']) {
    const entries = { ...healthy4, '10.2.0.192': [code] };
    const { results } = await check(t, 'bl.test', [list('bl.test', entries)], [ip4]);
    assert.equal(results[0]?.state, 'refused', code);
  }
});

failure('F8', 'a good reputation is no listing', async (t) => {
  for (const [code, state] of [
    ['127.0.0.17', 'clean'],
    ['127.0.0.20', 'clean'],
    ['127.0.0.14', 'clean'],
    ['127.0.0.11', 'listed'],
  ] as const) {
    const entries = { ...healthy4, '2.0.0.127': ['127.0.0.10'], '10.2.0.192': [code] };
    const { results } = await check(t, 'rep.mailspike.net', [list('rep.mailspike.net', entries)], [ip4]);
    assert.equal(results[0]?.state, state, code);
    assert.equal(results[0].level, state === 'clean' ? 'none' : 'warning');
  }
});

failure('F9', 'the address of a parked domain is no listing', async (t) => {
  const parked = list('bl.test', { '*': ['62.0.58.94'] });
  assert.match(short((await check(t, 'bl.test', [parked], [ip4])).results)[0] ?? '', /zone-unhealthy: .*62\.0\.58\.94/);
  const partly = list('bl.test', { ...healthy4, '10.2.0.192': ['62.0.58.94'] });
  assert.match(short((await check(t, 'bl.test', [partly], [ip4])).results)[0] ?? '', /zone-unhealthy: .*62\.0\.58\.94/);
});

failure('F11', 'a bit that says "you are refused" is no listing', async (t) => {
  const healthy = { test: ['127.0.0.2'], 'test.uribl.com': ['127.0.0.14'], 'test.surbl.org': ['127.0.0.254'] };
  for (const [zone, code, state] of [
    ['multi.uribl.com', '127.0.0.1', 'refused'],
    ['multi.surbl.org', '127.0.0.73', 'refused'],
    ['multi.surbl.org', '127.0.0.72', 'listed'],
  ] as const) {
    const { results } = await check(t, zone, [list(zone, { ...healthy, 'example.org': [code] })], [domain]);
    assert.equal(results[0]?.state, state, zone + ' ' + code);
  }
});

failure('F12', 'an address is never asked of a list of domains, whose answer to it is no listing', async (t) => {
  const zone = 'dbl.spamhaus.org';
  const script = list(zone, { 'dbltest.com': ['127.0.1.2'], '10.2.0.192': ['127.0.1.255'] });
  const { results, queries } = await check(t, zone, [script], [ip4, domain]);
  assert.deepEqual(
    results.map(({ state }) => state),
    ['not-applicable', 'clean'],
  );
  assert.ok(queries.flat().every(({ name }) => !/^\d/.test(name)));
});

failure('F12b', 'a code that speaks for an address is no listing', async (t) => {
  const zone = 'hostkarma.junkemailfilter.com';
  for (const [code, state] of [
    ['127.0.0.5', 'clean'],
    ['127.0.0.1', 'clean'],
    ['127.0.0.2', 'listed'],
  ] as const) {
    const { results } = await check(t, zone, [list(zone, { ...healthy4, '10.2.0.192': [code] })], [ip4]);
    assert.equal(results[0]?.state, state, code);
  }
});

failure('F18', 'a code that is not in the table of its list is unknown, not "listed"', async (t) => {
  const script = list('dbl.spamhaus.org', { 'dbltest.com': ['127.0.1.2'], 'example.org': ['127.0.0.1'] });
  const { results } = await check(t, 'dbl.spamhaus.org', [script], [domain]);
  assert.match(short(results)[0] ?? '', /^example\.org error: answered 127\.0\.0\.1, a code that the list does not/);
});
