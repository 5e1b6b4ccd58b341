// InfluxDB 1.x: asked through the `influx` package, written to by influx-http.ts. A point is keyed by (measurement, tags,
// time), so writing it again changes nothing. A 4xx is the points' fault and is narrowed down to the bad ones, never tried
// again blindly; anything else is the server's fault and throws, so that the batches are kept.
import { InfluxDB, escape } from 'influx';
import type { Clock } from '#shared/clock.ts';
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import { namePattern } from '#shared/topics.ts';
import type { InfluxStoreConfig } from '../config.ts';
import { InfluxRefusal, createInfluxWriter } from './influx-http.ts';
import { createLines } from './influx-lines.ts';
import { isNumberField } from './store.ts';
import type { Part, Series, SeriesQuery, Store } from './store.ts';

const requestTimeoutMs = 15_000;

export function openInfluxStore(options: {
  readonly config: InfluxStoreConfig;
  readonly password?: string;
  readonly clock: Clock;
  readonly log: Log;
}): Store {
  const { config, log } = options;
  const { host, port, protocol, database } = config;
  const place = protocol + '://' + host + ':' + port + ', database ' + database;
  const influx = new InfluxDB({
    host,
    port,
    protocol,
    database,
    ...(config.user === undefined ? {} : { username: config.user, password: options.password ?? '' }),
    // maxRetries counts hosts to fail over to; there is one, and the caller is the layer that retries.
    pool: { requestTimeout: requestTimeoutMs, maxRetries: 0, backoff: noBackoff() },
  });
  const writer = createInfluxWriter({ ...options, timeoutMs: requestTimeoutMs });
  const lines = createLines();
  let problem: string | undefined;

  async function createDatabase(): Promise<void> {
    try {
      await within(influx.createDatabase(database));
    } catch (error) {
      // Without its status: that one must not be taken for a word about points.
      throw new Error('the database does not exist and cannot be created: ' + describe(error), { cause: error });
    }
  }

  async function attempt(lines: readonly string[]): Promise<void> {
    try {
      await writer.post(lines);
    } catch (error) {
      if (!(error instanceof InfluxRefusal) || error.status !== 404) throw error;
      // "database not found": made here, so that a new server needs no preparation.
      log.info({ database }, 'the database does not exist yet and is created');
      await createDatabase();
      await writer.post(lines);
    }
  }

  /** Writes what can be written and gives the number of points that the database refuses for what they are. */
  async function writeAll(lines: readonly string[]): Promise<number> {
    try {
      await attempt(lines);
      return 0;
    } catch (error) {
      if (!isAboutPoints(error)) throw error;
      const tooOld = /partial write: points beyond retention policy dropped=([0-9]+)/.exec(describe(error))?.[1];
      if (tooOld !== undefined) {
        log.warn({ points: Number(tooOld) }, 'points are older than the database keeps');
        return Number(tooOld); // said after the rest was stored
      }
      const [only] = lines;
      if (only !== undefined && lines.length === 1) {
        const series = only.slice(0, 200);
        log.warn({ series, error: describe(error).slice(0, 300) }, 'the database refuses a point');
        return 1;
      }
      // A partial write has stored the good ones already; storing them again changes nothing.
      const half = Math.ceil(lines.length / 2);
      return (await writeAll(lines.slice(0, half))) + (await writeAll(lines.slice(half)));
    }
  }

  async function write(parts: readonly Part[]): Promise<{ readonly refused: number }> {
    const all = lines.of(parts);
    const empty = parts.reduce((sum, { points }) => sum + points.length, 0) - all.length;
    try {
      const refused = all.length === 0 ? 0 : await writeAll(all);
      problem = undefined;
      return { refused: refused + empty };
    } catch (error) {
      problem =
        'Cannot write to ' +
        place +
        ': ' +
        describe(error).slice(0, 300) +
        ', expected InfluxDB 1.x that takes points; check option store';
      throw new Error(problem, { cause: error });
    }
  }

  // This makes the database and tells a wrong address or password before the first agent reports.
  void attempt([]).catch((error: unknown) => log.warn(place + ': ' + describe(error)));

  return {
    write,
    async query(query) {
      // The package escapes only the first quote after a backslash: nothing but names goes into a statement.
      const isSafe =
        isNumberField(query) && [query.tenant, query.agent].every((text) => new RegExp(namePattern).test(text));
      if (!isSafe) return [];
      const answer: unknown = await within(influx.queryRaw(toInfluxQl(query), { precision: 'ms' }));
      return readSeries(answer);
    },
    problem: () => problem,
    close: () => Promise.resolve(writer.close()),
  };
}

/** The package never ends a request whose answer breaks off half-way. */
async function within<T>(request: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error('no answer within ' + requestTimeoutMs + ' ms')), requestTimeoutMs);
  try {
    return await Promise.race([request, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The pool keeps a host out of use for a while after a failure; with one host that only adds failures of its own. */
function noBackoff() {
  const none = { getDelay: () => 0, next: () => none, reset: () => none };
  return none;
}

const functions = { sum: 'SUM', last: 'LAST', max: 'MAX', mean: 'MEAN' } as const;

function toInfluxQl(query: SeriesQuery): string {
  const quoted = (name: string): string => '"' + escape.quoted(name).slice(1, -1) + '"';
  return [
    `SELECT ${functions[query.aggregate]}(${quoted(query.field)}) FROM ${quoted(query.metric)}`,
    `WHERE "tenant" = ${escape.stringLit(query.tenant)} AND "agent" = ${escape.stringLit(query.agent)}`,
    `AND time >= ${query.from}ms AND time < ${query.to}ms`,
    // The offset lets the steps begin at `from`; without it they begin at 1970.
    `GROUP BY time(${query.stepMs}ms, ${query.from % query.stepMs}ms), * fill(none)`,
  ].join(' ');
}

function readSeries(answer: unknown): readonly Series[] {
  const found = (
    answer as { readonly results?: readonly { readonly error?: string; readonly series?: readonly RawSeries[] }[] }
  ).results?.[0]; // InfluxDB's documented shape
  if (found?.error !== undefined) throw new Error('Cannot query InfluxDB: ' + found.error);
  return (found?.series ?? []).map((series) => {
    const { tenant: _tenant, agent: _agent, ...tags } = series.tags ?? {};
    const values = series.values.flatMap(([at, value]) => (typeof value === 'number' ? [[at, value] as const] : []));
    return { tags, values };
  });
}
type RawSeries = {
  readonly tags?: Readonly<Record<string, string>>;
  readonly values: readonly (readonly [number, unknown])[];
};

function isAboutPoints(error: unknown): boolean {
  return error instanceof InfluxRefusal && (error.status === 400 || error.status === 413) && error.isInflux;
}
