// What a check of the doctor is, and what the checks share.
import type { Clock } from '#shared/clock.ts';
import type { Loaded } from '#shared/config.ts';
import type { Path } from '#shared/config-problems.ts';
import type { Log } from '#shared/log.ts';
import { readPem } from '#shared/pem.ts';
import type { AgentConfig } from '../config.ts';
import type { Endpoint } from '../net/socket.ts';
import type { Trial } from './finding.ts';

/** One line of the report, or several. */
export type Check = {
  readonly name: string;
  readonly path: Path;
  readonly look: () => Promise<Trial | readonly Placed[] | undefined>;
};
/** Of a check that looks at several options. */
export type Placed = { readonly path: Path; readonly trial: Trial; readonly name?: string };
export type Common = {
  readonly loaded: Loaded<AgentConfig>;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly hostname: string;
};

/** With a CA file that is named, a name and pins. Throws UserError when that file cannot be read. */
export function endpointAt(
  loaded: Loaded<AgentConfig>,
  path: Path,
  config: Omit<Endpoint, 'ca'> & { readonly caFile?: string },
): Endpoint {
  const { host, port, tls, serverName, pins, caFile } = config;
  return {
    host,
    port,
    tls,
    ...(caFile === undefined ? {} : { ca: readPem(loaded, [...path, 'caFile'], caFile) }),
    ...(serverName === undefined ? {} : { serverName }),
    ...(pins === undefined ? {} : { pins }),
  };
}
