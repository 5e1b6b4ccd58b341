// Enrolment, replacement and loss of accounts, on the whole collector with its own authority, asked the way a person asks.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { createLog } from '#shared/log.ts';
import { systemClock } from '#shared/clock.ts';
import { topicOf } from '#shared/topics.ts';
import type { Address } from '#shared/topics.ts';
import { decodeAck, decodeCommand, decodeSite, encodeReply } from '#shared/wire.ts';
import { ask, socketPath } from '../../collector/cli/socket.ts';
import { createCollector } from '../../collector/collector.ts';
import { loadCollectorConfig } from '../../collector/config.ts';
import { createLab } from '../lab/lab.ts';
import { waitFor } from '../lab/wait.ts';
import { enrol, enterAsAgent, report } from './enrolled-agent.ts';
import type { Entered } from './enrolled-agent.ts';

const origin: Address = { tenant: 'acme', agent: 'nas-1' };
const log = createLog({ name: 'test', level: 'silent' });

async function setup(t: TestContext) {
  const lab = createLab(t);
  const ports = { mqtt: await lab.freePort(), web: await lab.freePort(), page: await lab.freePort() };
  const time = { ahead: 0 };
  const clock = { ...systemClock, now: () => Date.now() + time.ahead };
  const places: string[] = [];
  const entered: Entered[] = [];
  t.after(() => entered.forEach(({ end }) => end()));

  /** On a state folder of its own, or on a copy of a backup. */
  async function start(options: { readonly from?: string; readonly urls?: readonly string[] } = {}) {
    // Short: the path of a unix socket is.
    const folder = mkdtempSync(join(tmpdir(), 'mf-'));
    places.push(folder);
    if (options.from !== undefined) cpSync(options.from, join(folder, 'state'), { recursive: true });
    const urls = options.urls ?? ['mqtts://localhost:' + ports.mqtt, 'wss://localhost:' + ports.web + '/mqtt'];
    const file = join(folder, 'collector.yaml');
    writeFileSync(
      file,
      `state: state
web: {port: ${ports.page}}
broker: {kind: embedded, port: ${ports.mqtt}, websocketPort: ${ports.web}, urls: ${JSON.stringify(urls)}}
`,
    );
    const collector = createCollector({ loaded: loadCollectorConfig(file), log, clock });
    await collector.start();
    t.after(() => collector.stop());
    const path = socketPath(join(folder, 'state'));
    const say = (verb: string, words: readonly string[] = [], more: Readonly<Record<string, string>> = {}) =>
      ask(path, { verb, words, options: more });
    const codeFor = async (agent = origin): Promise<string> =>
      (await say('enrol', [agent.tenant, agent.agent]))[0] ?? '';
    return { collector, folder, file, say, codeFor };
  }
  t.after(() => places.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

  async function come(have: { readonly url: string; readonly secret: string; readonly ca: string | undefined }) {
    const result = await enterAsAgent(have.url, origin, {
      password: have.secret,
      ...(have.ca === undefined ? {} : { ca: have.ca }),
    });
    if (typeof result !== 'string') entered.push(result);
    return result;
  }
  return { lab, time, ports, start, come };
}

async function good<T>(result: Promise<T | string>): Promise<T> {
  const value = await result;
  if (typeof value === 'string') throw new Error('was refused: ' + value);
  return value;
}
const refusal = (result: unknown): string => (typeof result === 'string' ? result : 'was taken');
const acknowledged = (agent: Entered): number =>
  Math.max(
    0,
    ...agent.heard('ack').map((text) => {
      const ack = decodeAck(Buffer.from(text));
      return ack.ok ? ack.value.seq : 0;
    }),
  );

test('an agent enrols with a code, is told where the collector is, and reports; over WebSockets too', async (t) => {
  const { start, come, ports } = await setup(t);
  const { codeFor, say } = await start();
  const have = await good(enrol(await codeFor()));
  const agent = await good(come(have));
  report(agent, origin, 1);
  await waitFor('the acknowledgement', () => acknowledged(agent) === 1);
  await waitFor('the site', () => agent.heard('site').length > 0);
  const site = decodeSite(Buffer.from(agent.heard('site')[0] ?? ''));
  assert.ok(site.ok);
  assert.deepEqual(site.value.urls, ['mqtts://localhost:' + ports.mqtt, 'wss://localhost:' + ports.web + '/mqtt']);
  assert.deepEqual(site.value.authorities, [have.ca]);
  assert.match((await say('agents'))[0] ?? '', /^acme\/nas-1 +enrolled +online$/);
  agent.end();
  const other = await good(come({ ...have, url: 'wss://localhost:' + ports.web + '/mqtt' }));
  report(other, origin, 2);
  await waitFor('the acknowledgement', () => acknowledged(other) === 2);
});

test('a code works once: the same agent may ask again, another one is refused, and so is a late one', async (t) => {
  const { start, come, time } = await setup(t);
  const { codeFor } = await start();
  const code = await codeFor();
  const have = await good(enrol(code));
  assert.deepEqual(await good(enrol(code, { secret: have.secret })), have, 'its answer was lost');
  assert.match(refusal(await enrol(code)), /^the code was used already, expected a new one/);
  await good(come(have));
  const late = await codeFor({ ...origin, agent: 'nas-2' });
  time.ahead = 25 * 3_600_000;
  assert.match(refusal(await enrol(late)), /^the code has expired.*run `mailferry-collector enrol` again/);
  const withdrawn = await codeFor({ ...origin, agent: 'nas-3' });
  await codeFor({ ...origin, agent: 'nas-3' });
  assert.match(refusal(await enrol(withdrawn)), /Not authorized|Bad user/i);
});

test('an agent that is enrolled goes on while a new code is out, and is thrown out when it is used', async (t) => {
  const { start, come } = await setup(t);
  const { codeFor } = await start();
  const have = await good(enrol(await codeFor()));
  const first = await good(come(have));
  const code = await codeFor();
  report(first, origin, 1);
  await waitFor('the acknowledgement', () => acknowledged(first) === 1);
  const again = await good(enrol(code));
  await waitFor('the end of the first', () => !first.client.connected);
  assert.equal(typeof (await come(have)), 'string');
  await good(come(again));
});

for (const verb of ['revoke', 'rotate'] as const)
  test(verb + ' throws the agent out at once, and it does not come back without a new code', async (t) => {
    const { start, come } = await setup(t);
    const { codeFor, say } = await start();
    const have = await good(enrol(await codeFor()));
    const agent = await good(come(have));
    report(agent, origin, 1);
    await waitFor('the acknowledgement', () => acknowledged(agent) === 1);
    const lines = await say(verb, ['acme', 'nas-1']);
    await waitFor('the end', () => !agent.client.connected);
    assert.equal(typeof (await come(have)), 'string');
    const code = verb === 'rotate' ? (lines[0] ?? '') : await codeFor();
    const next = await good(come(await good(enrol(code))));
    report(next, origin, 2);
    await waitFor('the acknowledgement', () => acknowledged(next) === 2);
    const actions = (await say('audit')).map((line) => line.split('  ')[2]);
    assert.deepEqual(actions, ['enrolled', 'invited', 'revoked', 'enrolled', 'invited']);
  });

test('a collector that is put back from its backup, at a new address too, is believed without a visit', async (t) => {
  const { start, come, ports } = await setup(t);
  const first = await start();
  const have = await good(enrol(await first.codeFor()));
  const agent = await good(come(have));
  report(agent, origin, 1);
  await waitFor('the acknowledgement', () => acknowledged(agent) === 1);
  const backup = join(first.folder, 'backup');
  await first.say('backup', [backup]);
  await assert.rejects(first.say('backup', [backup]), /it is not empty, expected an empty folder/);
  report(agent, origin, 2);
  await waitFor('the acknowledgement', () => acknowledged(agent) === 2);
  agent.end();
  await first.collector.stop();
  // The agent knows the old address; the new one is a name more.
  const second = await start({
    from: backup,
    urls: ['mqtts://localhost:' + ports.mqtt, 'mqtts://127.0.0.1:' + ports.mqtt],
  });
  const back = await good(come(have));
  // What was reported after the backup is unknown to it; the outbox of the agent begins with 3 by now.
  report(back, origin, 3);
  await waitFor('the acknowledgement of what it has', () => back.heard('ack').length > 0);
  await waitFor('the site', () => back.heard('site').length > 0);
  const site = decodeSite(Buffer.from(back.heard('site')[0] ?? ''));
  assert.ok(site.ok && site.value.urls.includes('mqtts://127.0.0.1:' + ports.mqtt));
  back.end();
  const moved = await good(come({ ...have, url: 'mqtts://127.0.0.1:' + ports.mqtt }));
  assert.ok(moved.client.connected);
  await second.collector.stop();
});

test('a command reaches the agent once it is there, its reply is printed, and the audit knows both', async (t) => {
  const { start, come } = await setup(t);
  const { codeFor, say } = await start();
  const have = await good(enrol(await codeFor()));
  const agent = await good(come(have));
  const asked = say('ask', ['acme', 'nas-1', 'fetch', 'account=info']);
  await waitFor('the command', () => agent.heard('cmd').length > 0);
  const command = decodeCommand(Buffer.from(agent.heard('cmd')[0] ?? ''));
  assert.ok(command.ok);
  const { id, name, args, expires } = command.value;
  assert.deepEqual([name, args], ['fetch', { account: 'info' }]);
  assert.ok(expires > Date.now() && expires <= Date.now() + 60_000);
  // It did not hear it, or forgot it in a restart.
  agent.end();
  const again = await good(come(have));
  await waitFor('the same command', () => again.heard('cmd').length > 0);
  assert.equal(again.heard('cmd')[0], agent.heard('cmd')[0]);
  const forged = encodeReply({ id: 'c-00000000', at: 1, outcome: 'done', text: 'never asked' });
  await again.client.publishAsync(topicOf(origin, 'reply'), forged, { qos: 1 });
  const reply = encodeReply({ id, at: Date.now(), outcome: 'done', result: { mails: 3 } });
  await again.client.publishAsync(topicOf(origin, 'reply'), reply, { qos: 1 });
  assert.deepEqual(await asked, ['done', '{\n  "mails": 3\n}']);
  const told = (await say('audit')).join('\n');
  assert.match(told, new RegExp('reply  ' + id + ' done'));
  assert.match(told, new RegExp('command  command line asked for fetch \\(' + id + '\\)'));
  assert.doesNotMatch(told, /never asked/);
  again.end();
  const last = await good(come(have));
  report(last, origin, 1);
  await waitFor('the acknowledgement', () => acknowledged(last) === 1);
  assert.deepEqual(last.heard('cmd'), [], 'what was answered is not said again');
});

test('the command line says what is wrong and what would be right', async (t) => {
  const { start } = await setup(t);
  const { file, collector, say } = await start();
  const cli = async (...args: readonly string[]): Promise<{ readonly code: number; readonly text: string }> => {
    const program = join(import.meta.dirname, '../../collector/cli/main.ts');
    try {
      const { stdout } = await promisify(execFile)(process.execPath, [program, ...args]);
      return { code: 0, text: stdout };
    } catch (error) {
      const { code, stderr } = error as { readonly code: number; readonly stderr: string }; // of execFile
      return { code, text: stderr };
    }
  };
  const [made, none] = [
    await cli('--config', file, 'enrol', 'acme', 'nas-9', '--hours', '2'),
    await cli('enrol', 'acme', 'nas-9'),
  ];
  assert.match(made.text, /^MF1\S+\n\nWorks once, for agent acme\/nas-9, until /);
  assert.equal(none.code, 2);
  assert.match(none.text, /no configuration given, expected --config FILE/);
  await assert.rejects(say('enrol', ['Acme', 'nas-9']), /Cannot enrol "Acme": not a name, expected a-z, 0-9 and -/);
  await assert.rejects(say('dance'), /Cannot do "dance", expected one of enrol, rotate, revoke/);
  await assert.rejects(
    say('enrol', ['acme', 'nas-9'], { hours: '0' }),
    /--hours 0, expected a whole number from 1 to 720/,
  );
  await assert.rejects(say('revoke', ['acme', 'nobody']), /it is not enrolled/);
  await assert.rejects(say('enrol', ['acme']), /expected TENANT AGENT/);
  await collector.stop();
  assert.match(
    (await cli('--config', file, 'agents')).text,
    /Cannot reach the collector at .*: it does not run, expected it to run/,
  );
});
