// The page's files, each by name: no folder is served as such, so nothing else can be asked for.
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance } from 'fastify';

export const pageFolder = fileURLToPath(new URL('page/', import.meta.url));
export const pageFiles = [
  'index.html',
  'page.css',
  'fleet.css',
  'agent.css',
  'icon.svg',
  'page.js',
  'agent.js',
  'alerts.js',
  'charts.js',
  'dom.js',
  'fleet.js',
  'live.js',
  'readings.js',
  'series.js',
  'words.js',
] as const;
const vendorFiles = ['uPlot.esm.js', 'uPlot.min.css'] as const;

export function servePage(app: FastifyInstance): void {
  const vendor = dirname(createRequire(import.meta.url).resolve('uplot'));
  // Asked again at every load, answered "not modified": an update of the collector is an update of the page.
  app.register(fastifyStatic, { root: pageFolder, serve: false, cacheControl: false, index: false });
  const serve = (url: string, file: string, root: string): void => {
    app.get(url, (_request, reply) => reply.header('cache-control', 'no-cache').sendFile(file, root));
  };
  serve('/', 'index.html', pageFolder);
  for (const file of pageFiles) if (file !== 'index.html') serve('/' + file, file, pageFolder);
  for (const file of vendorFiles) serve(join('/vendor', file), file, vendor);
}
