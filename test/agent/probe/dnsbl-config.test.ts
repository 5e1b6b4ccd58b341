// Lists that must not be asked are refused when the configuration is read, with file, option, reason and remedy.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { UserError } from '#shared/failure.ts';
import { loadAgentConfig } from '../../../agent/config.ts';

function load(t: TestContext, dnsbl: string) {
  const folder = mkdtempSync(join(tmpdir(), 'mailferry-lists-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'agent.yaml');
  writeFileSync(file, 'tenant: t\nagent: a\nstate: state\nprobe:\n  dnsbl:\n' + dnsbl);
  return loadAgentConfig(file);
}

const key = 'abcdefghij1234567890klmnop';
/** lines under probe.dnsbl, what the refusal says */
const refused: readonly (readonly [string, RegExp])[] = [
  [
    '    zones: [bl.spamcop.net, dnsbl.sorbs.net]\n',
    /agent\.yaml.*probe\.dnsbl\.zones\.?\[?1\]?.*shut down in June 2024, answers nothing.*a block list that works/s,
  ],
  ['    zones: [{ zone: relays.ordb.org, kind: ip4 }]\n', /zones.*0.*zone.*listed the whole world/s],
  ['    zones: [rbl.spamhaus.org]\n', /zen\.spamhaus\.org is meant/],
  ['    zones: [' + key + '.dnsbl.sorbs.net]\n', /\*\*\*\.dnsbl\.sorbs\.net/],
  ['    names: [192.0.2.1]\n', /probe\.dnsbl\.names.*a host name such as nas\.example\.org/s],
  ['    mute: [bl.test]\n', /probe\.dnsbl\.mute.*a list of `zones`/s],
  ['    zones: [{ zone: bl.test, severity: loud }]\n', /severity/],
  [
    '    zones: [{ zone: bl.test, codes: { listed: bad } }]\n',
    /zones.*0.*codes.*listed.*an answer such as 127\.0\.0\.2/s,
  ],
];
for (const [lines, expected] of refused) {
  test('refused: ' + lines.trim().replace(key, 'KEY'), (t) => {
    assert.throws(
      () => load(t, lines),
      (error) => error instanceof UserError && expected.test(error.message) && !error.message.includes(key),
    );
  });
}

test('lists with a key and lists of the user are taken, with everything else at its standard', (t) => {
  const { value } = load(
    t,
    '    zones:\n      - zen.spamhaus.org\n      - { zone: dbl.dq.spamhaus.net, key: { file: key } }\n' +
      '      - { zone: bl.test, kind: ip4, codes: { 127.0.0.2: bad, 127.0.1.*: worse }, severity: info }\n',
  );
  const lists = value.probe?.dnsbl;
  assert.equal(lists?.zones.length, 3);
  assert.deepEqual([lists.confirmSeconds, lists.clearSeconds, lists.intervalSeconds], [600, 3_600, 1_800]);
  assert.equal(lists.relaying, true);
});
