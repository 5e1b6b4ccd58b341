// The path of a newcomer: the commands of the README, typed into a terminal of a bare user account, with wrong answers first;
// before a real provider, a real relay and a real local mail server.
import assert from 'node:assert/strict';
import { chmodSync, cpSync, mkdirSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createLab } from '../lab/lab.ts';
import { waitFor } from '../lab/wait.ts';
import { incoming } from './mails.ts';
import { openTerminal } from './terminal.ts';

const password = 'right-password';
const root = fileURLToPath(new URL('../..', import.meta.url));

/** The commands under a heading of the README, a line each. */
function commandsOf(heading: string): readonly string[] {
  const text = readFileSync(join(root, 'README.md'), 'utf8');
  const section = text.split('\n## ').find((part) => part.startsWith(heading + '\n')) ?? '';
  return [...section.matchAll(/```sh\n([^]*?)```/g)].flatMap((match) => (match[1] ?? '').trim().split('\n'));
}

/** As a download would leave it: programs and what `npm ci` brings. */
function unpack(folder: string): void {
  mkdirSync(folder);
  for (const part of ['agent', 'shared', 'package.json'])
    cpSync(join(root, part), join(folder, part), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
}

test('a newcomer gets from nothing to the first mail with the commands of the README, wrong answers first', async (t) => {
  const [init, doctor, agent, status, queue, dialog, ...more] = commandsOf('The first mailbox');
  assert.ok(init && doctor && agent && status && queue && dialog && more.length === 0, 'the README has other commands');
  const lab = createLab(t);
  const [provider, relay, local] = await Promise.all([
    lab.dovecot({ users: { 'info@example.org': password } }),
    lab.postfix({ role: 'relay', domains: ['outside.example'], users: { 'office@example.org': password } }),
    lab.postfix({ role: 'local', domains: ['example.org'], mailboxes: ['info@example.org'] }),
  ]);
  const { caFile } = await lab.certificate();
  const [nobody, submissionPort] = [await lab.freePort(), await lab.freePort()];
  await provider.put('info@example.org', incoming({ serial: 1, to: 'info@example.org' }));
  const folder = join(lab.dir, 'mailferry');
  unpack(folder);
  const authority = join(lab.dir, 'authority.pem');
  cpSync(caFile, authority);
  chmodSync(authority, 0o644);
  const terminal = await openTerminal(lab, folder);
  const { press, screen, shows, type } = terminal;

  /** Waits for a question that is open, wipes what is offered, answers. */
  const answer = async (question: string, text?: string): Promise<void> => {
    await shows(new RegExp('[◆▲] +' + question));
    if (text !== undefined) press('C-u');
    type(text ?? '');
  };
  /** The same, and the answer is refused where it is typed. */
  const wrong = async (question: string, text: string, refusal: RegExp): Promise<void> => {
    await answer(question, text);
    await shows(refusal);
  };

  type(init);
  await wrong('A short name for the customer', 'ACME GmbH', /▲[^]*Only a-z, 0-9 and -/);
  await answer('A short name for the customer', 'acme');
  await answer('A short name for this machine', 'nas-1');
  await wrong('Your own mail domains', 'nonsense', /▲[^]*Domains such as example\.org/);
  await answer('Your own mail domains', 'example.org');
  await answer('The local mail server', '127.0.0.1');
  await wrong('Its SMTP port', '99999', /▲[^]*A port, 1 to 65535/);
  await answer('Its SMTP port', String(nobody));
  await shows(/nobody listens at 127\.0\.0\.1:\d+[^]*What helps: check host and port/);
  await answer('How shall it go on');
  await answer('The local mail server');
  await answer('Its SMTP port', String(local.smtp));

  await wrong('The address of a mailbox', 'info', /▲[^]*A whole mail address/);
  await answer('The address of a mailbox', 'info@example.org');
  await answer('The provider \\(POP3\\)');
  await answer('Its POP3 server', '127.0.0.1');
  await answer('Port', String(provider.pop3s));
  await answer('Encryption');
  await answer('Login name');
  await answer('Password', 'wrong-password');
  await shows(/signed by nobody that this machine knows/);
  await answer('How shall it go on');
  await wrong('PEM file of that authority', '/nowhere.pem', /▲[^]*No such file/);
  await answer('PEM file of that authority', authority);
  await answer('Login name');
  await answer('Password', 'wrong-password');
  await shows(/the login at [^]* was refused[^]*POP3 is switched on/);
  await answer('How shall it go on');
  await answer('Login name');
  await answer('Password', password);
  await shows(/logged in at 127\.0\.0\.1:\d+; 1 mail there/);
  await answer('Mails that are in it already');
  await answer('For how many days', '7');
  await wrong('Who gets its mail', 'me@example.net', /▲[^]*An address in example\.org/);
  await answer('Who gets its mail', 'info@example.org');
  await answer('Another mailbox');

  await answer('Send mail too');
  await answer('The provider \\(SMTP\\)');
  await answer('Its SMTP server', '127.0.0.1');
  await answer('Port', String(relay.submission));
  await answer('Encryption');
  await answer('Login name', 'office@example.org');
  await answer('Password', password);
  await answer('How shall it go on');
  await answer('PEM file of that authority', authority);
  await answer('Login name', 'office@example.org');
  await answer('Password', password);
  await answer('At which port', String(submissionPort));
  await answer('Who is told of trouble');
  await answer('Write it');
  await shows(/Written: office\/agent\.yaml, and 3 secrets in office\/secrets/);
  assert.equal(statSync(join(folder, 'office', 'agent.yaml')).mode & 0o777, 0o600);
  assert.ok(!screen().includes(password), 'a password stands on the screen');

  type(doctor + '; echo "ended with $?"');
  await shows(/ended with \d/);
  assert.match(screen(), /hand-over +a mail was handed over to info@example\.org/);
  assert.match(screen(), /0 things are wrong, \d+ warnings?\.\s+ended with 0/);
  await waitFor('the mail of the doctor', async () => (await local.mails('info@example.org')).length === 1);

  type(agent);
  await shows(/"msg":"agent started"/);
  await waitFor('the first mail', async () => (await local.mails('info@example.org')).length === 2, {
    timeoutMs: 60_000,
  });
  terminal.openWindow();
  type(status + '; echo "ended with $?"', 1);
  await shows(/acme\/nas-1[^]*info +0 +1 [^]*ended with 0/, 1);
  type(queue, 1);
  await shows(/The queue is empty/, 1);
  type(dialog, 1);
  await shows(new RegExp('Port +' + submissionPort + '[^]*Account +relay-dialog[^]*Password +\\S+'), 1);
  press('C-c');
  await shows(/\$ *\s*$/);
});
