// The examples of docs/submission.md are configurations that the agent takes.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { loadAgentConfig } from '../../agent/config.ts';

const folder = mkdtempSync(join(tmpdir(), 'mailferry-docs-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const page = readFileSync(new URL('../../docs/submission.md', import.meta.url), 'utf8');
const examples = [...page.matchAll(/```yaml\n([^]*?)```/g)].map((found) => found[1] ?? '');

test('docs/submission.md has an example for each way to hand in mail', () => {
  assert.equal(examples.length, 5);
});

for (const [number, example] of examples.entries())
  test('example ' + (number + 1) + ' of docs/submission.md is a configuration', () => {
    const file = join(folder, 'agent.yaml');
    const relay = 'relays: [{id: provider, host: relay.test, user: u, password: {env: HOME}}]\n';
    writeFileSync(file, 'tenant: acme\nagent: nas-1\nstate: state\n' + relay + example);
    assert.ok(loadAgentConfig(file).value.submission);
  });
