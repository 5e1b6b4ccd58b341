// What a refused certificate means. A wrong clock makes every certificate look bad, and "bad certificate" sends people to the
// wrong place: so the dates in it are compared with what this machine takes for the time. Pure.
import { LineError } from './line-error.ts';

/** What is known of the certificates that a server showed, whether they are believed or not. */
export type Shown = { readonly validFrom: number; readonly validTo: number };

/** Node's and OpenSSL's words for a certificate that is not believed. */
const badCertificate = /CERT|SELF_SIGNED|UNABLE_TO|CRL|INVALID_(?:CA|PURPOSE)|HOSTNAME_MISMATCH/;

export function isCertificateCode(code: string): boolean {
  return badCertificate.test(code);
}

export function isDateCode(code: string): boolean {
  return code === 'CERT_NOT_YET_VALID' || code === 'CERT_HAS_EXPIRED';
}

/**
 * `now`: this machine's clock. `surely`: a time that has certainly passed, such as that of the last acknowledgement; 0 when
 * none is known. `chain`: the certificates shown; empty when they could not be had.
 */
export function explainDates(options: {
  readonly code: string;
  readonly now: number;
  readonly surely: number;
  readonly chain: readonly Shown[];
}): LineError {
  const { code, now, surely, chain } = options;
  const clock = "this machine's clock says " + day(now);
  if (now < surely)
    return new LineError(
      'clock',
      clock + ', which has passed: it was ' + day(surely) + ' when the collector last answered',
    );
  if (code === 'CERT_NOT_YET_VALID') {
    const from = Math.max(...chain.map(({ validFrom }) => validFrom), -Infinity);
    const begins = Number.isFinite(from)
      ? "before the collector's certificate began on " + day(from)
      : "before the collector's certificate began";
    return new LineError('clock', clock + ', ' + begins);
  }
  const to = Math.min(...chain.map(({ validTo }) => validTo), Infinity);
  const ended = "the collector's certificate has ended" + (Number.isFinite(to) ? ' on ' + day(to) : '');
  return new LineError(
    'clock',
    clock +
      ', and ' +
      ended +
      ': if that time is right, the collector needs a new certificate, else the clock is wrong',
  );
}

function day(wallMs: number): string {
  const date = new Date(wallMs);
  return Number.isNaN(date.getTime()) ? String(wallMs) : date.toISOString().slice(0, 16).replace('T', ' ') + ' UTC';
}
