// The agent's own page in a real browser, against real servers: an agent that knows nothing yet is set up on it, by phone in
// German and at a desk in English, wrong answers first; then it is looked after. Pictures are left in .artifacts/page/.
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createTransport } from 'nodemailer';
import { stringify } from 'yaml';
import type { Child } from '../../lab/child.ts';
import { createLab } from '../../lab/lab.ts';
import type { Lab } from '../../lab/lab.ts';
import { waitFor as waitForSoon } from '../../lab/wait.ts';
import { openBrowser } from './browser.ts';
import type { Browsing } from './browser.ts';

/** A browser, an agent and three servers at once: on a loaded machine each step takes long. */
const waitFor = <T>(what: string, condition: () => Promise<T>): Promise<T> =>
  waitForSoon(what, condition, { timeoutMs: 90_000 });
const password = 'a good password';
const main = fileURLToPath(new URL('../../../agent/main.ts', import.meta.url));

/** The configuration is written once: the page changes it. */
async function openAgent(lab: Lab, name: string, config: object) {
  const folder = join(lab.dir, name);
  mkdirSync(folder, { recursive: true });
  const port = await lab.freePort();
  const page = { port, password: { file: 'page-password' } };
  writeFileSync(
    join(folder, 'agent.yaml'),
    '# Ours.\n' + stringify({ tenant: 'acme', agent: 'nas-1', state: 'state', page, ...config }),
  );
  writeFileSync(join(folder, 'page-password'), password + '\n', { mode: 0o600 });
  writeFileSync(join(folder, 'box-password'), 'wrong\n', { mode: 0o600 });
  const { caFile } = await lab.certificate();
  const log = (): string => readFileSync(join(folder, 'agent.log'), 'utf8');
  const starts = (): number => log().split('"agent started"').length - 1;
  let child: Child | undefined;
  async function start(): Promise<void> {
    writeFileSync(join(folder, 'agent.log'), '', { flag: 'a' });
    const before = starts();
    child = await lab.run({
      name: 'agent-' + name,
      command: process.execPath,
      args: [main, '--config', join(folder, 'agent.yaml')],
      logFile: join(folder, 'agent.log'),
      // The lab's authority, as one that the system knows.
      env: { NODE_EXTRA_CA_CERTS: caFile },
      ready: async () => starts() > before,
    });
  }
  await start();
  return {
    folder,
    url: 'https://127.0.0.1:' + port,
    config: () => readFileSync(join(folder, 'agent.yaml'), 'utf8'),
    log,
    restart: async () => {
      await child?.stop();
      await start();
    },
  };
}

async function servers(t: TestContext) {
  const lab = createLab(t);
  const [provider, home, relay] = await Promise.all([
    lab.dovecot({ users: { 'info@provider.test': 'right' } }),
    lab.dovecot({ users: { 'info@example.org': 'right' } }),
    lab.postfix({ role: 'relay', domains: ['far.test'], users: { 'info@provider.test': 'right' } }),
  ]);
  const put = (subject: string) =>
    provider.put(
      'info@provider.test',
      Buffer.from('Subject: ' + subject + '\r\nDate: Wed, 25 Nov 2026 10:00:00 +0000\r\n\r\ntext\r\n'),
    );
  return { lab, provider, home, relay, put, browser: await lab.chromium() };
}

async function logIn({ page, goto }: Browsing, given = password): Promise<void> {
  await goto('/');
  await page.fill('#password', given);
  await page.click('main button.main');
}

/** What is said at a field once the look that was begun has come to an end. */
async function saidAt({ page }: Browsing, name: string, pattern: RegExp): Promise<string> {
  return waitFor('"' + String(pattern) + '" at ' + name, async () => {
    const text = await page.locator('[data-said="' + name + '"]').innerText();
    return pattern.test(text) ? text : '';
  });
}

async function mailboxState({ page }: Browsing, url: string): Promise<string> {
  await page.goto(url + '/mailboxes');
  return page.locator('td[data-label=State]').first().innerText();
}

test('an agent that knows nothing is set up on a phone, in German, wrong answers first; then mail moves both ways', async (t) => {
  const { lab, provider, home, relay, put, browser } = await servers(t);
  await put('before');
  const submissionPort = await lab.freePort();
  const agent = await openAgent(lab, 'fresh', {});
  const browsing = await openBrowser(browser, { url: agent.url, device: 'phone', language: 'de' });
  const { page, shoot, check } = browsing;

  await logIn(browsing, 'wrong password');
  await page.getByText('Das Passwort ist falsch.').waitFor();
  await check('login-wrong');
  await logIn(browsing);
  await page.getByText('Erste Schritte').waitFor();
  assert.match(readFileSync(join(agent.folder, 'page-password'), 'utf8'), /^scrypt\$/, 'no longer in clear');
  await check('first-steps');

  await page.getByText('Sagen Sie, wo der lokale Mailserver ist').click();
  await page.fill('#domains', 'example org@');
  await page.fill('#port', String(await lab.freePort()));
  await saidAt(browsing, 'place', /nobody listens/);
  await page.selectOption('#protocol', 'lmtp');
  await page.fill('#port', String(home.lmtp));
  await saidAt(browsing, 'place', /answers at/);
  await page.click('button[value=save]');
  await page.getByText('Nicht gespeichert').waitFor();
  assert.match(await page.locator('#domains-said').innerText(), /erwartet: a domain such as example\.org/);
  await check('local-wrong');
  await page.fill('#domains', 'example.org');
  await page.click('button[value=save]');
  await page.locator('.notice').waitFor();

  await page.goto(agent.url + '/mailboxes/+');
  await page.fill('#id', 'Info Postfach');
  await page.fill('#host', '127.0.0.1');
  await saidAt(browsing, 'id', /a-z, 0-9/);
  await page.fill('#port', String(provider.lmtp));
  await saidAt(browsing, 'place', /TLS/);
  await page.fill('#port', String(provider.pop3s));
  await saidAt(browsing, 'place', /POP3 server answers/);
  await page.fill('#id', 'info');
  await page.fill('#user', 'info@provider.test');
  await page.fill('#password', 'wrong');
  await page.locator('#password').blur();
  await saidAt(browsing, 'login', /refused/);
  await page.fill('#recipients', 'info@example.com');
  await saidAt(browsing, 'recipients', /example\.org/);
  await page.click('button[value=save]');
  await page.locator('#firstRun-said', { hasText: 'Bitte wählen Sie' }).waitFor();
  assert.match(await page.locator('#recipients-said').innerText(), /local\.domains/);
  await check('mailbox-wrong');
  await page.fill('#password', 'right');
  await page.locator('#password').blur();
  await saidAt(browsing, 'login', /logged in at .*; 1 mail there/);
  await page.fill('#recipients', 'info@example.org');
  await page.check('input[name=firstRun][value=all]');
  await page.fill('#keepDays', '3');
  await page.click('button[value=save]');
  await page.locator('.notice').waitFor();

  await page.goto(agent.url + '/sending/+');
  await page.fill('#id', 'provider');
  await page.fill('#host', '127.0.0.1');
  await page.fill('#port', String(relay.submission));
  await saidAt(browsing, 'place', /greeted by/);
  await page.fill('#user', 'info@provider.test');
  await page.fill('#password', 'right');
  await page.locator('#password').blur();
  await saidAt(browsing, 'login', /logged in at/);
  await check('relay');
  await page.click('button[value=save]');
  await page.goto(agent.url + '/submission');
  await page.fill('#port', String(submissionPort));
  await page.click('button[value=save]');
  await page.getByText('Konto für den Relay-Dialog').click();
  const made = await page.locator('#made').innerText();
  await shoot('relay-dialog');
  await page.getByText('Notiert').click();
  await page.getByText('relay-dialog').waitFor();
  await check('sending');

  const text = agent.config();
  assert.match(text, /^# Ours\.\n/);
  assert.doesNotMatch(text, /right|wrong/);
  await waitFor('the mail to come in', async () => (await home.count('info@example.org')) === 1);
  await browsing.goto('/');
  const transport = createTransport({
    host: '127.0.0.1',
    port: submissionPort,
    auth: { user: 'relay-dialog', pass: made },
    ignoreTLS: true,
  });
  await transport.sendMail({ from: 'info@example.org', to: 'somebody@far.test', subject: 'out', text: 'text' });
  await waitFor('the mail to go out', async () => (await relay.mails('somebody@far.test')).length === 1);
  await waitFor('the page to say so by itself', async () => /in Ordnung/.test(await page.locator('main').innerText()));
  await check('state');
  browsing.assertQuiet();
  await browsing.close();
});

test('at a desk, in English: quarantine and queue are dealt with, each page is shown, the password is changed', async (t) => {
  const { lab, provider, put, browser } = await servers(t);
  let refuses = true;
  const home = await lab.scriptedSmtp({
    script: ({ verb }) => (verb === 'body' && refuses ? '550 5.7.1 not here\r\n' : undefined),
  });
  await put('refused <b>here</b>');
  const submissionPort = await lab.freePort();
  const agent = await openAgent(lab, 'desk', {
    local: { port: home.port, domains: ['example.org'] },
    accounts: [
      {
        id: 'info',
        host: '127.0.0.1',
        port: provider.pop3s,
        user: 'info@provider.test',
        password: { file: 'box-password' },
        recipients: ['info@example.org'],
        firstRun: 'all',
      },
    ],
    relays: [
      { id: 'gone', host: '127.0.0.1', port: await lab.freePort(), tls: 'none', user: 'u', password: { env: 'PATH' } },
    ],
    submission: { port: submissionPort },
  });
  const browsing = await openBrowser(browser, { url: agent.url, device: 'desk', language: 'en' });
  const { page, check } = browsing;
  await logIn(browsing);

  await browsing.goto('/mailboxes/info');
  await page.fill('#password', 'right');
  await page.getByRole('button', { name: 'Test' }).click();
  await saidAt(browsing, 'login', /logged in at .*; 1 mail there/);
  await check('mailbox');
  await page.click('button[value=save]');
  await page.getByText('Saved; it counts at once.').waitFor();
  await waitFor('the mail in quarantine', async () => {
    await browsing.goto('/quarantine');
    return (await page.locator('tbody tr').count()) === 1;
  });
  await check('quarantine');
  await page.locator('tbody a').click();
  await page.getByText('refused <b>here</b>').first().waitFor();
  await check('quarantined');
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByText('Save as a file').click()]);
  assert.match(readFileSync(await download.path(), 'utf8'), /Subject: refused <b>here<\/b>/);
  refuses = false;
  await page.getByText('Hand over all the same').click();
  await page.getByText('0 fetched mails').waitFor();
  assert.equal(home.mails.length, 1);

  await browsing.goto('/sending');
  await page.fill('#name', 'printer');
  await page.fill('#senders', 'printer@example.org');
  await page.getByRole('button', { name: 'Add' }).click();
  const pass = await page.locator('#made').innerText();
  const auth = { user: 'printer', pass };
  const transport = createTransport({ host: '127.0.0.1', port: submissionPort, auth, ignoreTLS: true });
  await transport.sendMail({ from: 'printer@example.org', to: 'a@far.test', subject: 'scan', text: 'text' });
  await browsing.goto('/queue');
  await page.locator('tbody a').first().click();
  await page.getByRole('button', { name: 'Hold' }).click();
  await page.getByText('held').first().waitFor();
  await check('queued');
  await page.getByText('Drop', { exact: true }).click();
  await page.getByRole('button', { name: 'Drop for good' }).click();
  await page.getByText('0 mails wait to be sent').waitFor();

  for (const [path, words] of [
    ['/mailboxes', 'New mailbox'],
    ['/sending', 'Who may hand in mail'],
    ['/local', 'Your domains'],
    ['/log?all=1', 'agent started'],
    ['/commands', 'queue flush'],
    ['/settings', 'Certificate of this page'],
  ] as const) {
    await browsing.goto(path);
    await page.getByText(words).first().waitFor();
    await check(path.replaceAll(/\W+/g, '-').slice(1));
  }
  await browsing.goto('/commands/status');
  await page.click('main button');
  await page.locator('#answer', { hasText: 'nas-1' }).waitFor();
  await check('command');
  await browsing.goto('/commands');
  await page.getByRole('button', { name: 'Check everything' }).click();
  await page.locator('tbody', { hasText: 'mailbox info' }).waitFor();
  await check('doctor');
  const [cookie] = await browsing.cookies();
  assert.deepEqual([cookie?.secure, cookie?.httpOnly, cookie?.sameSite], [true, true, 'Strict']);
  await browsing.goto('/settings');
  await page.fill('#old', password);
  await page.fill('#fresh', 'quite another one');
  await page.fill('#again', 'quite another one');
  await page.click('main button.main');
  await page.getByText('The password is changed').waitFor();
  await page.getByRole('button', { name: 'Log out' }).click();
  await logIn(browsing, password);
  await page.getByText('The password is wrong.').waitFor();
  await logIn(browsing, 'quite another one');
  await page.getByRole('heading', { name: 'State' }).waitFor();
  browsing.assertQuiet();
  await browsing.close();
});

test('a copied state asks on the page before mail moves, and a mailbox that was never fetched asks what is wanted', async (t) => {
  const { lab, provider, home, put, browser } = await servers(t);
  await put('one');
  await put('two');
  const config = {
    local: { protocol: 'lmtp', port: home.lmtp, domains: ['example.org'] },
    accounts: [
      {
        id: 'info',
        host: '127.0.0.1',
        port: provider.pop3s,
        user: 'info@provider.test',
        password: { file: 'box-password' },
        recipients: ['info@example.org'],
        intervalSeconds: 1,
      },
    ],
  };
  const first = await openAgent(lab, 'first', {});
  await first.restart();
  mkdirSync(join(lab.dir, 'copy'));
  cpSync(join(first.folder, 'state'), join(lab.dir, 'copy', 'state'), { recursive: true });
  const copy = await openAgent(lab, 'copy', config);
  writeFileSync(join(copy.folder, 'box-password'), 'right\n');
  const browsing = await openBrowser(browser, { url: copy.url, device: 'phone', language: 'en' });
  const { page, check } = browsing;
  await logIn(browsing);
  await page.getByRole('heading', { name: 'No mail moves' }).waitFor();
  await check('held');
  await page.getByText('This machine is to be used').click();
  await page.getByRole('button', { name: 'Yes, use it here' }).click();
  await page.getByText('Mail moves on this machine.').waitFor();
  const asking = page.getByRole('heading', { name: 'Mailbox info asks' });
  await waitFor('the mailbox to ask', async () => {
    await page.goto(copy.url + '/');
    return asking.isVisible();
  });
  await check('question');
  assert.equal(await home.count('info@example.org'), 0, 'nothing is guessed');
  await page.getByLabel('leave them there, fetch new ones only').check();
  await page.getByRole('button', { name: 'Answer' }).click();
  await page.getByText('Saved; it counts at once.').waitFor();
  assert.match(copy.config(), /firstRun: new-only/);
  // Taken as known: what comes from now on is new.
  await waitFor('the first round', async () => /\bwell\b/.test(await mailboxState(browsing, copy.url)));
  await put('three');
  await waitFor('the new mail alone', async () => (await home.count('info@example.org')) === 1);
  assert.match(String((await home.mails('info@example.org'))[0]), /Subject: three/);
  browsing.assertQuiet();
  await browsing.close();
});
