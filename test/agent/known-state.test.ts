// An agent whose state folder was there before and is missing now waits for it (an encrypted volume), and nothing else does.
import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { pino } from 'pino';
import { createAgent } from '../../agent/agent.ts';
import type { Agent } from '../../agent/agent.ts';
import { loadAgentConfig } from '../../agent/config.ts';
import { knownStateFile } from '../../agent/known-state.ts';
import { waitFor } from '../lab/wait.ts';

type Site = {
  readonly volume: string;
  readonly state: string;
  readonly marker: string;
  readonly lines: string[];
  readonly agent: () => Agent;
};

function createSite(t: TestContext): Site {
  const folder = mkdtempSync(join(tmpdir(), 'mailferry-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const volume = join(folder, 'volume');
  const state = join(volume, 'state');
  const config = join(folder, 'agent.yaml');
  mkdirSync(volume);
  writeFileSync(config, 'tenant: acme\nagent: nas-1\nstate: volume/state\n');
  const lines: string[] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) });
  return {
    volume,
    state,
    marker: knownStateFile(config),
    lines,
    agent() {
      const agent = createAgent({ loaded: loadAgentConfig(config), log, version: '0.0.0' });
      t.after(() => agent.stop());
      return agent;
    },
  };
}

const waits = (site: Site): boolean => site.lines.some((line) => line.includes('waiting for the state folder'));

test('a state folder that was there is waited for until its volume is mounted', async (t) => {
  const site = createSite(t);
  const first = site.agent();
  await first.start();
  await first.stop();
  assert.equal(readFileSync(site.marker, 'utf8').split('\n')[0], site.state);

  renameSync(site.volume, site.volume + '-locked');
  mkdirSync(site.volume); // where a volume will be mounted stands an empty folder
  const second = site.agent();
  const started = second.start();
  await waitFor('it to wait', () => waits(site));
  assert.deepEqual(readdirSync(site.volume), [], 'nothing is made where the volume will be');

  rmSync(site.volume, { recursive: true });
  renameSync(site.volume + '-locked', site.volume);
  await started;
  assert.ok(existsSync(join(site.state, 'agent.sock')));
  assert.ok(!site.lines.some((line) => line.includes('held: ')), 'it is the same state');
});

test('an agent that waits for its state can be stopped, and has made nothing', async (t) => {
  const site = createSite(t);
  const first = site.agent();
  await first.start();
  await first.stop();
  rmSync(site.state, { recursive: true });
  mkdirSync(site.state);
  mkdirSync(join(site.state, 'lost+found'));
  const second = site.agent();
  const started = second.start();
  await waitFor('it to wait', () => waits(site));
  await second.stop();
  await started;
  assert.deepEqual(readdirSync(site.state), ['lost+found']);
});

test('without the file that remembers it the agent begins without a state, at once', async (t) => {
  const site = createSite(t);
  const first = site.agent();
  await first.start();
  await first.stop();
  rmSync(site.state, { recursive: true });
  const second = site.agent();
  const started = second.start();
  await waitFor('it to wait', () => waits(site));
  rmSync(site.marker);
  await waitFor('a new state', () => existsSync(join(site.state, 'agent.db')));
  await started;
  assert.ok(existsSync(site.marker));
});

test('a state of which only the database is lost is not waited for, and a new folder was chosen on purpose', async (t) => {
  const site = createSite(t);
  const first = site.agent();
  await first.start();
  await first.stop();
  const before = statSync(site.marker, { bigint: true }).mtimeNs;
  writeFileSync(join(site.state, 'users.json'), '{"v":1,"users":[]}');
  for (const name of readdirSync(site.state)) if (name.startsWith('agent.db')) rmSync(join(site.state, name));
  const second = site.agent();
  await second.start();
  await second.stop();
  assert.equal(statSync(site.marker, { bigint: true }).mtimeNs, before, 'written once, not at each start');

  writeFileSync(site.marker, '/somewhere/else\n');
  rmSync(site.state, { recursive: true });
  const third = site.agent();
  const started = third.start();
  await waitFor('a new state', () => existsSync(join(site.state, 'agent.db')));
  await started;
  await third.stop();
  assert.ok(!waits(site));
  assert.equal(readFileSync(site.marker, 'utf8').split('\n')[0], site.state);
});
