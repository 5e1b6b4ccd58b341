// What goes wrong around an agent, end to end: each trouble is one clear state in log, status and measurement; nothing is lost
// or doubled; whom it does not concern does not notice; and when it is mended, mail arrives.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { askAgent } from '../../agent/cli/client.ts';
import type { Child } from '../lab/child.ts';
import { createLab } from '../lab/lab.ts';
import { mountSmallDisk } from '../lab/small-disk.ts';
import { waitFor } from '../lab/wait.ts';
import { agentAccount, startCollector } from './estate.ts';
import { incoming } from './mails.ts';
import { startProgram } from './programs.ts';

const names = ['right', 'certificate', 'password', 'host'] as const;
type Name = (typeof names)[number];
const addressOf = (name: Name): string => name + '@example.org';
const password = 'right-password';
const users = Object.fromEntries(names.map((name) => [addressOf(name), password]));

type Told = { readonly account: string; readonly up: boolean; readonly error: string; readonly problem: string };

async function startSite(t: TestContext) {
  const lab = createLab(t);
  const [provider, local] = await Promise.all([lab.dovecot({ users }), lab.dovecot({ users })]);
  const [mqttPort, pagePort, nobody] = [await lab.freePort(), await lab.freePort(), await lab.freePort()];
  const { caFile } = await lab.certificate();
  const folder = join(lab.dir, 'agent');
  const disk = mountSmallDisk(join(folder, 'state'), 12);
  lab.onStop(disk.unmount);
  await startCollector(lab, { password, mqttPort, pagePort });
  const account = (name: Name, more: object) => ({
    id: name,
    host: '127.0.0.1',
    port: provider.pop3s,
    caFile,
    user: addressOf(name),
    password: { file: 'secret' },
    recipients: [addressOf(name)],
    firstRun: 'all',
    keep: 'none',
    intervalSeconds: 1,
    ...more,
  });
  let serial = 0;
  const api = async (path: string): Promise<unknown> => {
    const response = await fetch('http://127.0.0.1:' + pagePort + '/api/agents/acme/nas-1' + path);
    return response.json();
  };
  return {
    provider,
    local,
    disk,
    nobody,
    async startAgent(mended: boolean): Promise<Child> {
      const agent = await startProgram({
        program: 'agent',
        folder,
        secrets: { secret: password, wrong: mended ? password : 'wrong-password' },
        config: {
          tenant: agentAccount.tenant,
          agent: agentAccount.agent,
          state: 'state',
          local: { protocol: 'lmtp', host: local.host, port: local.lmtp, domains: ['example.org'] },
          accounts: [
            account('right', {}),
            account('certificate', mended ? {} : { caFile: undefined }),
            account('password', { password: { file: 'wrong' } }),
            account('host', mended ? {} : { port: nobody }),
          ],
          report: { url: 'mqtt://127.0.0.1:' + mqttPort, password: { file: 'secret' }, flushSeconds: 1 },
        },
      });
      lab.onStop(() => agent.stop());
      return agent;
    },
    setPassword: (text: string) => writeFileSync(join(folder, 'wrong'), text, { mode: 0o600 }),
    async put(name: Name, count: number): Promise<void> {
      for (let n = 0; n < count; n += 1) {
        serial += 1;
        await provider.put(addressOf(name), incoming({ serial, to: addressOf(name) }));
      }
    },
    waiting: (name: Name): Promise<number> => provider.count(addressOf(name)),
    arrived: (name: Name): Promise<number> => local.count(addressOf(name)),
    async status(): Promise<string> {
      const path = join(folder, 'state', 'agent.sock');
      return JSON.stringify(await askAgent({ path, request: { command: 'status', arguments: {} }, timeoutMs: 10_000 }));
    },
    /** What the collector knows of a mailbox. */
    async measured(name: Name): Promise<Told | undefined> {
      const { accounts } = (await api('')) as { readonly accounts?: readonly Told[] }; // docs/api.md
      return accounts?.find(({ account: id }) => id === name);
    },
    /** Values of `up` of a mailbox that were measured since then. */
    async upSince(name: Name, from: number): Promise<readonly number[]> {
      const query = '/series?metric=account&field=up&step=1&aggregate=last&from=' + from + '&to=' + Date.now();
      const { series } = (await api(query)) as {
        readonly series: readonly {
          readonly tags: Readonly<Record<string, string>>;
          readonly values: readonly (readonly [number, number])[];
        }[];
      }; // docs/api.md
      const found = series.filter(({ tags }) => tags['account'] === name);
      return found.flatMap(({ values }) => values.map(([, value]) => value));
    },
  };
}

test('wrong certificate, password and host, a dead local server, a full disk: told clearly, nothing lost, others unaffected', async (t) => {
  const site = await startSite(t);
  for (const name of names) await site.put(name, 2);
  let agent = await site.startAgent(false);

  const troubles: readonly (readonly [Name, string, RegExp])[] = [
    ['certificate', 'certificate', /certificate at 127\.0\.0\.1:\d+: Cannot start TLS.*expected a valid certificate/],
    ['password', 'login', /password at 127\.0\.0\.1:\d+: login refused.*check user and password/],
    ['host', 'connect', new RegExp('host at 127\\.0\\.0\\.1:' + site.nobody + ': Cannot connect.*ECONNREFUSED')],
  ];
  await waitFor('the mails of the right one', async () => (await site.arrived('right')) === 2);
  for (const [name, error, problem] of troubles) {
    await waitFor('a line about ' + name, () =>
      agent
        .log()
        .split('\n')
        .some((line) => problem.test(line)),
    );
    assert.match(await site.status(), problem);
    await waitFor('the measurement of ' + name, async () => (await site.measured(name))?.error === error);
    const told = (await site.measured(name)) ?? assert.fail();
    assert.equal(told.up, false);
    assert.match(told.problem, problem);
    assert.deepEqual([await site.waiting(name), await site.arrived(name)], [2, 0]);
  }
  await site.put('right', 1);
  await waitFor('the next mail of the right one', async () => (await site.arrived('right')) === 3);
  await waitFor('its measurement', async () => (await site.measured('right'))?.error === 'none');

  await site.local.stop();
  await site.put('right', 2);
  await waitFor('the local server to be missed', async () => (await site.measured('right'))?.error === 'local');
  assert.match((await site.measured('right'))?.problem ?? '', /^right: .*ECONNREFUSED/);
  assert.match(await site.status(), /"local":\{"problem":"[^"]*ECONNREFUSED/);
  assert.ok(agent.log().includes('local server is out of reach'));
  assert.equal(await site.waiting('right'), 2);
  await site.local.start();
  await waitFor('what waited', async () => (await site.arrived('right')) === 5, { timeoutMs: 40_000 });
  await waitFor('all to be well', async () => (await site.measured('right'))?.error === 'none');

  const filledAt = Date.now();
  const free = site.disk.fill();
  await site.put('right', 4);
  const full = /right[^"]*(?:disk is full|ENOSPC)/;
  await waitFor('the disk to be missed', async () => full.test(await site.status()), { timeoutMs: 30_000 });
  assert.ok(
    agent
      .log()
      .split('\n')
      .some((line) => full.test(line)),
  );
  await waitFor('its measurement', async () => (await site.measured('right'))?.error === 'disk');
  assert.match((await site.measured('right'))?.problem ?? '', full);
  assert.ok((await site.waiting('right')) >= 4, 'nothing is deleted that is not on record');
  free();
  await waitFor('what waited for room', async () => (await site.waiting('right')) === 0, { timeoutMs: 40_000 });
  assert.equal(await site.arrived('right'), 9);
  // What could not be written then is told now, of then.
  await waitFor('the measurement', async () => (await site.upSince('right', filledAt)).includes(0));

  site.setPassword(password);
  await waitFor('the mails of the mended password', async () => (await site.arrived('password')) === 2, {
    timeoutMs: 30_000,
  });
  await agent.stop();
  agent = await site.startAgent(true);
  for (const name of ['certificate', 'host'] as const)
    await waitFor('the mails of ' + name, async () => (await site.arrived(name)) === 2, { timeoutMs: 30_000 });
  await waitFor('empty mailboxes', async () => {
    const counts = await Promise.all(names.map((name) => site.waiting(name)));
    return counts.every((count) => count === 0);
  });
  assert.deepEqual(await Promise.all(names.map((name) => site.arrived(name))), [9, 2, 2, 2]);
  assert.equal(agent.exit(), undefined);
});
