// A whole agent and a whole collector with an authority of its own: enrolled with a code, replaced, revoked, asked, moved to
// another address from a backup. Mail is never held by any of it, and each refusal says what helps.
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { decodeCode, encodeCode } from '#shared/enrolment.ts';
import { createLog } from '#shared/log.ts';
import { createAgent } from '../../agent/agent.ts';
import { askAgent } from '../../agent/cli/client.ts';
import { runCli } from '../../agent/cli/program.ts';
import { loadAgentConfig } from '../../agent/config.ts';
import { useCode } from '../../agent/enrol.ts';
import { enrol } from '../../agent/telemetry/enrolment.ts';
import { ask, socketPath } from '../../collector/cli/socket.ts';
import { createCollector } from '../../collector/collector.ts';
import { loadCollectorConfig } from '../../collector/config.ts';
import { createLab } from '../lab/lab.ts';
import { waitFor } from '../lab/wait.ts';

const log = createLog({ name: 'test', level: 'silent' });
const typed = '# our office\ntenant: acme\nagent: nas-1\nstate: state # on the first volume\n';

/** Short: the path of a unix socket is. */
function place(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'mf-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function startCollector(
  t: TestContext,
  options: { readonly port: number; readonly page: number; readonly urls: readonly string[]; readonly from?: string },
) {
  const folder = place(t);
  if (options.from !== undefined) cpSync(options.from, join(folder, 'state'), { recursive: true });
  const file = join(folder, 'collector.yaml');
  writeFileSync(
    file,
    `state: state\nweb: {port: ${options.page}}\nbroker: {kind: embedded, port: ${options.port}, urls: ${JSON.stringify(options.urls)}}\n`,
  );
  const collector = createCollector({ loaded: loadCollectorConfig(file), log });
  await collector.start();
  t.after(() => collector.stop());
  const give = (input: string, verb: string, ...words: readonly string[]) =>
    ask(socketPath(join(folder, 'state')), { verb, words, options: { input } });
  const say = (verb: string, ...words: readonly string[]) =>
    ask(socketPath(join(folder, 'state')), { verb, words, options: {} });
  const code = async (): Promise<string> => (await say('enrol', 'acme', 'nas-1'))[0] ?? '';
  return { stop: () => collector.stop(), folder, say, give, code };
}

async function setup(t: TestContext) {
  const lab = createLab(t);
  const [port, page] = [await lab.freePort(), await lab.freePort()];
  const urls = ['mqtts://localhost:' + port];
  const collector = await startCollector(t, { port, page, urls });
  const folder = place(t);
  const file = join(folder, 'agent.yaml');
  writeFileSync(file, typed);
  /** `mailferry` as a person types it; what it printed and how it ended. */
  const mailferry = async (input: string, ...args: readonly string[]) => {
    let text = '';
    const add = (more: string): void => void (text += more);
    const code = await runCli(['--config', file, ...args], {
      out: add,
      error: add,
      folder,
      now: Date.now,
      readInput: async () => input,
    });
    return { code, text };
  };
  const startAgent = async () => {
    const agent = createAgent({ loaded: loadAgentConfig(file), log, version: '1.0.0' });
    await agent.start();
    t.after(() => agent.stop());
    return agent;
  };
  const status = async (): Promise<string> =>
    JSON.stringify(
      await askAgent({
        path: join(folder, 'state', 'agent.sock'),
        request: { command: 'status', arguments: {} },
        timeoutMs: 10_000,
      }),
    );
  const connected = async (): Promise<boolean> => (await status()).includes('"connected":true');
  return { lab, port, page, urls, collector, folder, file, mailferry, startAgent, status, connected };
}

test('a code makes an agent known: wrong ones are refused in words, the configuration keeps what was typed, the secret is in its own file', async (t) => {
  const site = await setup(t);
  const { mailferry, collector, file, folder } = site;
  const code = await collector.code();
  const value = decodeCode(code);
  const refusals: readonly (readonly [string, RegExp])[] = [
    ['', /nothing was given, expected the whole text that `mailferry-collector enrol` printed/],
    [code.slice(0, -3), /some are missing or wrong/],
    ['hunter2', /this is no code/],
    [encodeCode({ ...value, agent: 'nas-2' }), /the code is for acme\/nas-2, and option agent in .* is "nas-1"/],
    [encodeCode({ ...value, fingerprint: 'ab'.repeat(32) }), /another authority than the code names/],
    [
      encodeCode({ ...value, urls: ['mqtts://localhost:1'] }),
      /localhost:1: ECONNREFUSED.*, expected the collector that gave the code; nothing was changed/,
    ],
    [
      encodeCode({ ...value, secret: 'A'.repeat(32) }),
      /does not know this code, it was used or has expired, expected a fresh one/,
    ],
  ];
  for (const [given, words] of refusals) {
    const { code: exit, text } = await mailferry(given, 'enrol');
    assert.equal(exit, 2, text);
    assert.match(text, words);
    assert.equal(readFileSync(file, 'utf8'), typed);
  }
  writeFileSync(join(folder, 'code'), code.slice(0, 40) + '\n' + code.slice(40) + '\n');
  const done = await mailferry('', 'enrol', '--file', 'code');
  assert.deepEqual([done.code, done.text.includes('acme/nas-1 reports to ' + site.urls[0])], [0, true], done.text);
  const text = readFileSync(file, 'utf8');
  assert.ok(text.startsWith(typed), text);
  const secretFile = join(folder, 'secrets', 'report');
  const secret = readFileSync(secretFile, 'utf8').trim();
  assert.match(secret, /^[A-Za-z0-9_-]{22,}$/);
  assert.equal(statSync(secretFile).mode & 0o077, 0);
  assert.ok(!(done.text + text).includes(secret) && !text.includes(value.secret));
  assert.ok(!existsSync(file + '.enrolment'));
  await site.startAgent();
  await waitFor('the connection', site.connected);
  await waitFor('an acknowledgement', async () => (await collector.say('agents')).join().includes('online'));
  assert.match(
    (await mailferry(code, 'enrol')).text,
    /expected a fresh one|expected a (?:code|new one)/,
    'a used code',
  );
});

test('a code whose answer was lost works again, and gives the same password', async (t) => {
  const { collector, file, mailferry, folder } = await setup(t);
  const code = await collector.code();
  // As if the machine had died after the collector's yes and before the configuration was written.
  await mailferry(encodeCode({ ...decodeCode(code), urls: ['mqtts://localhost:1'] }), 'enrol');
  const pending = file + '.enrolment';
  assert.ok(existsSync(pending), 'the password is on the disk before anybody is told');
  rmSync(pending);
  const secret = 's'.repeat(32);
  await enrol({ code: decodeCode(code), secret, version: '1', signal: new AbortController().signal, now: Date.now });
  const { createHash } = await import('node:crypto');
  writeFileSync(pending, JSON.stringify({ of: createHash('sha256').update(code).digest('hex'), secret }));
  const { code: exit, text } = await mailferry(code, 'enrol');
  assert.equal(exit, 0, text);
  assert.equal(readFileSync(join(folder, 'secrets', 'report'), 'utf8').trim(), secret);
});

test('a code that a wizard left is used at the start, kept while the collector is away, and thrown away when it is refused', async (t) => {
  const { collector, file, folder } = await setup(t);
  const code = await collector.code();
  const left = join(folder, 'enrolment-code');
  const use = () =>
    useCode({ configFile: file, file: left, version: '1', signal: new AbortController().signal, now: Date.now, log });
  writeFileSync(left, encodeCode({ ...decodeCode(code), urls: ['mqtts://localhost:1'] }));
  await use();
  assert.ok(existsSync(left));
  writeFileSync(left, code);
  await use();
  assert.ok(!existsSync(left));
  assert.match(readFileSync(file, 'utf8'), /report:/);
  writeFileSync(left, code);
  await use();
  assert.ok(!existsSync(left), 'a used one');
});

test('a replaced agent is out at once, is told to enrol again, and comes back with a new code without a restart; a revoked one stays out', async (t) => {
  const site = await setup(t);
  const { collector, mailferry } = site;
  assert.equal((await mailferry(await collector.code(), 'enrol')).code, 0);
  await site.startAgent();
  await waitFor('the connection', site.connected);
  const [fresh = ''] = await collector.say('rotate', 'acme', 'nas-1');
  const toldOut = async (): Promise<boolean> => /does not let acme\/nas-1 in: .*enrol again/.test(await site.status());
  await waitFor('the end of it', toldOut);
  assert.match(await site.status(), /Mail goes on, reports are kept/);
  assert.equal((await mailferry(fresh, 'enrol')).code, 0);
  await waitFor('the return', site.connected, { timeoutMs: 30_000 });
  await collector.say('revoke', 'acme', 'nas-1');
  await waitFor('the end of it', toldOut);
});

test('the collector asks: it sees no address, changes nothing without leave, and its proposal waits for a person', async (t) => {
  const site = await setup(t);
  const { collector, mailferry, file } = site;
  await mailferry(await collector.code(), 'enrol');
  await site.startAgent();
  await waitFor('the connection', site.connected);
  const asked = async (...words: readonly string[]): Promise<string> =>
    (await collector.say('ask', 'acme', 'nas-1', ...words).catch((error: unknown) => [String(error)])).join('\n');
  assert.match(await asked('status'), /"tenant":\s*"acme"/);
  assert.match(
    await asked('queue flush'),
    /does not allow it; option report\.allow there would have to name "queue flush"/,
  );
  assert.match(await asked('adopt'), /can be said at the agent alone/);
  const text = JSON.stringify({ note: 'quieter', edits: [{ kind: 'set', path: ['logLevel'], value: 'warn' }] });
  const proposed = await collector.give(text, 'configure', 'acme', 'nas-1');
  const [, fingerprint = 'none'] = /^sealed to the key (\S+)/.exec(proposed[0] ?? '') ?? [];
  assert.ok(
    (await mailferry('', 'key')).text.includes('fingerprint ' + fingerprint),
    'the key that was sealed to is this one',
  );
  assert.match(proposed.join('\n'), /waits: a person at the agent must accept it/);
  const list = await mailferry('', 'change', 'list');
  assert.match(list.text, /quieter\n +logLevel: "warn"/);
  assert.match((await mailferry('', 'status')).text, /1 proposed by the collector wait for an answer/);
  const id = /change accept (\S+)/.exec(list.text)?.[1] ?? '';
  assert.equal((await mailferry('', 'change', 'accept', id)).code, 0);
  assert.match(readFileSync(file, 'utf8'), /^logLevel: warn$/m);
  await waitFor('the collector to know', async () => /done/.test((await collector.say('audit')).join('\n')));
  const audit = await mailferry('', 'audit');
  assert.match(
    audit.text,
    /configure \(sealed\) +done[\s\S]*adopt +refused[\s\S]*queue flush +refused[\s\S]*status +done/,
  );
});

test('a collector that moved, from a backup on another machine, is found without a visit to the agent', async (t) => {
  const site = await setup(t);
  const { collector, lab } = site;
  const [port, page] = [await lab.freePort(), await lab.freePort()];
  const backup = join(place(t), 'backup');
  await collector.stop();
  // Before it moves it says where it will be.
  const both = [...site.urls, 'mqtts://localhost:' + port];
  const before = await startCollector(t, {
    port: site.port,
    page: site.page,
    urls: both,
    from: join(collector.folder, 'state'),
  });
  await site.mailferry(await before.code(), 'enrol');
  await site.startAgent();
  await waitFor('the connection', site.connected);
  await waitFor('its place to be known', () => existsSync(join(site.folder, 'state', 'site.json')));
  await before.say('backup', backup);
  await before.stop();
  const after = await startCollector(t, { port, page, urls: ['mqtts://localhost:' + port], from: backup });
  await waitFor('the agent there', async () => (await after.say('agents')).join().includes('online'), {
    timeoutMs: 40_000,
  });
  await waitFor(
    'what it says about the new place',
    () => !readFileSync(join(site.folder, 'state', 'site.json'), 'utf8').includes(':' + site.port),
  );
});
