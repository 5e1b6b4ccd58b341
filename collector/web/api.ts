// The HTTP API, read-only. docs/api.md describes it; a test compares the two.
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import type { Clock } from '#shared/clock.ts';
import { findProblems } from '#shared/config-problems.ts';
import { namePattern } from '#shared/topics.ts';
import type { AgentView } from '../fleet/agent-view.ts';
import type { Gate } from './gate.ts';
import { HttpError } from './http-error.ts';
import { agentDetails, agentItem, alertItem } from './items.ts';
import { metricsContentType, metricsText } from './metrics-text.ts';
import { parseSeriesQuery, seriesAnswer } from './series.ts';
import type { Sources } from './sources.ts';

const name = Type.String({ pattern: namePattern, description: 'a name of a-z, 0-9 and -' });
const agentPathSchema = Type.Object({ tenant: name, id: name });

export function serveApi(
  app: FastifyInstance,
  options: Sources & { readonly gate: Gate; readonly clock: Clock },
): void {
  const { fleet, store, alert, health, gate, clock } = options;

  function findAgent(params: unknown): AgentView {
    const [problem] = findProblems(agentPathSchema, params);
    if (problem !== undefined) {
      const part = String(problem.path[0]);
      throw new HttpError(
        'bad-request',
        'Cannot read ' + part + ': found ' + problem.found.slice(0, 100) + ', expected ' + problem.expected,
      );
    }
    const { tenant, id } = params as { readonly tenant: string; readonly id: string }; // checked just above
    const view = fleet.view(tenant, id);
    if (view !== undefined) return view;
    throw new HttpError(
      'not-found',
      'Cannot find agent ' + tenant + '/' + id + ': it has never reported; GET /api/agents lists those that have',
    );
  }

  app.addHook('onSend', async (_request, reply) => {
    if (!reply.hasHeader('cache-control')) void reply.header('cache-control', 'no-store');
  });

  app.get('/api/agents', () => ({ items: fleet.views().map(agentItem) }));

  app.get('/api/agents/:tenant/:id', (request) => {
    const view = findAgent(request.params);
    return agentDetails(view);
  });

  app.get('/api/agents/:tenant/:id/series', async (request) => {
    const view = findAgent(request.params);
    const query = parseSeriesQuery(request.query, { tenant: view.tenant, agent: view.id }, clock.now());
    const { unit: _unit, ...question } = query;
    return seriesAnswer(query, await gate(() => store.query(question)));
  });

  app.get('/api/alerts', () => ({ items: alert.active().map(alertItem) }));

  app.get('/healthz', (_request, reply) => {
    const parts = health();
    const well = Object.values(parts).every((problem) => problem === undefined);
    const words = Object.entries(parts).map(([part, problem]) => [part, problem ?? 'ok'] as const);
    return reply.code(well ? 200 : 503).send({ status: well ? 'ok' : 'failing', parts: Object.fromEntries(words) });
  });

  app.get('/metrics', (_request, reply) =>
    reply
      .type(metricsContentType)
      .send(metricsText({ views: fleet.views(), alerts: alert.active(), health: health() })),
  );
}
