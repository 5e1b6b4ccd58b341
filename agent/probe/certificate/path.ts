// The certificates that a verification really uses: from the server's own up to the first authority that is trusted. What a
// server sends beside them does not count, nor does an expired authority above a trusted one. Pure.
import type { X509Certificate } from 'node:crypto';

const mostSteps = 10;

/** `sent`: the server's own first. `trusted`: authorities, or whatever certificate is trusted by itself. */
export function pathOf(
  sent: readonly X509Certificate[],
  trusted: readonly X509Certificate[],
): readonly X509Certificate[] {
  const [leaf] = sent;
  if (leaf === undefined) return [];
  const path: X509Certificate[] = [leaf];
  for (let current = leaf; path.length < mostSteps;) {
    if (trusted.some((one) => one.fingerprint256 === current.fingerprint256)) break;
    const anchor = trusted.find((one) => issued(one, current));
    if (anchor !== undefined) {
      path.push(anchor);
      break;
    }
    const next = sent.find((one) => !path.includes(one) && issued(one, current));
    if (next === undefined) break;
    path.push(next);
    current = next;
  }
  return path;
}

function issued(issuer: X509Certificate, subject: X509Certificate): boolean {
  if (issuer.subject !== subject.issuer || !subject.checkIssued(issuer)) return false;
  try {
    return subject.verify(issuer.publicKey);
  } catch {
    return false; // a key of a kind that is not known here
  }
}

export type Life = {
  /** Of the certificate that expires first. */
  readonly name: string;
  readonly daysLeft: number;
  /** 1 when new, 0 when expired. */
  readonly shareLeft: number;
};

const dayMs = 86_400_000;

/** `now`: wall clock, milliseconds since 1970. Undefined for an empty path. */
export function lifeOf(path: readonly X509Certificate[], now: number): Life | undefined {
  const [first] = path.toSorted((a, b) => Date.parse(a.validTo) - Date.parse(b.validTo));
  if (first === undefined) return undefined;
  const [from, to] = [Date.parse(first.validFrom), Date.parse(first.validTo)];
  const shareLeft = Math.min(1, Math.max(0, (to - now) / Math.max(1, to - from)));
  const name = /(?:^|\n)CN=(.*)/.exec(first.subject)?.[1] ?? first.subject.replaceAll('\n', ', ');
  return { name, daysLeft: (to - now) / dayMs, shareLeft };
}
