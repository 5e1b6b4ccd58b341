// Where the collector is and whom to believe, as it has said itself last: so it may move, or renew its authority, without a
// visit to each agent. Promise: what the configuration says is always tried too, and a site that cannot be written is only
// forgotten at the next start.
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import { decodeSite, encodeSite } from '#shared/wire.ts';
import type { Site } from '#shared/wire.ts';
import { withSystemAuthorities } from './line.ts';

export type Way = { readonly url: string; readonly ca: readonly string[] };
export type Sites = {
  /** The collector has said where it is. */
  readonly told: (payload: Uint8Array) => void;
  /** The address to be tried now. */
  readonly way: () => Way;
  /** It did not lead to the collector: the next one is tried. */
  readonly failed: () => void;
};

export function createSites(options: {
  /** Where it is remembered; nowhere when absent. */
  readonly folder: string | undefined;
  readonly url: string;
  /** PEM of caFile. */
  readonly ca: string | undefined;
  readonly log: Log;
}): Sites {
  const { log, url, ca, folder } = options;
  const file = folder === undefined ? undefined : join(folder, 'site.json');
  let site = file === undefined ? undefined : read(file);
  let tries = 0;

  function ways(): readonly Way[] {
    const known = site?.urls ?? [];
    const authorities = site?.authorities ?? [];
    const own = ca === undefined ? [] : [ca];
    // A collector may go from a public authority to one of its own, and back.
    const all =
      own.length === 0 && authorities.length > 0 ? withSystemAuthorities(authorities) : [...own, ...authorities];
    return [...new Set([...known, url])].map((one) => ({ url: one, ca: all }));
  }

  return {
    told(payload) {
      const decoded = decodeSite(payload);
      if (!decoded.ok) {
        log.warn({ problem: decoded.problem }, 'the collector said where it is, in a way that cannot be read');
        return;
      }
      const { urls, authorities } = decoded.value;
      if (JSON.stringify([urls, authorities]) === JSON.stringify([site?.urls, site?.authorities])) return;
      site = decoded.value;
      tries = 0;
      log.info({ urls, authorities: authorities.length }, 'the collector has said where it is');
      try {
        if (file !== undefined) write(file, encodeSite(decoded.value));
      } catch (error) {
        log.error({ error: describe(error) }, 'where the collector is could not be written down');
      }
    },
    way() {
      const all = ways();
      return all[tries % all.length] ?? { url, ca: [] };
    },
    failed: () => void (tries += 1),
  };
}

function read(file: string): Site | undefined {
  try {
    const decoded = decodeSite(readFileSync(file));
    return decoded.ok ? decoded.value : undefined;
  } catch {
    return undefined; // none was told yet
  }
}

function write(file: string, text: string): void {
  const temporary = file + '.tmp';
  const handle = openSync(temporary, 'w', 0o600);
  try {
    writeSync(handle, text);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  renameSync(temporary, file);
}
