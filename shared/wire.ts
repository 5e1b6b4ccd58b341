// What travels over MQTT, decoded once at the border. JSON, at most 64 KiB a message.
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { Compile } from 'typebox/compile';
import { isMetricName, metrics } from './metrics.ts';
import type { Point } from './meter.ts';

export const maxMessageBytes = 64 * 1024;
export const wireVersion = 1;
/** The range of Date; what lies beyond fits into no database. */
const time = () => Type.Integer({ minimum: 0, maximum: 8_640_000_000_000_000 });
const serial = (minimum: number) => Type.Integer({ minimum, maximum: Number.MAX_SAFE_INTEGER });

const wirePoint = Type.Tuple([
  Type.String({ minLength: 1, maxLength: 40 }),
  time(),
  Type.Record(Type.String({ maxLength: 40 }), Type.String({ maxLength: 200 })),
  Type.Record(Type.String({ maxLength: 40 }), Type.Union([Type.Number(), Type.String({ maxLength: 200 })])),
]);

const batch = Type.Object({
  v: Type.Literal(wireVersion),
  /** Names one life of the outbox database. */
  outbox: Type.String({ pattern: '^[a-z0-9-]{8,40}$' }),
  /** Counts batches of this outbox from 1, without gaps but for counted drops. */
  seq: serial(1),
  /** Lowest number that the outbox still holds: what lies below it and never came was dropped there, not lost on the way. */
  oldest: serial(1),
  /** Wall clock of the agent when it built the batch, milliseconds since 1970. */
  at: time(),
  points: Type.Array(wirePoint, { maxItems: 5_000 }),
});
const status = Type.Object({
  v: Type.Literal(wireVersion),
  state: Type.Union([Type.Literal('online'), Type.Literal('offline')]),
  /** Names one MQTT connection, so that a late last will of an older one is ignored. */
  connection: Type.String({ pattern: '^[a-z0-9-]{8,40}$' }),
  at: time(),
  version: Type.Optional(Type.String({ maxLength: 40 })),
});
const ack = Type.Object({
  v: Type.Literal(wireVersion),
  outbox: Type.String({ pattern: '^[a-z0-9-]{8,40}$' }),
  /** Every batch up to and with this one is stored. */
  seq: serial(0),
});

export type Batch = {
  readonly outbox: string;
  readonly seq: number;
  readonly oldest: number;
  readonly at: number;
  readonly points: readonly Point[];
};
export type Status = Static<typeof status>;
export type Ack = Static<typeof ack>;
export type Decoded<T> =
  | { readonly ok: true; readonly value: T; readonly dropped: number }
  | { readonly ok: false; readonly problem: string };

const batchCheck = Compile(batch);
const statusCheck = Compile(status);
const ackCheck = Compile(ack);

export function encodeBatch(value: Batch): string {
  const points = value.points.map((point) => [point.name, point.at, point.tags, point.fields]);
  return JSON.stringify({
    v: wireVersion,
    outbox: value.outbox,
    seq: value.seq,
    oldest: value.oldest,
    at: value.at,
    points,
  });
}
export function encodeStatus(value: Omit<Status, 'v'>): string {
  return JSON.stringify({ v: wireVersion, ...value });
}
export function encodeAck(value: Omit<Ack, 'v'>): string {
  return JSON.stringify({ v: wireVersion, ...value });
}

function parse(payload: Uint8Array): Decoded<unknown> {
  if (payload.length > maxMessageBytes)
    return { ok: false, problem: payload.length + ' bytes, expected at most ' + maxMessageBytes };
  try {
    return { ok: true, value: JSON.parse(Buffer.from(payload).toString('utf8')) as unknown, dropped: 0 };
  } catch {
    return { ok: false, problem: 'not JSON' };
  }
}

type Check<T> = {
  readonly Check: (value: unknown) => value is T;
  readonly Errors: (value: unknown) => { instancePath: string; message: string }[];
};

function decode<T>(payload: Uint8Array, check: Check<T>): Decoded<T> {
  const parsed = parse(payload);
  if (!parsed.ok) return parsed;
  if (check.Check(parsed.value)) return { ok: true, value: parsed.value, dropped: 0 };
  const first = check.Errors(parsed.value)[0];
  return { ok: false, problem: (first?.instancePath ?? '') + ' ' + (first?.message ?? 'unknown shape') };
}

/** Points that the catalogue does not know (a newer agent) are dropped and counted in `dropped`; the rest is kept. */
export function decodeBatch(payload: Uint8Array): Decoded<Batch> {
  const raw = decode(payload, batchCheck as Check<Static<typeof batch>>);
  if (!raw.ok) return raw;
  const points: Point[] = [];
  for (const [name, at, tags, fields] of raw.value.points) {
    const point = knownPoint(name, at, tags, fields);
    if (point !== undefined) points.push(point);
  }
  const { outbox, seq, oldest, at } = raw.value;
  return { ok: true, value: { outbox, seq, oldest, at, points }, dropped: raw.value.points.length - points.length };
}
export function decodeStatus(payload: Uint8Array): Decoded<Status> {
  return decode(payload, statusCheck as Check<Status>);
}
export function decodeAck(payload: Uint8Array): Decoded<Ack> {
  return decode(payload, ackCheck as Check<Ack>);
}

const control = /[\u0000-\u001f\u007f]/;

function knownPoint(
  name: string,
  at: number,
  tags: Record<string, string>,
  fields: Record<string, number | string>,
): Point | undefined {
  if (!isMetricName(name)) return undefined;
  const spec = metrics[name];
  const tagNames: readonly string[] = spec.tags;
  const fieldSpecs: Readonly<Record<string, { readonly type: string }>> = spec.fields;
  const tagsFit = Object.entries(tags).every(
    ([tag, value]) => tagNames.includes(tag) && value !== '' && !control.test(value) && !value.endsWith('\\'),
  );
  const fieldsFit = Object.entries(fields).every(([field, value]) => {
    const type = Object.hasOwn(fieldSpecs, field) ? fieldSpecs[field]?.type : undefined;
    return type === 'number'
      ? typeof value === 'number' && Number.isFinite(value)
      : type === 'text' && typeof value === 'string' && !control.test(value);
  });
  if (!tagsFit || !fieldsFit || Object.keys(fields).length === 0 || tagNames.some((tag) => !Object.hasOwn(tags, tag)))
    return undefined;
  return { name, at, tags, fields };
}
