// Block lists as an operator meets them: the agent's own process asks a real rbldnsd, `mailferry check dnsbl` says what was
// found, with the exit codes of monitoring tools, and the key of a list is in nothing that can be seen.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createLab } from '../lab/lab.ts';
import { waitFor } from '../lab/wait.ts';
import { startProgram } from './programs.ts';

const key = 'abcdefghij1234567890klmnop';
const patient = { timeoutMs: 60_000, everyMs: 300 };
const listing = [':127.0.0.2:listed, see https://example.net/$', '127.0.0.2'];

type Finding = { readonly target: string; readonly check: string; readonly level: string; readonly text: string };
type Checked = { readonly level: string; readonly findings: readonly Finding[] };

async function createSite(t: TestContext) {
  const lab = createLab(t);
  const zones = { 'bl.test': listing, 'other.test': listing, [key + '.paid.test']: listing };
  const lists = await lab.rbldnsd({ zones, domainZones: { 'dbl.test': [':127.0.0.2:spam', 'test', 'bad.example'] } });
  const folder = join(lab.dir, 'agent');
  const dnsbl = {
    resolver: lists.host + ':' + lists.port,
    zones: [
      'bl.test',
      { zone: 'other.test', kind: 'ip4' },
      { zone: 'paid.test', key: { file: 'key' } },
      { zone: 'dbl.test', kind: 'domain', severity: 'critical' },
    ],
    addresses: ['192.0.2.10'],
    domains: ['good.example'],
    intervalSeconds: 1,
    confirmSeconds: 0,
    clearSeconds: 0,
  };
  const config = { tenant: 'acme', agent: 'nas-1', state: 'state', probe: { dnsbl } };
  const agent = await startProgram({ program: 'agent', folder, config, secrets: { key } });
  lab.onStop(() => agent.stop());
  const main = fileURLToPath(new URL('../../agent/cli/main.ts', import.meta.url));
  const run = (...words: readonly string[]): Promise<{ readonly code: number; readonly out: string }> =>
    new Promise((resolve) => {
      const args = [main, '--config', join(folder, 'agent.yaml'), ...words];
      execFile(process.execPath, args, (error, out, err) => {
        resolve({ code: typeof error?.code === 'number' ? error.code : 0, out: out + err });
      });
    });
  return { agent, lists, run };
}

test('well, listed by two answers, critical, blind, and well again: findings and exit codes', async (t) => {
  const { agent, lists, run } = await createSite(t);
  const outputs: string[] = [];
  /** Until it ends so, and one finding fits. */
  const expectEnd = async (what: string, code: number, fits: (finding: Finding) => boolean): Promise<Checked> => {
    const found = await waitFor(
      what,
      async () => {
        const ran = await run('check', 'dnsbl', '--json');
        outputs.push(ran.out);
        if (ran.code !== code) return undefined;
        const checked = JSON.parse(ran.out) as Checked; // the documented answer
        return checked.findings.some(fits) ? checked : undefined;
      },
      patient,
    );
    return found ?? assert.fail(what);
  };

  const well = await expectEnd('all lists to be clean', 0, ({ level }) => level === 'ok');
  assert.deepEqual(well.findings.map(({ target, check, text }) => [target, check, text].join(' ')).toSorted(), [
    '192.0.2.10 ***.paid.test not listed',
    '192.0.2.10 bl.test not listed',
    '192.0.2.10 other.test not listed',
    'good.example dbl.test not listed',
  ]);

  await lists.set('bl.test', [...listing, '192.0.2.10']);
  const warned = await expectEnd('a warning', 1, ({ check, level }) => check === 'bl.test' && level === 'warning');
  assert.match(warned.findings.find(({ check }) => check === 'bl.test')?.text ?? '', /see https:\/\/example\.net\//);

  await lists.set('dbl.test', [':127.0.0.2:spam', 'test', 'good.example']);
  await expectEnd('a listed domain', 2, ({ target, level }) => target === 'good.example' && level === 'critical');

  await lists.set('dbl.test', [':127.0.0.2:spam', 'test']);
  await lists.set('bl.test', listing);
  await expectEnd('all to be well again', 0, ({ level }) => level === 'ok');

  await lists.stop();
  await expectEnd('no list to be seen', 3, ({ text }) => text.startsWith('no usable answer'));
  const person = await run('check', 'dnsbl');
  assert.equal(person.code, 3);
  assert.match(person.out, /^DNSBL UNKNOWN - /);
  const status = await run('status', '--json');
  assert.doesNotMatch([...outputs, person.out, status.out, agent.log()].join('\n'), new RegExp(key, 'i'));
});
