// The provider's minimum between two logins, asked of the room that fetches.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pino } from 'pino';
import { createAgent } from '../../../agent/agent.ts';
import { askAgent } from '../../../agent/cli/client.ts';
import { loadAgentConfig } from '../../../agent/config.ts';
import { createLab } from '../../lab/lab.ts';
import { waitFor } from '../../lab/wait.ts';

const head = 'tenant: acme\nagent: nas-1\nstate: state\n';

test('fetch does not log in under the minimum, and answers at once', async (t) => {
  const lab = createLab(t);
  const pop3 = await lab.scriptedPop3({});
  const configFile = join(lab.dir, 'agent.yaml');
  writeFileSync(join(lab.dir, 'password'), 'secret\n');
  writeFileSync(
    configFile,
    head +
      'local: {domains: [example.org]}\naccounts:\n' +
      '  - id: info\n    preset: gmail\n    host: 127.0.0.1\n    port: ' +
      pop3.port +
      '\n    tls: none\n' +
      '    user: info@example.org\n    password: {file: password}\n    recipients: [info@example.org]\n',
  );
  const agent = createAgent({ loaded: loadAgentConfig(configFile), log: pino({ level: 'silent' }), version: '0.0.0' });
  t.after(agent.stop);
  await agent.start();
  await waitFor('the first round', () => pop3.commands.includes('QUIT'));
  for (let n = 0; n < 2; n += 1) {
    const request = { command: 'fetch', arguments: {} };
    const answer = await askAgent({ path: join(lab.dir, 'state', 'agent.sock'), request, timeoutMs: 10_000 });
    assert.equal(answer.ok, true, JSON.stringify(answer));
  }
  assert.equal(pop3.opened(), 1);
});

test('pins without TLS are refused with the option, not passed over', (t) => {
  const lab = createLab(t);
  const file = join(lab.dir, 'agent.yaml');
  const pins = 'pins: [sha256/' + 'A'.repeat(43) + '=]';
  writeFileSync(file, head + 'local: {domains: [example.org], ' + pins + '}\n');
  assert.throws(() => loadAgentConfig(file), /option local\.pins: found pins although tls is none/);
  writeFileSync(
    file,
    head + 'relays: [{id: r, host: mail.example.net, tls: none, user: u, password: {env: P}, ' + pins + '}]\n',
  );
  assert.throws(() => loadAgentConfig(file), /option relays\[0\]\.pins: found pins although tls is none/);
  writeFileSync(file, head + 'local: {domains: [example.org], tls: starttls, ' + pins + '}\n');
  assert.deepEqual(loadAgentConfig(file).value.local?.pins?.length, 1);
  writeFileSync(file, head + 'local: {domains: [example.org], tls: starttls, pins: [sha1/abc]}\n');
  assert.throws(
    () => loadAgentConfig(file),
    /local\.pins\[0\]: found "sha1\/abc", expected sha256\/ and 44 characters/,
  );
});
