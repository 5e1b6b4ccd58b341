// Both programs as a person starts them: what they say about a mistake, and how they end.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

function run(program: 'agent' | 'collector', options: { readonly text?: string; readonly args?: readonly string[] }) {
  const folder = mkdtempSync(join(tmpdir(), 'mailferry-program-'));
  try {
    const file = join(folder, program + '.yaml');
    if (options.text !== undefined) writeFileSync(file, options.text);
    const main = fileURLToPath(new URL('../../' + program + '/main.ts', import.meta.url));
    const { status, stderr, stdout } = spawnSync(process.execPath, [main, ...(options.args ?? ['--config', file])], {
      encoding: 'utf8',
      timeout: 20_000,
    });
    return { status, stdout, stderr: stderr.replaceAll(folder + '/', '') };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

for (const program of ['agent', 'collector'] as const) {
  test(program + ' without --config says what to give, on one line, and the usage', () => {
    const { status, stderr } = run(program, { args: [] });
    assert.equal(status, 2);
    assert.deepEqual(stderr.trimEnd().split('\n'), [
      'Cannot start: no configuration given, expected --config FILE',
      'Usage: npm run ' + program + ' -- --config FILE',
    ]);
  });

  test(program + ' refuses an unknown argument', () => {
    const { status, stderr } = run(program, { args: ['--confg', 'x'] });
    assert.equal(status, 2);
    assert.match(stderr, /Unknown option '--confg'/);
  });

  test(program + ' names file, line, option, what was found and what was expected', () => {
    const text = program === 'agent' ? 'tenant: acme\nagent: nas-1\nstate: s\nrelais: []\n' : 'state: s\nbrokr: {}\n';
    const { status, stderr } = run(program, { text });
    assert.equal(status, 2);
    const [option, line, near] = program === 'agent' ? ['relais', 4, 'relays'] : ['brokr', 2, 'broker'];
    assert.equal(
      stderr,
      `${program}.yaml:${line}: option ${option}: found an unknown option, expected ${near} (the nearest known option)\n`,
    );
  });

  test(program + ' says that the configuration is not there', () => {
    const { status, stderr } = run(program, {});
    assert.equal(status, 2);
    assert.match(stderr, /^Cannot read configuration .*: found no such file, expected a readable YAML file\n$/);
  });

  test(program + ' --help shows the usage and ends well', () => {
    const { status, stdout } = run(program, { args: ['--help'] });
    assert.equal(status, 0);
    assert.match(stdout, /^Usage: /);
  });
}

test('agent names the option whose secret is missing', () => {
  const text = 'tenant: acme\nagent: nas-1\nstate: s\nreport: {url: "mqtt://127.0.0.1:1", password: {file: nowhere}}\n';
  const { status, stderr } = run('agent', { text });
  assert.equal(status, 2);
  assert.equal(
    stderr,
    'agent.yaml:4: option report.password.file: found nowhere which cannot be read: ENOENT, expected a readable file that holds the secret\n',
  );
});
