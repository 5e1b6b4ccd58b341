// The page about block lists names every list, and its examples are configurations. That it is fresh is what docs:check sees.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { alertRules } from '#shared/alert-rules.ts';
import { loadAgentConfig } from '../../agent/config.ts';
import { knownZones } from '../../agent/probe/zone-data.ts';
import { openZone } from '../../agent/probe/zones.ts';

const page = readFileSync(new URL('../../docs/block-lists.md', import.meta.url), 'utf8');

test('each list that is known stands there, and can be asked', () => {
  for (const zone of Object.keys(knownZones)) {
    assert.ok(page.includes('| `' + zone + '` |'), zone);
    assert.equal(openZone(zone).label, zone);
  }
});

test('each example is a configuration', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'mailferry-lists-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const examples = [...page.matchAll(/```yaml\n(.*?)```/gs)].map(([, text = '']) => text);
  assert.equal(examples.length, 3);
  for (const example of examples) {
    const file = join(folder, 'agent.yaml');
    writeFileSync(file, 'tenant: t\nagent: a\nstate: state\n' + example);
    assert.ok(loadAgentConfig(file).value.probe?.dnsbl);
  }
});

test('the alerts that it names exist', () => {
  const ids = new Set(alertRules.map(({ id }) => id));
  const named = [...page.matchAll(/alert `([a-z-]+)`/g)].map(([, id = '']) => id);
  assert.ok(named.length >= 2 && named.every((id) => ids.has(id)), named.join(', '));
});
