// The first line of a spool file: who sends to whom. JSON, so that the index can be rebuilt from the files alone.

export const notifyWords = ['NEVER', 'SUCCESS', 'FAILURE', 'DELAY'] as const;
export type Notify = (typeof notifyWords)[number];

/** What a client asked to be told about the whole mail (RFC 3461 sections 4.3 and 4.4). Decoded: whoever passes it on writes xtext. */
export type MailDsn = { readonly ret?: 'FULL' | 'HDRS'; readonly envid?: string };
/** The same about one recipient (sections 4.1 and 4.2). `orcpt` is `TYPE;ADDRESS`, decoded. */
export type RecipientDsn = { readonly notify?: readonly Notify[]; readonly orcpt?: string };

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
  /** Absent when the client asked for nothing. */
  readonly dsn?: MailDsn;
  /** In the order of `recipients`; absent when the client asked for nothing about any of them. */
  readonly recipientDsn?: readonly RecipientDsn[];
  /** The client said BODY=8BITMIME, or SMTPUTF8. */
  readonly eightBit?: true;
  readonly smtpUtf8?: true;
  /** Why nobody may send it before a person has released it. Outlasts the index. */
  readonly held?: string;
  /** What the client gave as sender, when `from` took its place. */
  readonly givenFrom?: string;
};

/** 10,000 recipients of the longest legal address. */
export const maxEnvelopeBytes = 4 * 1024 * 1024;

/** Undefined when the line is no envelope. What a client asked for beyond delivery is left out when it cannot be read. */
export function decodeEnvelope(line: Uint8Array): Envelope | undefined {
  const given = readObject(line);
  const { v, id, from, recipients, user, acceptedAt } = given;
  if (v !== 1 || typeof id !== 'string' || !/^[a-z0-9-]{8,40}$/.test(id)) return undefined;
  if (typeof from !== 'string' || typeof user !== 'string' || !Number.isSafeInteger(acceptedAt)) return undefined;
  if (!Array.isArray(recipients) || recipients.length === 0) return undefined;
  const addresses = recipients.filter((address) => typeof address === 'string' && address !== '');
  if (addresses.length !== recipients.length) return undefined;
  const basis = { v, id, from, recipients: addresses.map(String), user, acceptedAt: Number(acceptedAt) } as const;
  return { ...basis, ...readWishes(given, addresses.length) };
}

function readWishes(given: Readonly<Record<string, unknown>>, count: number): Partial<Envelope> {
  const { dsn, recipientDsn, eightBit, smtpUtf8, held, givenFrom } = given;
  const each = Array.isArray(recipientDsn) && recipientDsn.length === count ? recipientDsn.map(readRecipientDsn) : [];
  const whole = readMailDsn(dsn);
  return {
    ...(Object.keys(whole).length > 0 && { dsn: whole }),
    ...(each.length > 0 && { recipientDsn: each }),
    ...(eightBit === true && { eightBit }),
    ...(smtpUtf8 === true && { smtpUtf8 }),
    ...(typeof held === 'string' && { held }),
    ...(typeof givenFrom === 'string' && { givenFrom }),
  };
}

/** From a client, the spool or the index: whatever is not as it should be is left out. */
export function readMailDsn(value: unknown): MailDsn {
  const { ret, envid } = asObject(value);
  return {
    ...((ret === 'FULL' || ret === 'HDRS') && { ret }),
    ...(typeof envid === 'string' && envid !== '' && { envid }),
  };
}

export function readRecipientDsn(value: unknown): RecipientDsn {
  const { notify, orcpt } = asObject(value);
  const words = Array.isArray(notify) ? notifyWords.filter((word) => notify.includes(word)) : [];
  return { ...(words.length > 0 && { notify: words }), ...(typeof orcpt === 'string' && orcpt !== '' && { orcpt }) };
}

function readObject(line: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    return asObject(JSON.parse(Buffer.from(line).toString('utf8')));
  } catch {
    return {};
  }
}

function asObject(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}
