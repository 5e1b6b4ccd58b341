// docs/checks.md: its example is a configuration, and what it shows is what the program says.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse, stringify } from 'yaml';
import { renderChecked } from '../../agent/cli/render-check.ts';
import { loadAgentConfig } from '../../agent/config.ts';
import { checkDkim } from '../../agent/probe/domain/dkim.ts';
import { worstOf } from '../../agent/probe/check.ts';
import type { Finding } from '../../agent/probe/check.ts';

const page = readFileSync(new URL('../../docs/checks.md', import.meta.url), 'utf8');
const secret = { file: 'secret' };

test('the example of docs/checks.md is a configuration', () => {
  const example: unknown = parse(/```yaml\n([^]*?)```/.exec(page)?.[1] ?? '');
  assert.ok(typeof example === 'object' && example !== null && 'probe' in example);
  const site = {
    tenant: 'acme',
    agent: 'nas-1',
    state: 'state',
    local: { domains: ['example.org'] },
    accounts: [{ id: 'probe', host: 'pop.example', user: 'probe', password: secret, recipients: ['info@example.org'] }],
    relays: [{ id: 'provider', host: 'smtp.example', user: 'office', password: secret }],
    submission: { users: [{ name: 'nas', password: secret, senders: ['@example.org'] }] },
  };
  const folder = mkdtempSync(join(tmpdir(), 'mailferry-checks-'));
  try {
    writeFileSync(join(folder, 'agent.yaml'), stringify({ ...site, ...example }));
    const { probe } = loadAgentConfig(join(folder, 'agent.yaml')).value;
    assert.deepEqual(Object.keys(probe ?? {}).toSorted(), ['certificates', 'domain', 'roundTrips']);
    const hours = [
      probe?.domain?.intervalSeconds,
      probe?.certificates?.intervalSeconds,
      probe?.roundTrips?.[0]?.intervalSeconds,
    ];
    assert.deepEqual(hours, [3_600, 6 * 3_600, 30 * 60], 'as the table says');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('the answer that docs/checks.md shows is the one of the program', async () => {
  const well: Finding = { target: 'example.org', check: 'mx', level: 'ok', text: 'mail goes to mx.provider.example' };
  const bad = await checkDkim('example.org', ['s1'], async () => ({ kind: 'none', exists: true }));
  const findings = [well, well, ...bad, well];
  const lines = renderChecked({ what: 'domain', level: worstOf(findings), findings });
  const shown = /```\n(DOMAIN [^]*?)\n```/.exec(page)?.[1];
  assert.equal(lines.slice(0, 3).join('\n'), shown);
});
