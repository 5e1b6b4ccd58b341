// What every part of the composition needs.
import type { Clock } from '#shared/clock.ts';
import type { Loaded, Secret } from '#shared/config.ts';
import type { Lifecycle } from '#shared/lifecycle.ts';
import type { Log } from '#shared/log.ts';
import { readPem } from '#shared/pem.ts';
import type { CollectorConfig } from './config.ts';

export type Base = {
  readonly loaded: Loaded<CollectorConfig>;
  readonly log: Log;
  readonly clock: Clock;
  readonly random: () => number;
  readonly lifecycle: Lifecycle;
};

type OptionPath = readonly (string | number)[];

export function optionalSecret(
  loaded: Loaded<unknown>,
  path: OptionPath,
  secret: Secret | undefined,
): { readonly password?: string } {
  return secret === undefined ? {} : { password: loaded.secret(path, secret) };
}

export function optionalPem(
  loaded: Loaded<unknown>,
  path: OptionPath,
  file: string | undefined,
): { readonly ca?: string } {
  return file === undefined ? {} : { ca: readPem(loaded, path, file) };
}
