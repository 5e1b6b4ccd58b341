// The series behind the charts, fetched and brought onto one time axis.

/** @typedef {{ tags: Record<string, string>, values: [number, number][] }} Series */
/** @typedef {{ id: string, name: string, words: string, seconds: number, step: number, everyMs: number }} Range */

/** @type {readonly Range[]} */
export const ranges = [
  { id: '1h', name: '1 h', words: 'hour', seconds: 3_600, step: 60, everyMs: 5_000 },
  { id: '24h', name: '24 h', words: '24 hours', seconds: 86_400, step: 1_800, everyMs: 60_000 },
  { id: '7d', name: '7 d', words: '7 days', seconds: 604_800, step: 7_200, everyMs: 300_000 },
];

/**
 * @typedef {{ times: number[], mailIn: number[], mailOut: number[], delayMean: (number | null)[], delayMax: (number | null)[],
 *   depth: (number | null)[], oldest: (number | null)[] }} Data times in seconds since 1970
 */

/**
 * @param {string} tenant
 * @param {string} id
 * @param {Range} range
 * @param {number} now
 * @param {AbortSignal} signal
 * @returns {Promise<Data>}
 */
export async function fetchData(tenant, id, range, now, signal) {
  const stepMs = range.step * 1_000;
  const to = Math.ceil(now / stepMs) * stepMs;
  const from = to - range.seconds * 1_000;
  const steps = Math.round((to - from) / stepMs);
  /** @param {string} metric @param {string} field @param {string} aggregate */
  const ask = (metric, field, aggregate) =>
    fetchSeries(
      tenant,
      id,
      { metric, field, aggregate, from: String(from), to: String(to), step: String(range.step) },
      signal,
    );
  const [counts, sent, mean, max, depth, oldest] = await Promise.all([
    ask('mail_in', 'count', 'sum'),
    ask('mail_out', 'count', 'sum'),
    ask('mail_in', 'delay_seconds', 'mean'),
    ask('mail_in', 'delay_seconds', 'max'),
    ask('queue', 'depth', 'max'),
    ask('queue', 'oldest_seconds', 'max'),
  ]);
  const grid = { from, stepMs, steps };
  const delivered = counts.filter(({ tags }) => tags['outcome'] === 'delivered');
  return {
    times: Array.from({ length: steps }, (_, index) => (from + index * stepMs) / 1_000),
    mailIn: sums(delivered, grid),
    mailOut: sums(
      sent.filter(({ tags }) => tags['outcome'] === 'sent'),
      grid,
    ),
    delayMean: weightedMeans(mean, counts, grid),
    delayMax: highest(max, grid),
    depth: highest(depth, grid),
    oldest: highest(oldest, grid),
  };
}

/**
 * @param {string} tenant
 * @param {string} id
 * @param {Record<string, string>} query
 * @param {AbortSignal} signal
 * @returns {Promise<Series[]>}
 */
async function fetchSeries(tenant, id, query, signal) {
  const path = '/api/agents/' + encodeURIComponent(tenant) + '/' + encodeURIComponent(id) + '/series?';
  const answer = await fetch(path + new URLSearchParams(query).toString(), { signal });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body?.error?.message ?? 'the collector answered ' + answer.status);
  return body.series;
}

/** @typedef {{ from: number, stepMs: number, steps: number }} Grid */

/** @param {number} at @param {Grid} grid */
function stepOf(at, grid) {
  return Math.floor((at - grid.from) / grid.stepMs);
}

/** @param {readonly Series[]} series @param {Grid} grid */
export function sums(series, grid) {
  const result = Array.from({ length: grid.steps }, () => 0);
  for (const { values } of series) {
    for (const [at, value] of values) {
      const step = stepOf(at, grid);
      if (step >= 0 && step < grid.steps) result[step] = (result[step] ?? 0) + value;
    }
  }
  return result;
}

/** @param {readonly Series[]} series @param {Grid} grid @returns {(number | null)[]} */
export function highest(series, grid) {
  /** @type {(number | null)[]} */
  const result = Array.from({ length: grid.steps }, () => null);
  for (const { values } of series) {
    for (const [at, value] of values) {
      const step = stepOf(at, grid);
      if (step >= 0 && step < grid.steps) result[step] = Math.max(result[step] ?? value, value);
    }
  }
  return result;
}

/** Of several mailboxes, weighted by how many mails each had in the step.
 * @param {readonly Series[]} means @param {readonly Series[]} counts @param {Grid} grid @returns {(number | null)[]} */
export function weightedMeans(means, counts, grid) {
  const seconds = Array.from({ length: grid.steps }, () => 0);
  const mails = Array.from({ length: grid.steps }, () => 0);
  for (const { tags, values } of means) {
    const weights = sums(
      counts.filter((other) => sameTags(other.tags, tags)),
      grid,
    );
    for (const [at, value] of values) {
      const step = stepOf(at, grid);
      const weight = weights[step] ?? 0;
      seconds[step] = (seconds[step] ?? 0) + value * weight;
      mails[step] = (mails[step] ?? 0) + weight;
    }
  }
  return seconds.slice(0, grid.steps).map((sum, step) => ((mails[step] ?? 0) > 0 ? sum / (mails[step] ?? 1) : null));
}

/** @param {Record<string, string>} a @param {Record<string, string>} b */
function sameTags(a, b) {
  return Object.keys({ ...a, ...b }).every((name) => a[name] === b[name]);
}
