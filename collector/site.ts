// Where agents find the broker and whom they must believe: what a code of enrolment says, and what agents that are enrolled
// are told at each connection.
import { X509Certificate } from 'node:crypto';
import { rootCertificates } from 'node:tls';
import type { Clock } from '#shared/clock.ts';
import { encodeCode, fingerprintOf } from '#shared/enrolment.ts';
import { UserError } from '#shared/failure.ts';
import { encodeSite } from '#shared/wire.ts';
import type { Authority } from './broker/authority.ts';
import type { Origin } from './fleet/fleet.ts';

export type SiteWords = {
  /** The code to be pasted at the agent. Throws UserError when agents cannot know the way. */
  readonly code: (origin: Origin, secret: string, expires: number) => string;
  /** Undefined: nothing to be said, agents keep what they have. */
  readonly message: () => string | undefined;
};

export function createSiteWords(options: {
  readonly urls: readonly string[];
  readonly authority: Authority | undefined;
  /** PEM of the broker's chain, or of the authority that signed it, when the broker has no authority of its own. */
  readonly chain: string | undefined;
  readonly clock: Clock;
}): SiteWords {
  const { urls, authority, clock } = options;
  const foreign = privateAuthority(options.chain);
  return {
    code(origin, secret, expires) {
      const [first] = urls;
      if (first === undefined)
        throw new UserError(
          'Cannot make a code: option broker.urls is empty, expected at least one address by which agents reach the broker, such as mqtts://collector.example.net:8883',
        );
      const fingerprint = authority?.fingerprint() ?? (foreign && fingerprintOf(foreign.raw));
      return encodeCode({
        ...origin,
        expires: Math.floor(expires / 1_000),
        urls: [...urls],
        secret,
        ...(fingerprint === undefined ? {} : { fingerprint }),
      });
    },
    message() {
      if (urls.length === 0) return undefined;
      const authorities = authority?.authorities() ?? (foreign === undefined ? [] : [foreign.toString()]);
      return encodeSite({ at: Math.round(clock.now()), urls: [...urls], authorities: [...authorities] });
    },
  };
}

/** The last certificate of the chain when it signs itself and no system knows it. */
function privateAuthority(chain: string | undefined): X509Certificate | undefined {
  const last = chain?.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g)?.at(-1);
  if (last === undefined) return undefined;
  const x509 = new X509Certificate(last);
  const isPublic = rootCertificates.some((root) => new X509Certificate(root).fingerprint256 === x509.fingerprint256);
  return x509.ca && x509.checkIssued(x509) && !isPublic ? x509 : undefined;
}
