// One MQTT connection over a line that is open and verified, from CONNECT to its end.
import { MqttClient, UniqueMessageIdProvider } from 'mqtt';
import type { IClientOptions } from 'mqtt';
import { codeOf, describe } from '#shared/failure.ts';
import { openLine } from './line.ts';
import type { LineOptions } from './line.ts';

const connectMs = 30_000;

export type Connection = {
  /** QoS 1; `done` is called at the PUBACK, with an error when the line broke before. */
  readonly publish: (topic: string, payload: string, done: (error?: unknown) => void, retain?: boolean) => void;
  /** Our last words: retained; waits for the PUBACK, but no longer than this, and takes leave. */
  readonly publishWithin: (topic: string, payload: string, limitMs: number) => Promise<void>;
  /** Throws when the broker refuses it. */
  readonly subscribe: (topic: string, qos?: 0 | 1) => Promise<void>;
  /** Idempotent. */
  readonly end: () => void;
  /** `ours`: end() was called, or the broker was not heard for too long. */
  readonly ended: Promise<{ readonly reason: string; readonly ours: boolean }>;
};

export type ConnectionOptions = LineOptions & {
  readonly clientId: string;
  readonly user: string;
  readonly password: string;
  readonly keepAliveSeconds: number;
  readonly will?: { readonly topic: string; readonly payload: string };
  readonly onMessage: (topic: string, payload: Uint8Array, retained: boolean) => void;
};

/** Resolves when the broker has let us in. Throws LineError, or what the broker said. */
export async function openConnection(options: ConnectionOptions): Promise<Connection> {
  const line = await openLine(options);
  const client = new MqttClient(() => line, clientOptions(options));
  const connection = follow(client, options);
  await Promise.race([connected(client), connection.ended.then(({ reason }) => Promise.reject(new Error(reason)))]);
  return connection;
}

function connected(client: MqttClient): Promise<void> {
  return new Promise((resolve) => client.once('connect', () => resolve()));
}

function follow(client: MqttClient, options: ConnectionOptions): Connection {
  const { promise: ended, resolve } = Promise.withResolvers<{ readonly reason: string; readonly ours: boolean }>();
  let reason = 'the broker closed the connection';
  let ours = false;
  const finish = (): void => {
    client.end(true);
    options.signal.removeEventListener('abort', end);
    resolve({ reason, ours });
  };
  function end(): void {
    ours = true;
    client.end(true);
    finish();
  }
  client.on('error', (error) => {
    const text = codeOf(error) ?? describe(error);
    if (/^(?:Keepalive|connack) timeout/.test(text)) ours = true;
    reason = wordsOf(error, options.user) ?? text;
  });
  client.on('message', (topic, payload, packet) => options.onMessage(topic, payload, packet.retain));
  client.on('close', finish);
  client.on('end', finish);
  options.signal.addEventListener('abort', end, { once: true });
  return {
    publish: (topic, payload, done, retain = false) =>
      void client.publish(topic, payload, { qos: 1, retain }, (error) => done(error ?? undefined)),
    async publishWithin(topic, payload, limitMs) {
      ours = true;
      const { promise, resolve: go } = Promise.withResolvers<void>();
      const timer = setTimeout(go, limitMs);
      // Without DISCONNECT the broker tells our last will behind these last words (MQTT 3.1.1, section 3.14).
      client.publish(topic, payload, { qos: 1, retain: true }, (error) => {
        if (error) go();
        else client.end(false, () => go());
      });
      await promise;
      clearTimeout(timer);
    },
    subscribe: (topic, qos = 1) =>
      new Promise((go, reject) => {
        client.subscribe(topic, { qos }, (error, granted) => {
          if (error) reject(error);
          else if (granted?.[0]?.qos === 128) reject(new Error('the broker refuses the subscription to ' + topic));
          else go();
        });
      }),
    end,
    ended,
  };
}

/** MQTT 3.1.1 section 3.2.2.3, as the library reports it. */
function wordsOf(error: unknown, user: string): string | undefined {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  if (code === 4 || code === 5)
    return (
      'the broker does not let ' +
      user +
      ' in: Not authorized (a wrong password, or the account was revoked or renewed: enrol again)'
    );
  return code === 3 ? 'the broker is not ready yet' : undefined;
}

function clientOptions(options: ConnectionOptions): IClientOptions {
  const { will } = options;
  return {
    protocolVersion: 4,
    writeCache: false, // 65,536 buffers made in advance, 9 MB, for the numbers of its packets
    clientId: options.clientId,
    clean: true,
    username: options.user,
    password: options.password,
    // Ours: the library's own has no back-off.
    reconnectPeriod: 0,
    connectTimeout: connectMs,
    keepalive: options.keepAliveSeconds,
    queueQoSZero: false,
    resubscribe: false,
    // The default provider reuses ids that are still on the way and so destroys messages silently.
    messageIdProvider: new UniqueMessageIdProvider(),
    ...(will && { will: { topic: will.topic, payload: Buffer.from(will.payload), qos: 1, retain: true } }),
  };
}
