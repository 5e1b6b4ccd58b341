// Is a mail that came in one of our probes, or the report that one of them could not be delivered? Promise (rule of safety 6):
// only with a proof that we wrote it and an id that no other mail has used; everything else is ordinary mail and is delivered.
import { createHash } from 'node:crypto';
import type { HeaderLine } from './hops.ts';
import { readToken, tokenHeader } from './token.ts';
import type { TripTable } from './trip-table.ts';

export type Incoming = {
  /** Envelope sender; empty for the null sender. */
  readonly from: string;
  readonly body: {
    readonly open: () => Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
    readonly sizeBytes: number;
  };
};
export type OwnMail =
  /** `again`: the very same mail was taken before, by a life that did not get to record it. */
  | { readonly kind: 'probe'; readonly id: string; readonly header: readonly HeaderLine[]; readonly again: boolean }
  | { readonly kind: 'bounce'; readonly id: string; readonly text: string; readonly again: boolean };

/** A probe is 1 KiB, and grows by what servers on the way put on top; a report may hold all of it. */
const maxBytes = 65_536;
/** A header that we write ourselves is there once. Two of them are not ours. */
const single = 1;

export type ReadOwnMail = (mail: Incoming) => Promise<OwnMail | undefined>;

export function createOwnMail(options: {
  readonly table: Pick<TripTable, 'key' | 'use'>;
  readonly readHeader: (head: Buffer) => readonly HeaderLine[];
}): ReadOwnMail {
  const { readHeader, table } = options;
  const name = tokenHeader.toLowerCase();

  return async ({ body, from }) => {
    if (body.sizeBytes > maxBytes) return undefined;
    const parts: Uint8Array[] = [];
    for await (const part of body.open()) parts.push(part);
    const bytes = Buffer.concat(parts);
    const text = bytes.toString('latin1');
    if (!text.toLowerCase().includes(name)) return undefined;
    const digest = createHash('sha256').update(bytes).digest('hex');
    const header = readHeader(bytes);
    const values = header.filter((line) => line.name === name).map(({ value }) => value);
    if (values.length === single) {
      const id = readToken(table.key(), values[0] ?? '');
      const used = id === undefined ? undefined : table.use(id, digest);
      return id === undefined || used === undefined ? undefined : { kind: 'probe', id, header, again: used.again };
    }
    if (values.length > 0 || !isReport(from, header)) return undefined;
    // The header of the returned mail stands somewhere in the report, perhaps quoted or indented.
    const quoted = new RegExp('^[>\\s]*' + tokenHeader + ':((?:.*)(?:\\r?\\n[ \\t].*)*)', 'im').exec(text)?.[1];
    const id = quoted === undefined ? undefined : readToken(table.key(), quoted);
    const used = id === undefined ? undefined : table.use(id, digest);
    return id === undefined || used === undefined
      ? undefined
      : { kind: 'bounce', id, text: reasonOf(text), again: used.again };
  };
}

/** RFC 3464 and what older servers send: nobody's mail, or a multipart/report. */
function isReport(from: string, header: readonly HeaderLine[]): boolean {
  const type = header.find((line) => line.name === 'content-type')?.value ?? '';
  return from === '' || /^\s*multipart\/report\b/i.test(type);
}

function reasonOf(text: string): string {
  const code = /^Diagnostic-Code:[ \t]*(?:[\w-]+;)?[ \t]*([^\r\n]+(?:\r?\n[ \t]+[^\r\n]+)*)/im.exec(text)?.[1];
  const status = /^Status:[ \t]*([\d.]+)/im.exec(text)?.[1];
  const reason = code?.replaceAll(/\s+/g, ' ').trim() ?? status ?? 'no reason is given';
  return reason.slice(0, 300);
}
