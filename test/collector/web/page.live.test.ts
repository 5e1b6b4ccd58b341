// The page in a real browser, at a desk and on a phone, light and dark. Screenshots are left in .artifacts/web/ to look at.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { systemClock } from '#shared/clock.ts';
import { createLog } from '#shared/log.ts';
import { openSqliteStore } from '../../../collector/store/sqlite.ts';
import { createWeb } from '../../../collector/web/web.ts';
import type { Web } from '../../../collector/web/web.ts';
import { createLab } from '../../lab/lab.ts';
import { waitFor } from '../../lab/wait.ts';
import { fillEstate, hostile } from './estate.ts';
import { createHandFed, reading } from './hand-fed.ts';

const log = createLog({ level: 'silent', name: 'test' });
const artifacts = fileURLToPath(new URL('../../../.artifacts/web', import.meta.url));

async function setUp(t: TestContext, options: { readonly empty?: boolean; readonly password?: string } = {}) {
  const lab = createLab(t);
  const fed = createHandFed();
  const store = openSqliteStore({ path: join(lab.dir, 'metrics.db'), clock: systemClock, log });
  if (options.empty !== true) await fillEstate({ fed, store, now: Date.now(), days: 2 });
  const port = await lab.freePort();
  const open = (): Web =>
    createWeb({
      config: { host: '127.0.0.1', port },
      ...fed.sources,
      store,
      clock: systemClock,
      log,
      ...(options.password === undefined ? {} : { password: options.password }),
    });
  const running = { web: open() };
  await running.web.start();
  t.after(async () => {
    await running.web.stop();
    await store.close();
  });
  const restart = async (): Promise<void> => {
    running.web = open();
    await running.web.start();
  };
  return { fed, store, running, restart, browser: await lab.chromium(), url: 'http://127.0.0.1:' + port };
}

/** A page whose every complaint is remembered. */
async function openPage(browser: Browser, options: BrowserContextOptions) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  return { page, complaints, close: () => context.close() };
}

/** No scrolling sideways, and nothing that a box cuts off at its edge. */
const fits = async (page: Page): Promise<boolean> => {
  const wide: unknown = await page.evaluate(`[...document.querySelectorAll('body *')]
    .filter((node) => node.getBoundingClientRect().right > window.innerWidth + 1 || node.scrollWidth > node.clientWidth + 1 && getComputedStyle(node).overflowX === 'hidden')
    .map((node) => node.tagName + '.' + node.getAttribute('class'))`);
  assert.deepEqual(wide, []);
  return page.evaluate('document.documentElement.scrollWidth <= window.innerWidth');
};
const text = (page: Page, selector: string): Promise<string> => page.locator(selector).first().innerText();
const isLive = (page: Page) => page.locator('#connection', { hasText: 'live' }).waitFor();

async function shoot(page: Page, name: string): Promise<void> {
  mkdirSync(artifacts, { recursive: true });
  await page.screenshot({ path: join(artifacts, name + '.png'), fullPage: true });
}

const sizes = {
  desk: { width: 1_280, height: 800 },
  tablet: { width: 800, height: 1_000 },
  phone: { width: 375, height: 740 },
} as const;
for (const [device, viewport] of Object.entries(sizes)) {
  for (const colorScheme of device === 'tablet' ? (['light'] as const) : (['light', 'dark'] as const)) {
    test('the page can be clicked through at a ' + device + ', ' + colorScheme, async (t) => {
      const { browser, url } = await setUp(t);
      const { page, complaints, close } = await openPage(browser, { viewport, colorScheme });
      const name = (what: string): string => what + '-' + device + '-' + colorScheme;
      await page.goto(url);
      await isLive(page);
      await page.locator('.row .spark').nth(7).waitFor();
      assert.equal(await page.locator('.rows > .row').count(), 5);
      assert.match(
        await text(page, '.rows > .row'),
        /corner-bakery[\s\S]*Mailbox info cannot be fetched: POP3 login refused/,
      );
      assert.match(await text(page, '#notices'), /Critical[\s\S]*mailbox info cannot be fetched/);
      assert.ok((await text(page, '#notices')).includes(hostile), 'hostile words are shown as they are');
      assert.ok(await fits(page), 'the fleet is not wider than the screen');
      await shoot(page, name('fleet'));

      await page.locator('a.name', { hasText: /^nas$/ }).click();
      await page.locator('h1', { hasText: 'corner-bakery / nas' }).waitFor();
      await page.locator('.u-over').nth(2).waitFor();
      await page.locator('td.state', { hasText: 'zone unhealthy' }).waitFor();
      for (const word of ['listed', 'refused', 'error', 'clean'])
        assert.ok((await page.locator('td.state', { hasText: word }).count()) > 0, word);
      for (const range of ['24 h', '7 d', '1 h', '24 h']) {
        await page.locator('.ranges a', { hasText: range }).click();
        await page.locator('.ranges a[aria-current=true]', { hasText: range }).waitFor();
        await page
          .locator('.said', {
            hasText: range === '1 h' ? 'last hour' : range.replace('h', 'hours').replace('d', 'days'),
          })
          .waitFor();
      }
      assert.ok(await fits(page), 'the agent is not wider than the screen');
      await shoot(page, name('agent'));

      for (let back = 0; back < 4; back += 1) await page.goBack();
      await page.goBack();
      await page.locator('h1', { hasText: 'Agents' }).waitFor();
      assert.equal(await page.evaluate('window.hacked'), undefined);
      assert.deepEqual(complaints, []);
      await close();
    });
  }
}

test('news appears without a reload, in place, and the keyboard reaches every agent', async (t) => {
  const { browser, url, fed, store } = await setUp(t);
  const { page, complaints } = await openPage(browser, { viewport: sizes.desk });
  await page.goto(url);
  await isLive(page);
  const row = page.locator('.rows > .row', { hasText: 'front-desk' });
  await row.locator('a.name').focus();
  fed.put({ tenant: 'birch-dental', id: 'front-desk', queue: { count: 3, oldestSeconds: 65 } });
  await row.locator('.queue', { hasText: 'oldest 1 min' }).waitFor();
  assert.equal(await page.evaluate('document.activeElement?.textContent'), 'front-desk', 'the focus stays');
  fed.put({ tenant: 'birch-dental', id: 'front-desk', state: 'offline' });
  await row.locator('.state', { hasText: 'offline' }).waitFor();
  await page.keyboard.press('Enter');
  await page.locator('h1', { hasText: 'birch-dental / front-desk' }).waitFor();
  assert.equal(await page.evaluate('document.activeElement?.tagName'), 'H1', 'the reader is told where the link led');
  const now = Date.now();
  await page.locator('table').first().waitFor();
  fed.put({
    tenant: 'birch-dental',
    id: 'front-desk',
    state: 'online',
    lastSeenAt: now,
    readings: [reading('account', now, { account: 'brand-new' }, { up: 1, problem: '' })],
  });
  await page.locator('td.main', { hasText: 'brand-new' }).waitFor();
  fed.put({ tenant: 'new-tenant', id: 'nas-7', lastSeenAt: now });
  await page.goto(url + '/#/');
  await page.locator('#search').fill('new-ten');
  await page.locator('.rows > .row', { hasText: 'nas-7' }).waitFor();
  assert.equal(await page.locator('.rows > .row').count(), 1);
  await page.locator('#search').fill('nobody');
  await page.locator('.empty', { hasText: 'No agent has a name with “nobody” in it.' }).waitFor();
  await page.goto(url + '/#/agent/acme/nas-1?range=1h');
  await page.locator('.said', { hasText: 'last hour' }).waitFor();
  const before = await text(page, '.said');
  const points = [reading('mail_in', now, { account: 'info', outcome: 'delivered' }, { count: 1_000 })];
  await store.write([{ origin: { tenant: 'acme', agent: 'nas-1' }, points }], new AbortController().signal);
  await waitFor('the chart to take the new mail in', async () => (await text(page, '.said')) !== before);
  assert.deepEqual(complaints, []);
});

test('a lost collector is shown, what was known stays, and the page comes back by itself', async (t) => {
  const { browser, url, fed, running, restart } = await setUp(t);
  const { page } = await openPage(browser, { viewport: sizes.desk });
  await page.goto(url);
  await isLive(page);
  await running.web.stop();
  await page.locator('#connection', { hasText: 'reconnecting…' }).waitFor();
  await page.locator('#age', { hasText: /what you see is \d/ }).waitFor();
  assert.equal(await page.locator('.rows > .row').count(), 5);
  await shoot(page, 'lost-desk-light');
  fed.put({ tenant: 'acme', id: 'came-meanwhile' });
  fed.parts['store'] = 'InfluxDB at 127.0.0.1:8086 does not answer: connection refused';
  await restart();
  await isLive(page);
  await page.locator('a.name', { hasText: 'came-meanwhile' }).waitFor();
  await page.locator('#notices', { hasText: 'The collector itself is not well: store' }).waitFor();
});

test('an empty fleet and a mistyped agent are explained', async (t) => {
  const { browser, url } = await setUp(t, { empty: true });
  const { page, complaints } = await openPage(browser, { viewport: sizes.phone, colorScheme: 'light' });
  await page.goto(url);
  await page.locator('.empty', { hasText: 'No agent has reported yet' }).waitFor();
  assert.ok(await fits(page));
  await shoot(page, 'empty-phone-light');
  await page.goto(url + '/#/agent/acme/%3Cb%3Enas');
  await page.locator('.empty', { hasText: 'No agent acme/<b>nas has ever reported' }).waitFor();
  assert.deepEqual(complaints, []);
});

test('with a password the browser asks once, and the live feed works', async (t) => {
  const { browser, url } = await setUp(t, { password: 'a pass phrase' });
  const { page, complaints } = await openPage(browser, {
    viewport: sizes.desk,
    httpCredentials: { username: 'mailferry', password: 'a pass phrase' },
  });
  await page.goto(url);
  await isLive(page);
  await page.locator('a.name', { hasText: 'nas-1' }).click();
  await page.locator('.u-over').nth(2).waitFor();
  assert.deepEqual(complaints, []);
});
