// What fits into one transaction with a relay: RFC 9422 (LIMITS), what the configuration says, and what the relay has shown.
// What a mail itself must not have (size, 8-bit bytes, addresses) is judged where the envelope is written (smtp/envelope.ts).
// Pure.

/** RFC 9422 section 4; Infinity where nothing was announced. */
export type Announced = { readonly mails: number; readonly recipients: number; readonly domains: number };
export type Bounds = Pick<Announced, 'recipients' | 'domains'>;

export function readLimits(capabilities: ReadonlyMap<string, string>): Announced {
  const words = (capabilities.get('LIMITS') ?? '').toUpperCase().split(/\s+/);
  const limit = (name: string): number => {
    const text = words.find((word) => word.startsWith(name + '='))?.slice(name.length + 1) ?? '';
    // RFC 9422 section 3: up to six digits, not zero; anything else is as if it were not there.
    return /^[1-9]\d{0,5}$/.test(text) ? Number(text) : Infinity;
  };
  return { mails: limit('MAILMAX'), recipients: limit('RCPTMAX'), domains: limit('RCPTDOMAINMAX') };
}

/** The recipients of the first transaction, in their order; what is left over goes in the next. Never empty but for nobody. */
export function firstGroup<R extends { readonly address: string }>(
  recipients: readonly R[],
  bounds: Bounds,
): readonly R[] {
  const domains = new Set<string>();
  const group: R[] = [];
  for (const recipient of recipients) {
    if (group.length >= Math.max(1, bounds.recipients)) break;
    const domain = recipient.address.slice(recipient.address.lastIndexOf('@') + 1).toLowerCase();
    if (!domains.has(domain) && domains.size >= Math.max(1, bounds.domains)) continue;
    domains.add(domain);
    group.push(recipient);
  }
  return group;
}
