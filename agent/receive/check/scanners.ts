// From the options of the content check to the scanners that it asks.
import type { Clock } from '#shared/clock.ts';
import type { Log } from '#shared/log.ts';
import { createCheck } from './check.ts';
import type { Check, Scanner } from './check.ts';
import { createClamd } from './clamd.ts';
import type { CheckConfig } from '../delivery-options.ts';
import { createRspamd } from './rspamd.ts';

export type CheckSetup = {
  readonly config: CheckConfig;
  /** Of the controller of rspamd. */
  readonly password?: string;
  /** PEM for the certificate of rspamd. */
  readonly ca?: string;
};

export function openCheck(setup: CheckSetup | undefined, common: { readonly clock: Clock; readonly log: Log }): Check {
  const { rspamd, clamd } = setup?.config ?? {};
  const scanners: Scanner[] = [];
  if (clamd !== undefined) {
    const { socket, host = '127.0.0.1', port, timeoutSeconds, ...rest } = clamd;
    const place = socket === undefined ? { host, port } : { path: socket };
    scanners.push(createClamd({ ...rest, place, timeoutMs: timeoutSeconds * 1_000 }));
  }
  if (setup !== undefined && rspamd !== undefined) {
    const { url, timeoutSeconds, onFailure, reject, maxBytes } = rspamd;
    const { password, ca } = setup;
    scanners.push(
      createRspamd({
        url: url.replace(/\/$/, ''),
        onFailure,
        reject,
        maxBytes,
        timeoutMs: timeoutSeconds * 1_000,
        ...(password === undefined ? {} : { password }),
        ...(ca === undefined ? {} : { ca }),
      }),
    );
  }
  return createCheck({ scanners, ...common });
}
