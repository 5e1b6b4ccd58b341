// What every room is built from: the part of the ground that it needs, and places of the configuration with their authorities.
import type { Loaded } from '#shared/config.ts';
import { readPem } from '#shared/pem.ts';
import type { Endpoint } from './net/socket.ts';
import type { Base } from './rooms.ts';

export function roomBase(base: Base, room: string) {
  const { clock, random, meter, journal, reached } = base;
  return {
    clock,
    random,
    meter,
    journal,
    reached,
    db: base.state.db,
    traceId: base.state.traceId,
    log: base.log.child({ room }),
  };
}

type EndpointConfig = Omit<Endpoint, 'ca'> & { readonly caFile?: string };
type OptionPath = readonly (string | number)[];

export function endpointOf(loaded: Loaded<unknown>, path: OptionPath, config: EndpointConfig): Endpoint {
  const { host, port, tls, serverName, pins } = config;
  return {
    host,
    port,
    tls,
    ...caOf(loaded, path, config),
    ...(serverName === undefined ? {} : { serverName }),
    ...(pins === undefined ? {} : { pins }),
  };
}

export function caOf(
  loaded: Loaded<unknown>,
  path: OptionPath,
  config: { readonly caFile?: string },
): { readonly ca?: string } {
  return config.caFile === undefined ? {} : { ca: readPem(loaded, [...path, 'caFile'], config.caFile) };
}
