// Agents that are only there: each connects, is born, and comes back by the agents' own back-off when it is thrown out.
import { once } from 'node:events';
import { connect as connectTls } from 'node:tls';
import { X509Certificate } from 'node:crypto';
import { connect } from 'mqtt';
import { createBackoff } from '#shared/backoff.ts';
import { systemClock } from '#shared/clock.ts';
import { clientIdOf, topicOf, userOf } from '#shared/topics.ts';
import { encodeStatus } from '#shared/wire.ts';
import { addressOf } from './telemetry-messages.ts';

type CrowdOptions = { readonly url: string; readonly agents: number; readonly password: string };
const { url, agents, password } = JSON.parse(process.argv[2] ?? '{}') as CrowdOptions; // written by the benchmark
let attempts = 0;
let counting = false;

const { port } = new URL(url);
const first = connectTls({ host: '127.0.0.1', port: Number(port), servername: 'localhost', rejectUnauthorized: false });
await once(first, 'secureConnect');
const ca = new X509Certificate(first.getPeerCertificate(true).issuerCertificate.raw).toString();
first.destroy();

async function live(agent: number): Promise<never> {
  const origin = addressOf(agent);
  const backoff = createBackoff({ firstMs: 1_000, maxMs: 300_000, random: Math.random, floor: 0.1 });
  for (;;) {
    if (counting) attempts += 1;
    const client = connect(url, {
      protocolVersion: 4,
      clientId: clientIdOf(origin),
      username: userOf(origin),
      password,
      ca,
      reconnectPeriod: 0,
      connectTimeout: 20_000,
      keepalive: 30,
    });
    client.on('error', () => {});
    client.on('connect', () => {
      backoff.reset();
      const birth = encodeStatus({
        state: 'online',
        connection: 'connection-' + agent,
        at: Date.now(),
        version: '1.0.0',
      });
      client.publish(topicOf(origin, 'status'), birth, { qos: 1, retain: true }, () => {});
      client.subscribe(topicOf(origin, 'ack'), { qos: 1 }, () => {});
    });
    await new Promise<void>((resolve) => void client.once('close', () => resolve()));
    counting = true;
    client.end(true);
    await systemClock.sleep(backoff.next());
  }
}

process.on('message', () => process.send?.(attempts));
for (let agent = 0; agent < agents; agent += 1) {
  void live(agent);
  if (agent % 50 === 0) await systemClock.sleep(50);
}
