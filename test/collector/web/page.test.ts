import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { systemClock } from '#shared/clock.ts';
import { createLog } from '#shared/log.ts';
import { dnsblStates } from '#shared/metrics.ts';
import { errorCodes } from '../../../collector/web/http-error.ts';
import { pageFiles, pageFolder } from '../../../collector/web/page-files.ts';
import { buildWeb } from '../../../collector/web/web.ts';
import { createHandFed } from './hand-fed.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const read = (file: string): string => readFileSync(join(pageFolder, file), 'utf8');
const load = async (file: string): Promise<Record<string, (...args: unknown[]) => unknown>> =>
  (await import(join(pageFolder, file))) as Record<string, (...args: unknown[]) => unknown>; // the page's own JavaScript

test('every file of the page is served, and nothing is named that is not there', () => {
  const files = readdirSync(pageFolder).filter((file) => file !== 'tsconfig.json');
  assert.deepEqual([...files].sort(), [...pageFiles].sort());
});

test('the types in the comments of the page hold', async () => {
  await promisify(execFile)(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', pageFolder], {
    cwd: root,
  });
});

test('the page has no markup from data, no inline code or style, and no address outside', () => {
  for (const file of pageFiles) {
    const text = read(file);
    assert.doesNotMatch(
      text,
      /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser/,
      file,
    );
    assert.doesNotMatch(text.replaceAll('http://www.w3.org/2000/svg', ''), /https?:\/\/|\bstyle=|\son[a-z]+=/, file);
  }
  assert.doesNotMatch(read('index.html'), /<script(?![^>]*\bsrc=)|<style/);
});

test('numbers and spans in words', async () => {
  const words = await load('words.js');
  const cases: readonly (readonly [string, unknown[], string])[] = [
    ['duration', [0], '0 s'],
    ['duration', [2.44], '2.4 s'],
    ['duration', [59.4], '59 s'],
    ['duration', [59.6], '1 min'],
    ['duration', [3_599], '59 min'],
    ['duration', [3_600], '1 h'],
    ['duration', [5_460], '1 h 31 min'],
    ['duration', [90_000], '1 d 1 h'],
    ['duration', [-5], '0 s'],
    ['ago', [2_000], 'just now'],
    ['ago', [12_900], '12 s ago'],
    ['ago', [-60_000], 'just now'],
    ['ago', [7_200_000], '2 h ago'],
    ['count', [1_234_567], '1,234,567'],
    ['decimal', [0.25], '0.3'],
    ['bytes', [91_400_000], '91.4 MB'],
    ['bytes', [5], '5 B'],
    ['plural', [1, 'mail'], '1 mail'],
    ['plural', [0, 'mail'], '0 mails'],
    ['plural', [2, 'batch', 'batches'], '2 batches'],
  ];
  for (const [name, args, expected] of cases)
    assert.equal(words[name]?.(...args), expected, name + '(' + JSON.stringify(args) + ')');
  // What is no address of the site any more is not shown.
  const shown = dnsblStates.filter((state) => state !== 'gone');
  assert.deepEqual(Object.keys(Object(words['dnsblLooks'])).sort(), shown.toSorted());
});

test('series of several mailboxes come onto one axis', async () => {
  const series = await load('series.js');
  const grid = { from: 1_000, stepMs: 100, steps: 4 };
  const a = { account: 'a', outcome: 'delivered' };
  const b = { account: 'b', outcome: 'delivered' };
  const counts = [
    {
      tags: a,
      values: [
        [1_000, 3],
        [1_200, 1],
      ],
    },
    { tags: b, values: [[1_000, 1]] },
  ];
  const means = [
    {
      tags: a,
      values: [
        [1_000, 10],
        [1_200, 4],
      ],
    },
    { tags: b, values: [[1_000, 50]] },
  ];
  assert.deepEqual(series['sums']?.(counts, grid), [4, 0, 1, 0]);
  assert.deepEqual(series['highest']?.(means, grid), [50, null, 4, null]);
  assert.deepEqual(series['weightedMeans']?.(means, counts, grid), [20, null, 4, null]);
  assert.deepEqual(
    series['sums']?.(
      [
        {
          tags: {},
          values: [
            [900, 1],
            [1_400, 1],
          ],
        },
      ],
      grid,
    ),
    [0, 0, 0, 0],
  );
});

test('docs/api.md names every address and every error code, and no other', async (t) => {
  const docs = readFileSync(join(root, 'docs/api.md'), 'utf8');
  const documented = [...docs.matchAll(/^\| `GET (\/\S+)`/gm)].map((match) => match[1] ?? '');
  const fed = createHandFed();
  const app = buildWeb({
    config: { host: '127.0.0.1', port: 0 },
    ...fed.sources,
    store: { query: async () => [] },
    clock: systemClock,
    log: createLog({ level: 'silent', name: 'test' }),
  });
  t.after(() => app.close());
  await app.ready();
  const served = routesOf(app.printRoutes({ commonPrefix: false }));
  const page = new Set(['/', ...pageFiles.map((file) => '/' + file), '/vendor/uPlot.esm.js', '/vendor/uPlot.min.css']);
  assert.deepEqual(documented.sort(), served.filter((route) => !page.has(route)).sort());
  const codes = [...docs.matchAll(/^\| `([a-z-]+)` \| (\d{3})/gm)].map((match) => [match[1], Number(match[2])]);
  assert.deepEqual(Object.fromEntries(codes), errorCodes);
});

/** Fastify prints its routes as a tree of path parts. */
function routesOf(tree: string): string[] {
  const parents: string[] = [];
  return tree.split('\n').flatMap((line) => {
    const match = /^([│ ]*)[├└]── (\S+)(?: \((.*)\))?/.exec(line);
    if (match === null) return [];
    const [, indent = '', part = '', methods] = match;
    const depth = indent.length / 4;
    parents[depth] = (depth === 0 ? '' : (parents[depth - 1] ?? '')) + part;
    return methods === undefined ? [] : [(parents[depth] ?? '').replace('//', '/')];
  });
}
