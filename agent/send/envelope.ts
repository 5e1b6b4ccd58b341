// The first line of a spool file: who sends to whom. JSON, so that the index can be rebuilt from the files alone.

export type Envelope = {
  readonly v: 1;
  /** Name of the file. */
  readonly id: string;
  readonly from: string;
  readonly recipients: readonly string[];
  /** Account at the listener. */
  readonly user: string;
  /** Wall clock, milliseconds since 1970. */
  readonly acceptedAt: number;
};

/** 10,000 recipients of the longest legal address. */
export const maxEnvelopeBytes = 4 * 1024 * 1024;

/** Undefined when the line is no envelope. */
export function decodeEnvelope(line: Uint8Array): Envelope | undefined {
  const { v, id, from, recipients, user, acceptedAt } = readObject(line);
  if (v !== 1 || typeof id !== 'string' || !/^[a-z0-9-]{8,40}$/.test(id)) return undefined;
  if (typeof from !== 'string' || typeof user !== 'string' || !Number.isSafeInteger(acceptedAt)) return undefined;
  if (!Array.isArray(recipients) || recipients.length === 0) return undefined;
  const addresses = recipients.filter((address) => typeof address === 'string' && address !== '');
  if (addresses.length !== recipients.length) return undefined;
  return { v, id, from, recipients: addresses.map(String), user, acceptedAt: Number(acceptedAt) };
}

function readObject(line: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(Buffer.from(line).toString('utf8'));
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}
