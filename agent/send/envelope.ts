// The first line of a spool file: who sends to whom. JSON, so that the index can be rebuilt from the files alone.
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { Compile } from 'typebox/compile';

/** 10,000 recipients of the longest legal address. */
export const maxEnvelopeBytes = 4 * 1024 * 1024;

const envelope = Type.Object({
  v: Type.Literal(1),
  id: Type.String({ pattern: '^[a-z0-9-]{8,40}$' }),
  from: Type.String({ maxLength: 320 }),
  recipients: Type.Array(Type.String({ minLength: 1, maxLength: 320 }), { minItems: 1, maxItems: 10_000 }),
  /** Account at the listener. */
  user: Type.String(),
  /** Wall clock, milliseconds since 1970. */
  acceptedAt: Type.Integer({ minimum: 0 }),
});
export type Envelope = Static<typeof envelope>;

const check = Compile(envelope);

/** Undefined when the line is no envelope. */
export function decodeEnvelope(line: Uint8Array): Envelope | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(line).toString('utf8'));
    return check.Check(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
