// The programs we are measured against, from Debian. Not part of `npm test`.
import { installPackages, missingPackages } from '../lab/packages.ts';

const benchPackages = [
  'dovecot-core',
  'dovecot-lmtpd',
  'dovecot-pop3d',
  'fetchmail',
  'getmail6',
  'mpop',
  'openssl',
] as const;

/** As root. Debian's fetchmail would start as a service only with a configuration of its own. */
export function installBenchPackages(): void {
  const missing = missingPackages(benchPackages);
  if (missing.length > 0) installPackages(missing);
}
