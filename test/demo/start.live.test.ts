// `npm start` as a newcomer sees it: the demonstration, its numbers, its page in a real browser, and its end.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readAgents } from '../flow/programs.ts';
import { createLab } from '../lab/lab.ts';
import { waitFor } from '../lab/wait.ts';

const start = fileURLToPath(new URL('../../demo/start.ts', import.meta.url));
const artifacts = fileURLToPath(new URL('../../.artifacts', import.meta.url));

const demoFolders = (): readonly string[] => readdirSync(tmpdir()).filter((name) => name.startsWith('mailferry-demo-'));

test('npm start shows mail both ways within 20 seconds, a page to click through, and ends within 5', async (t) => {
  const lab = createLab(t);
  const port = await lab.freePort();
  const before = new Set(demoFolders());
  const startedAt = performance.now();
  const demo = await lab.run({ name: 'start', command: process.execPath, args: [start, '--port', String(port)] });
  await waitFor(
    'the agent online with mail both ways',
    async () => {
      const [agent] = await readAgents(port);
      return agent?.state === 'online' && agent.mailIn.count > 0 && agent.mailOut.count > 0;
    },
    { timeoutMs: 20_000 },
  );
  t.diagnostic('mail both ways after ' + ((performance.now() - startedAt) / 1_000).toFixed(1) + ' s');
  assert.match(demo.log(), /This is a demonstration/);
  assert.match(demo.log(), /To use a real provider/);
  const health = await fetch('http://127.0.0.1:' + port + '/healthz');
  assert.equal(health.status, 200);

  await clickThrough(lab, port);

  const stoppedAt = performance.now();
  demo.kill('SIGINT');
  const exit = await demo.waitExit(10_000);
  assert.ok(performance.now() - stoppedAt < 5_000, 'took ' + Math.round(performance.now() - stoppedAt) + ' ms to stop');
  assert.deepEqual(exit, { code: 0, signal: null });
  await assert.rejects(fetch('http://127.0.0.1:' + port + '/healthz'));
  assert.deepEqual(
    demoFolders().filter((name) => !before.has(name)),
    [],
    'the files of the demonstration are left',
  );
});

async function clickThrough(lab: ReturnType<typeof createLab>, port: number): Promise<void> {
  const browser = await lab.chromium();
  const page = await browser.newPage({ viewport: { width: 1_280, height: 900 } });
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(message.text());
  });
  await page.goto('http://127.0.0.1:' + port + '/');
  await page.getByText('nas-1').first().waitFor({ timeout: 10_000 });
  mkdirSync(artifacts, { recursive: true });
  await page.screenshot({ path: join(artifacts, 'start-fleet.png'), fullPage: true });
  await page.getByRole('link', { name: /nas-1/ }).first().click();
  await page.locator('canvas').first().waitFor({ timeout: 10_000 });
  await page.getByText('blocklist.demo.example').first().waitFor({ timeout: 10_000 });
  await page.screenshot({ path: join(artifacts, 'start-agent.png'), fullPage: true });
  await page.goBack();
  await page.getByRole('link', { name: /nas-1/ }).first().waitFor({ timeout: 10_000 });
  await browser.close();
  assert.deepEqual(errors, []);
  assert.ok(existsSync(join(artifacts, 'start-agent.png')));
}

test('npm start says what to do when its port is in use', async (t) => {
  const lab = createLab(t);
  const port = await lab.freePort();
  const { createServer } = await import('node:net');
  const other = createServer().listen(port, '127.0.0.1');
  t.after(() => other.close());
  const demo = await lab.run({ name: 'start', command: process.execPath, args: [start, '--port', String(port)] });
  assert.deepEqual(await demo.waitExit(10_000), { code: 2, signal: null });
  assert.match(
    demo.log(),
    new RegExp('Cannot show the page on port ' + port + ': another program uses it, expected a free port'),
  );
});
