// Where rooms say what happened. Synchronous, never throws, knows no transport: a sink is given.
import type { Clock } from './clock.ts';
import { metrics } from './metrics.ts';
import type { FieldsOf, MetricName, TagsOf } from './metrics.ts';

export type Point = {
  readonly name: MetricName;
  /** Wall clock, milliseconds since 1970. */
  readonly at: number;
  readonly tags: Readonly<Record<string, string>>;
  readonly fields: Readonly<Record<string, number | string>>;
};

export type Meter = {
  readonly say: <N extends MetricName>(name: N, tags: TagsOf<N>, fields: FieldsOf<N>) => void;
};

const maxText = 200;

/** No control characters (a newline in a tag would inject a line into InfluxDB), no trailing backslash, bounded length. */
export function cleanText(value: string): string {
  return value
    .replaceAll(/[\u0000-\u001f\u007f\u0085\u2028\u2029]+/g, ' ')
    .slice(0, maxText)
    .replace(/\\+$/, '')
    .trim();
}

/** Builds a point with what the catalogue knows; unknown tags and fields, NaN, infinite and absent values are left out. */
export function createPoint<N extends MetricName>(name: N, at: number, tags: TagsOf<N>, fields: FieldsOf<N>): Point {
  const spec = metrics[name];
  const cleanTags: Record<string, string> = {};
  const tagNames: readonly string[] = spec.tags;
  for (const [tag, value] of Object.entries<string>(tags)) {
    if (tagNames.includes(tag)) cleanTags[tag] = cleanText(value) || '-';
  }
  const cleanFields: Record<string, number | string> = {};
  for (const [field, value] of Object.entries<unknown>(fields)) {
    if (!Object.hasOwn(spec.fields, field)) continue;
    if (typeof value === 'number' && Number.isFinite(value)) cleanFields[field] = value;
    else if (typeof value === 'string') cleanFields[field] = cleanText(value);
  }
  return { name, at: Math.round(at), tags: cleanTags, fields: cleanFields };
}

export function createMeter(options: { readonly clock: Clock; readonly sink: (point: Point) => void }): Meter {
  return {
    say(name, tags, fields) {
      try {
        options.sink(createPoint(name, options.clock.now(), tags, fields));
      } catch {
        // A measurement must never stop the mail; the sink reports its own trouble.
      }
    },
  };
}
