// A browser at the page: what it complains of is remembered, each page is looked at by axe-core, and a picture is left.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import axe from 'axe-core';
import type { Browser, Cookie, Page } from 'playwright-core';

const artifacts = fileURLToPath(new URL('../../../.artifacts/page', import.meta.url));
const sizes = { desk: { width: 1_280, height: 800 }, phone: { width: 375, height: 740 } } as const;

export type Browsing = {
  readonly page: Page;
  readonly goto: (path: string) => Promise<void>;
  readonly shoot: (name: string) => Promise<void>;
  /** A picture, nothing wider than the screen, and nothing that axe-core finds serious. */
  readonly check: (name: string) => Promise<void>;
  readonly cookies: () => Promise<readonly Cookie[]>;
  /** No error in the console but for answers that are meant to be errors. */
  readonly assertQuiet: () => void;
  readonly close: () => Promise<void>;
};

export async function openBrowser(
  browser: Browser,
  options: { readonly url: string; readonly device: keyof typeof sizes; readonly language: 'de' | 'en' },
): Promise<Browsing> {
  const { url, device, language } = options;
  const context = await browser.newContext({
    viewport: sizes[device],
    locale: language === 'de' ? 'de-DE' : 'en-GB',
    // Signed by the agent itself.
    ignoreHTTPSErrors: true,
    ...(device === 'phone' && { colorScheme: 'dark' }),
  });
  const page = await context.newPage();
  page.setDefaultTimeout(90_000);
  const complaints: string[] = [];
  page.on('console', (message) => {
    const isAnswer = /status of 4\d\d/.test(message.text());
    if (['error', 'warning'].includes(message.type()) && !isAnswer) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));

  async function shoot(name: string): Promise<void> {
    mkdirSync(artifacts, { recursive: true });
    await page.screenshot({ path: join(artifacts, [name, device, language].join('-') + '.png'), fullPage: true });
  }

  return {
    page,
    goto: async (path) => void (await page.goto(url + path)),
    shoot,
    async check(name) {
      await shoot(name);
      assert.equal(await page.locator('html').getAttribute('lang'), language, name);
      assert.ok(await page.evaluate('document.documentElement.scrollWidth <= window.innerWidth'), name + ' fits');
      await page.evaluate(axe.source);
      const found: unknown = await page.evaluate(
        "axe.run().then(({ violations }) => violations.filter(({ impact }) => impact === 'serious' || impact === 'critical').map(({ id, nodes }) => id + ': ' + nodes.map((node) => node.html).join(' | ').slice(0, 500)))",
      );
      assert.deepEqual(found, [], name);
    },
    cookies: () => context.cookies(),
    assertQuiet: () => assert.deepEqual(complaints, []),
    close: () => context.close(),
  };
}
