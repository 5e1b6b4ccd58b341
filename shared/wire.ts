// What travels over MQTT, decoded once at the border. JSON, at most 64 KiB a message.
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { Compile } from 'typebox/compile';
import { secretPattern, urlPattern } from './enrolment.ts';
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
  /** With `offline`, of an end that was meant. Absent in a last will: then the line or the agent broke. */
  reason: Type.Optional(Type.Union([Type.Literal('stopping'), Type.Literal('power-off')])),
  /** Public key to which a configuration for this agent is sealed (sealed.ts). */
  key: Type.Optional(Type.String({ maxLength: 200 })),
});
const ack = Type.Object({
  v: Type.Literal(wireVersion),
  outbox: Type.String({ pattern: '^[a-z0-9-]{8,40}$' }),
  /** Every batch up to and with this one is stored. */
  seq: serial(0),
});

const enrolRequest = Type.Object({
  v: Type.Literal(wireVersion),
  /** The password that the agent has made for itself. */
  secret: Type.String({ pattern: secretPattern }),
  version: Type.Optional(Type.String({ maxLength: 40 })),
  key: Type.Optional(Type.String({ maxLength: 200 })),
});
const enrolAnswer = Type.Object({
  v: Type.Literal(wireVersion),
  ok: Type.Boolean(),
  /** Why not, for people. */
  problem: Type.Optional(Type.String({ maxLength: 300 })),
});
/** Said to an agent after each birth, and retained: the collector may move and renew its authority without a visit. */
const site = Type.Object({
  v: Type.Literal(wireVersion),
  at: time(),
  /** Addresses of the broker, first choice first; those that the agent knows from before are tried after them. */
  urls: Type.Array(Type.String({ pattern: urlPattern, maxLength: 300 }), { maxItems: 8 }),
  /** Certificates (PEM) of the authorities that sign, or will sign, the broker's certificate. Empty: the public ones. */
  authorities: Type.Array(Type.String({ maxLength: 8_000 }), { maxItems: 4 }),
});
const id = () => Type.String({ pattern: '^[A-Za-z0-9-]{8,64}$' });
const command = Type.Object({
  v: Type.Literal(wireVersion),
  /** One that was carried out is not carried out again. */
  id: id(),
  name: Type.String({ pattern: '^[a-z][a-z0-9 -]{0,39}$' }),
  args: Type.Record(Type.String({ maxLength: 40 }), Type.Unknown()),
  at: time(),
  /** Wall clock of the collector: not carried out after it. */
  expires: time(),
});
const reply = Type.Object({
  v: Type.Literal(wireVersion),
  id: id(),
  at: time(),
  /** refused: the owner of the agent does not allow it; failed: it was tried. */
  outcome: Type.Union([
    Type.Literal('done'),
    Type.Literal('refused'),
    Type.Literal('failed'),
    Type.Literal('expired'),
    Type.Literal('waits'),
  ]),
  /** For people. */
  text: Type.Optional(Type.String({ maxLength: 2_000 })),
  result: Type.Optional(Type.Unknown()),
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
export type EnrolRequest = Static<typeof enrolRequest>;
export type EnrolAnswer = Static<typeof enrolAnswer>;
export type Site = Static<typeof site>;
export type Command = Static<typeof command>;
export type Reply = Static<typeof reply>;
export type Decoded<T> =
  | { readonly ok: true; readonly value: T; readonly dropped: number }
  | { readonly ok: false; readonly problem: string };

const batchCheck = Compile(batch);
const statusCheck = Compile(status);
const ackCheck = Compile(ack);
const enrolRequestCheck = Compile(enrolRequest);
const enrolAnswerCheck = Compile(enrolAnswer);
const siteCheck = Compile(site);
const commandCheck = Compile(command);
const replyCheck = Compile(reply);

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
export function encodeEnrolRequest(value: Omit<EnrolRequest, 'v'>): string {
  return JSON.stringify({ v: wireVersion, ...value });
}
export function encodeEnrolAnswer(value: Omit<EnrolAnswer, 'v'>): string {
  return JSON.stringify({ v: wireVersion, ...value });
}
export function encodeSite(value: Omit<Site, 'v'>): string {
  return JSON.stringify({ v: wireVersion, ...value });
}
export function encodeCommand(value: Omit<Command, 'v'>): string {
  return JSON.stringify({ v: wireVersion, ...value });
}
export function encodeReply(value: Omit<Reply, 'v'>): string {
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

export function decodeEnrolRequest(payload: Uint8Array): Decoded<EnrolRequest> {
  return decode(payload, enrolRequestCheck as Check<EnrolRequest>);
}
export function decodeEnrolAnswer(payload: Uint8Array): Decoded<EnrolAnswer> {
  return decode(payload, enrolAnswerCheck as Check<EnrolAnswer>);
}
export function decodeSite(payload: Uint8Array): Decoded<Site> {
  return decode(payload, siteCheck as Check<Site>);
}
export function decodeCommand(payload: Uint8Array): Decoded<Command> {
  return decode(payload, commandCheck as Check<Command>);
}
export function decodeReply(payload: Uint8Array): Decoded<Reply> {
  return decode(payload, replyCheck as Check<Reply>);
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
