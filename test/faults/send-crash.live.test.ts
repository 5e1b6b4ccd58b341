// The send path is killed at each of its checkpoints, over and over, while clients send through it; a client sends again
// whatever got no 250. `npm run bench:send:crash` does the same at length, and worse things.
import assert from 'node:assert/strict';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createLab } from '../lab/lab.ts';
import { judge, scenarios } from './send-scenarios.ts';
import { createSite } from './send-site.ts';

const chosen = [
  'kill -9 at every checkpoint',
  'power cut (disk image copied)',
  'disk full',
  'disk fails, read-only',
  'clock a day on and back',
  'agent.db deleted',
];

for (const scenario of scenarios.filter(({ name }) => chosen.includes(name)))
  test(
    scenario.name + ': no mail that got its 250 is lost, and each double has its death at the dot',
    { timeout: 180_000 },
    async (t) => {
      const lab = createLab(t);
      const relay = await lab.postfix({
        role: 'relay',
        domains: ['world.test'],
        users: { 'relay-user': 'relay-password' },
        main: { smtpd_tls_auth_only: 'no' },
      });
      const state = await mkdtemp(join(lab.dir, 'state-'));
      const site = createSite({ lab, relay, state, port: await lab.freePort() });
      const { holds, note } = await judge(scenario, site, true);
      t.diagnostic(note);
      assert.ok(holds, note);
    },
  );
