// One word with every other server: the broker of the collector, scanners, a mail server that is asked for logins or wakes.
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { randomBytes } from 'node:crypto';
import { codeOf, describe } from '#shared/failure.ts';
import { heldClientIdOf, topicOf } from '#shared/topics.ts';
import type { Address } from '#shared/topics.ts';
import { ConnectError, openSocket } from '../net/socket.ts';
import type { Endpoint } from '../net/socket.ts';
import { trialOfConnect } from './connect.ts';
import { well, wrong } from './finding.ts';
import type { Trial } from './finding.ts';

const limitMs = 15_000;

/** A login as the agent's own, under a name that does not push the agent out, and whether it may hear its acknowledgements. */
export async function tryBroker(options: {
  readonly url: string;
  readonly user: string;
  readonly password: string;
  readonly ca?: string;
  readonly address: Address;
}): Promise<Trial> {
  const { url, user, password, ca, address } = options;
  const { connect: connectMqtt } = await import('mqtt');
  const { promise, resolve } = Promise.withResolvers<Trial>();
  const client = connectMqtt(url, {
    protocolVersion: 4,
    clientId: heldClientIdOf(address, randomBytes(8).toString('hex')),
    clean: true,
    username: user,
    password,
    reconnectPeriod: 0,
    connectTimeout: limitMs,
    ...(ca === undefined ? {} : { ca }),
  });
  client.on('connect', () => {
    const topic = topicOf(address, 'ack');
    client.subscribe(topic, { qos: 1 }, (error, granted) => {
      // 128 is a refusal (MQTT 3.1.1 section 3.9.3); the library gives it as an error too.
      const isGranted = error === null && (granted ?? []).every(({ qos }) => qos < 128);
      resolve(isGranted ? well('logged in at ' + url + ' as ' + user) : trialOfRights(url, user, topic));
    });
  });
  client.on('error', (error) => resolve(trialOfBroker(error, url)));
  client.on('close', () => resolve(trialOfBroker(new Error('the broker closed the connection'), url)));
  try {
    return await promise;
  } finally {
    client.end(true);
  }
}

const trialOfRights = (url: string, user: string, topic: string): Trial =>
  wrong({
    option: ['user'],
    found: 'the broker at ' + url + ' lets ' + user + ' in but not read ' + topic,
    expected: 'the rights of an agent: without acknowledgements every report is kept for ever',
    remedy:
      'set the rights at the broker as collector/broker/README.md lists them; tenant and agent must be those of the account',
  });

function trialOfBroker(error: unknown, url: string): Trial {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  // MQTT 3.1.1 section 3.2.2.3: bad user name or password; not authorized.
  if (code === 4 || code === 5)
    return wrong({
      option: ['password'],
      found: 'the broker at ' + url + ' refuses the login',
      expected: 'the account of this agent',
      remedy: 'check user and password; the collector may have changed or revoked them (mailferry enrol)',
    });
  if (code === 3) {
    const remedy = 'try again later, see the log of the collector';
    return wrong({
      option: ['url'],
      found: url + ' says that it is unavailable',
      expected: 'a broker that takes connections',
      remedy,
    });
  }
  const parsed = URL.parse(url);
  const tls = parsed?.protocol === 'mqtts:' ? 'implicit' : 'none';
  const endpoint: Endpoint = { host: parsed?.hostname ?? url, port: Number(parsed?.port ?? 0), tls };
  const stage = /CERT|SELF_SIGNED|UNABLE_TO|EPROTO|SSL/.test(codeOf(error) ?? '') ? 'tls' : 'tcp';
  const trial = trialOfConnect(new ConnectError(describe(error), stage, error), endpoint, {
    server: 'the MQTT broker of the collector',
    ports: '8883 for mqtts, 1883 for mqtt',
  });
  return trial.option[0] === 'caFile' ? trial : { ...trial, option: ['url'] };
}

export async function tryRspamd(options: {
  readonly url: string;
  readonly password?: string;
  readonly ca?: string;
}): Promise<Trial> {
  const url = new URL('/ping', options.url);
  const { promise, resolve } = Promise.withResolvers<Trial>();
  const fail = (found: string): void =>
    resolve(
      wrong({
        option: ['url'],
        found: 'rspamd at ' + options.url + ' gives no answer: ' + found,
        expected: 'a pong',
        remedy: 'check url (normal worker 11333, controller 11334) and that rspamd runs',
      }),
    );
  const asked = { signal: AbortSignal.timeout(limitMs), ...(options.ca === undefined ? {} : { ca: options.ca }) };
  const request = url.protocol === 'https:' ? requestHttps(url, asked) : requestHttp(url, asked);
  request.on('error', (error) => fail(codeOf(error) ?? describe(error)));
  request.on('response', (response) => {
    response.resume();
    if (response.statusCode === 200) resolve(well('rspamd answers at ' + options.url));
    else fail('HTTP ' + response.statusCode);
  });
  request.end();
  return promise;
}

export async function tryClamd(
  place: { readonly host: string; readonly port: number } | { readonly path: string },
): Promise<Trial> {
  const where = 'path' in place ? place.path : place.host + ':' + place.port;
  const fault = (found: string): Trial =>
    wrong({
      option: ['path' in place ? 'socket' : 'host'],
      found: 'clamd at ' + where + ' gives no answer: ' + found,
      expected: 'PONG',
      remedy:
        'check where clamd listens (LocalSocket, TCPSocket in clamd.conf), that it runs and that this user may use its socket',
    });
  try {
    const socket = await connected(connect(place));
    socket.write('zPING\0');
    const answer = await firstBytes(socket);
    return answer.startsWith('PONG') ? well('clamd answers at ' + where) : fault(JSON.stringify(answer.slice(0, 80)));
  } catch (error) {
    return fault(codeOf(error) ?? describe(error));
  }
}

/** The first line that a server says; with STARTTLS only what it says in clear. */
export async function tryGreeting(
  endpoint: Endpoint,
  greeting: RegExp,
  what: string,
  signal: AbortSignal,
): Promise<Trial> {
  const place = endpoint.host + ':' + endpoint.port;
  try {
    const socket = await openSocket(endpoint, { timeoutMs: limitMs, signal });
    const line = await firstBytes(socket);
    if (greeting.test(line)) return well(what + ' answers at ' + place);
    const found =
      line === '' ? 'it closes the connection before a word' : 'it says ' + JSON.stringify(line.slice(0, 80));
    return wrong({
      option: ['port'],
      found: place + ' is no ' + what + ': ' + found,
      expected: 'the greeting of ' + what,
      remedy:
        line === ''
          ? 'DSM may have blocked this machine after wrong passwords: Control Panel > Security > Protection (Auto Block) > Allow/Block List'
          : 'check host, port and tls',
    });
  } catch (error) {
    if (error instanceof ConnectError)
      return trialOfConnect(error, endpoint, { server: what, ports: 'see its settings' });
    return wrong({
      option: ['host'],
      found: place + ': ' + describe(error),
      expected: what,
      remedy: 'check host, port and tls',
    });
  }
}

async function connected(socket: Socket): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const timer = setTimeout(() => reject(new Error('no answer within ' + limitMs + ' ms')), limitMs);
  socket.once('connect', () => resolve(socket)).once('error', reject);
  try {
    return await promise;
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** Empty when the server closes first. */
async function firstBytes(socket: Socket): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const timer = setTimeout(() => reject(new Error('no word within ' + limitMs + ' ms')), limitMs);
  socket
    .once('data', (bytes) => resolve(bytes.toString('latin1')))
    .once('error', reject)
    .once('close', () => resolve(''));
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}
