// The writer of configuration files: what is not changed stays, what would be refused is not written.
import assert from 'node:assert/strict';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { parse } from 'yaml';
import { OptionError } from '#shared/config.ts';
import { UserError } from '#shared/failure.ts';
import { createSettings } from '../../../agent/settings.ts';
import type { Edit, Settings } from '../../../agent/settings.ts';

const typed = `# Our site; ask office@ before changing anything
tenant: acme       # the customer
agent:   nas-1
state: state

local:
    protocol: smtp
    host: 127.0.0.1
    port:     25        # Mail Server
    domains: [ example.org ]   # ours
accounts:
    # the mailbox of everybody
    - id: info
      host: pop.example.net   # the old server
      user: "info@example.org"
      password: {file: info-password}
      recipients:
        - info@example.org
      firstRun: all

    # second one
    - id: sales
      host: pop.example.net
      user: 'sales@example.org'
      password: { env: SALES_PASSWORD }
      recipients: [sales@example.org]
# the end
`;

function site(t: TestContext, text: string = typed): { folder: string; file: string; settings: Settings } {
  const folder = mkdtempSync(join(tmpdir(), 'mailferry-settings-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'agent.yaml');
  writeFileSync(file, text, { mode: 0o640 });
  writeFileSync(join(folder, 'info-password'), 'old\n', { mode: 0o600 });
  return { folder, file, settings: createSettings({ file }) };
}

/** Lines that are in one of the texts alone. */
function differences(a: string, b: string): { readonly gone: readonly string[]; readonly come: readonly string[] } {
  const [before, after] = [a.split('\n'), b.split('\n')];
  return {
    gone: before.filter((line) => !after.includes(line)),
    come: after.filter((line) => !before.includes(line)),
  };
}

const changes: readonly {
  readonly name: string;
  readonly edits: readonly Edit[];
  readonly gone: readonly string[];
  readonly come: readonly string[];
}[] = [
  {
    name: 'a value is changed',
    edits: [{ kind: 'set', path: ['accounts', 0, 'host'], value: 'pop3.example.net' }],
    gone: ['      host: pop.example.net   # the old server'],
    come: ['      host: pop3.example.net # the old server'],
  },
  {
    name: 'a text keeps its quotes',
    edits: [{ kind: 'set', path: ['accounts', 1, 'user'], value: 'sales' }],
    gone: ["      user: 'sales@example.org'"],
    come: ["      user: 'sales'"],
  },
  {
    name: 'an option is added',
    edits: [{ kind: 'set', path: ['accounts', 1, 'keep'], value: { days: 30 } }],
    gone: [],
    come: ['      keep: {days: 30}'],
  },
  {
    name: 'an option is removed',
    edits: [{ kind: 'remove', path: ['accounts', 0, 'firstRun'] }],
    gone: ['      firstRun: all'],
    come: [],
  },
  {
    name: 'a mailbox is added',
    edits: [
      {
        kind: 'add',
        path: ['accounts'],
        value: {
          id: 'post',
          host: 'pop.example.net',
          user: 'post@example.org',
          password: { env: 'POST' },
          recipients: ['info@example.org'],
        },
      },
    ],
    gone: [],
    come: [
      '    - id: post',
      '      user: post@example.org',
      '      password: {env: POST}',
      '      recipients: [info@example.org]',
    ],
  },
  {
    name: 'a mailbox is removed',
    edits: [{ kind: 'remove', path: ['accounts', 1] }],
    gone: [
      '    - id: sales',
      '      host: pop.example.net',
      "      user: 'sales@example.org'",
      '      password: { env: SALES_PASSWORD }',
      '      recipients: [sales@example.org]',
    ],
    come: [],
  },
  {
    name: 'a block is added with a comment',
    edits: [{ kind: 'set', path: ['probe', 'dnsbl', 'domains'], value: ['example.org'] }],
    gone: [],
    come: ['probe:', '    dnsbl:', '        domains: [example.org]'],
  },
];
for (const { name, edits, gone, come } of changes) {
  test('when ' + name + ', every other line stays as it was typed', async (t) => {
    const { file, settings } = site(t);
    const loaded = await settings.change({ edits });
    const text = readFileSync(file, 'utf8');
    const found = differences(typed, text);
    // A comment before an item that is removed belongs to it.
    assert.deepEqual(
      found.gone.filter((line) => !line.includes('# second one')),
      gone,
    );
    assert.deepEqual(found.come, come);
    assert.equal(loaded.file, file);
    assert.equal(readFileSync(file + '.old', 'utf8'), typed, 'the one before is kept');
    assert.equal(statSync(file).mode & 0o777, 0o640, 'the mode stays');
    assert.deepEqual(
      readdirSync(join(file, '..')).filter((one) => one.endsWith('.tmp')),
      [],
    );
  });
}

test('a change to and fro gives the same bytes', async (t) => {
  const { file, settings } = site(t, typed.replaceAll('\n', '\r\n'));
  await settings.change({ edits: [{ kind: 'set', path: ['accounts', 1, 'intervalSeconds'], value: 60 }] });
  assert.match(readFileSync(file, 'utf8'), /intervalSeconds: 60\r\n/);
  await settings.change({ edits: [{ kind: 'remove', path: ['accounts', 1, 'intervalSeconds'] }] });
  assert.equal(readFileSync(file, 'utf8'), typed.replaceAll('\n', '\r\n'));
});

test('what the agent would refuse is not written, and the refusal says which option', async (t) => {
  const { file, settings } = site(t);
  const edits: readonly Edit[] = [
    { kind: 'set', path: ['accounts', 0, 'recipients'], value: ['info@example.com'] },
    { kind: 'secret', path: ['accounts', 0, 'password'], text: 'new', name: 'x' },
  ];
  await assert.rejects(settings.change({ edits }), (error) => {
    assert.ok(error instanceof OptionError);
    assert.deepEqual(error.problems[0]?.path, ['accounts', 0, 'recipients', 0]);
    assert.match(error.message, /agent\.yaml:\d+: option accounts\[0\]\.recipients\[0\]: found "info@example\.com"/);
    return true;
  });
  assert.equal(readFileSync(file, 'utf8'), typed);
  assert.equal(readFileSync(join(file, '..', 'info-password'), 'utf8'), 'old\n');
  assert.deepEqual(readdirSync(join(file, '..')).sort(), ['agent.yaml', 'info-password']);
});

test('a secret goes into its file and never into the configuration', async (t) => {
  const { folder, file, settings } = site(t);
  mkdirSync(join(folder, 'secrets'));
  writeFileSync(join(folder, 'secrets', 'post'), 'of somebody else\n');
  const edits: readonly Edit[] = [
    { kind: 'secret', path: ['accounts', 0, 'password'], text: 'p4: #word', name: 'ignored' },
    {
      kind: 'add',
      path: ['accounts'],
      value: { id: 'post', host: 'pop.example.net', user: 'post', recipients: ['post@example.org'] },
    },
    { kind: 'secret', path: ['accounts', 2, 'password'], text: 'fresh', name: 'post' },
  ];
  const loaded = await settings.change({ edits });
  assert.equal(readFileSync(join(folder, 'info-password'), 'utf8'), 'p4: #word\n');
  assert.equal(readFileSync(join(folder, 'secrets', 'post'), 'utf8'), 'of somebody else\n');
  assert.deepEqual(loaded.value.accounts[2]?.password, { file: 'secrets/post-2' });
  assert.equal(loaded.secret(['accounts', 2, 'password'], { file: 'secrets/post-2' }), 'fresh');
  assert.equal(statSync(join(folder, 'secrets', 'post-2')).mode & 0o777, 0o600);
  assert.doesNotMatch(readFileSync(file, 'utf8'), /fresh|p4/);
  const unusable = (text: string) =>
    settings.change({ edits: [{ kind: 'secret', path: ['accounts', 0, 'password'], text, name: 'x' }] });
  await assert.rejects(unusable('two\nlines'), UserError);
  await assert.rejects(unusable(''), UserError);
  await assert.rejects(
    settings.change({ edits: [{ kind: 'secret', path: ['accounts', 1, 'password'], text: 'x', name: 'x' }] }),
    /stands in the environment variable SALES_PASSWORD/,
  );
  // A mailbox that goes takes its password along, but for one that others use.
  await settings.change({
    edits: [{ kind: 'set', path: ['accounts', 1, 'password'], value: { file: 'info-password' } }],
  });
  await settings.change({ edits: [{ kind: 'remove', path: ['accounts', 2] }] });
  await settings.change({ edits: [{ kind: 'remove', path: ['accounts', 0] }] });
  assert.deepEqual(readdirSync(join(folder, 'secrets')), ['post']);
  assert.deepEqual(readdirSync(folder).sort(), ['agent.yaml', 'agent.yaml.old', 'info-password', 'secrets']);
});

test('two who change the same text do not undo each other', async (t) => {
  const { file, settings } = site(t);
  const { version } = settings.read();
  const first = settings.change({ version, edits: [{ kind: 'set', path: ['accounts', 0, 'user'], value: 'a' }] });
  const second = settings.change({ version, edits: [{ kind: 'set', path: ['accounts', 1, 'user'], value: 'b' }] });
  await first;
  await assert.rejects(second, /it was changed meanwhile/);
  const third = settings.change({ edits: [{ kind: 'set', path: ['accounts', 1, 'user'], value: 'c' }] });
  const fourth = settings.change({ edits: [{ kind: 'set', path: ['accounts', 0, 'port'], value: 110 }] });
  await Promise.all([third, fourth]);
  const { accounts } = parse(readFileSync(file, 'utf8')) as { accounts: readonly { user: string; port?: number }[] };
  assert.deepEqual(
    accounts.map(({ user, port }) => [user, port]),
    [
      ['a', 110],
      ['c', undefined],
    ],
  );
});

test('a change is taken back with its secrets, unless somebody else has changed the file since', async (t) => {
  const { folder, file, settings } = site(t);
  await assert.rejects(settings.undo(), /there is none/);
  const edits: readonly Edit[] = [
    { kind: 'secret', path: ['accounts', 0, 'password'], text: 'new', name: 'x' },
    { kind: 'set', path: ['accounts', 1, 'password'], value: { file: 'info-password' } },
    { kind: 'secret', path: ['report', 'password'], text: 'r', name: 'report' },
    { kind: 'set', path: ['report', 'url'], value: 'mqtt://collector.example' },
  ];
  await settings.change({ edits });
  assert.equal(readFileSync(join(folder, 'secrets', 'report'), 'utf8'), 'r\n');
  await settings.undo();
  assert.equal(readFileSync(file, 'utf8'), typed);
  assert.equal(readFileSync(join(folder, 'info-password'), 'utf8'), 'old\n');
  assert.deepEqual(readdirSync(join(folder, 'secrets')), []);
  await assert.rejects(settings.undo(), /there is none/);
  await settings.change({ edits: [{ kind: 'remove', path: ['accounts', 0] }] });
  assert.equal(readdirSync(folder).includes('info-password'), false);
  await settings.undo();
  assert.equal(readFileSync(join(folder, 'info-password'), 'utf8'), 'old\n');
  await settings.change({ edits: [{ kind: 'set', path: ['agent'], value: 'nas-2' }] });
  writeFileSync(file, typed + '# by hand\n');
  await assert.rejects(settings.undo(), /it was changed meanwhile/);
});

test('a file is made when it may be, readable by its owner alone, with comments and in order', async (t) => {
  const { folder } = site(t);
  const file = join(folder, 'new.yaml');
  const settings = createSettings({ file });
  const edits: readonly Edit[] = [
    { kind: 'set', path: ['tenant'], value: 'acme', comment: 'Made by the set-up.' },
    { kind: 'set', path: ['agent'], value: 'nas-1' },
    { kind: 'set', path: ['state'], value: 'state' },
    { kind: 'set', path: ['local'], value: { domains: ['example.org'] }, comment: 'The local mail server.' },
  ];
  await assert.rejects(settings.change({ edits }), /no such file/);
  assert.deepEqual(settings.read(), { text: '', version: '', raw: {} });
  await settings.change({ edits, create: true });
  assert.equal(
    readFileSync(file, 'utf8'),
    '# Made by the set-up.\ntenant: acme\nagent: nas-1\nstate: state\n\n# The local mail server.\nlocal:\n  domains: [example.org]\n',
  );
  assert.equal(statSync(file).mode & 0o777, 0o600);
});

test('what cannot be changed is refused by name: no YAML, an alias, a folder that cannot be written', async (t) => {
  const { folder, file, settings } = site(t);
  const set: Edit = { kind: 'set', path: ['accounts', 0, 'user'], value: 'a' };
  writeFileSync(file, 'tenant: [acme\n');
  await assert.rejects(settings.change({ edits: [set] }), /agent\.yaml:\d+: found .*, expected YAML/);
  writeFileSync(file, typed.replace('accounts:', 'x: &x\n  y: 1\naccounts: *x\nold:'));
  await assert.rejects(settings.change({ edits: [set] }), /Cannot change option accounts\.0\.user .*by hand/);
  writeFileSync(file, typed);
  rmSync(file + '.old', { force: true });
  symlinkSync('/dev/full', join(folder, 'info-password.old'));
  const away = createSettings({ file: join(folder, 'none', 'agent.yaml') });
  await assert.rejects(
    away.change({
      create: true,
      edits: [
        { kind: 'set', path: ['tenant'], value: 'acme' },
        { kind: 'set', path: ['agent'], value: 'nas-1' },
        { kind: 'set', path: ['state'], value: 'state' },
      ],
    }),
    /Cannot write .*none\/agent\.yaml: ENOENT/,
  );
});

test('a configuration that is a link stays one', async (t) => {
  const { folder, file, settings } = site(t);
  const link = join(folder, 'link.yaml');
  symlinkSync(file, link);
  await createSettings({ file: link }).change({ edits: [{ kind: 'set', path: ['agent'], value: 'nas-2' }] });
  assert.equal(settings.read().raw['agent'], 'nas-2');
});
