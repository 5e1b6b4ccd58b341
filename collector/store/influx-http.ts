// One HTTP request that writes lines to InfluxDB 1.x. Tries once; who calls it decides what an answer means.
import { Agent as HttpAgent, request as requestHttp } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import { text } from 'node:stream/consumers';
import { isRecord, parseJson } from '#shared/json.ts';
import type { InfluxStoreConfig } from '../config.ts';

/** InfluxDB answered, and did not take all of it. */
export class InfluxRefusal extends Error {
  override readonly name = 'InfluxRefusal';
  readonly status: number;
  /** The answer carries InfluxDB's own header: one from something else on this port must not make us throw points away. */
  readonly isInflux: boolean;
  constructor(status: number, isInflux: boolean, message: string) {
    super(message);
    this.status = status;
    this.isInflux = isInflux;
  }
}

export type InfluxWriter = {
  /** Throws InfluxRefusal, or what the network says. */
  readonly post: (lines: readonly string[]) => Promise<void>;
  readonly close: () => void;
};

const maxAnswerBytes = 65_536;

export function createInfluxWriter(options: {
  readonly config: InfluxStoreConfig;
  readonly password?: string;
  readonly timeoutMs: number;
}): InfluxWriter {
  const { config, timeoutMs } = options;
  const secure = config.protocol === 'https';
  const keepAlive = { keepAlive: true, maxSockets: 4 };
  const agent = secure ? new HttpsAgent(keepAlive) : new HttpAgent(keepAlive);
  const headers = {
    'content-type': 'text/plain; charset=utf-8',
    ...(config.user === undefined
      ? {}
      : { authorization: 'Basic ' + Buffer.from(config.user + ':' + (options.password ?? '')).toString('base64') }),
  };
  const path = '/write?' + new URLSearchParams({ db: config.database, precision: 'ms' }).toString();

  return {
    async post(lines) {
      const body = Buffer.from(lines.join('\n') + '\n');
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const request = (secure ? requestHttps : requestHttp)({
        host: config.host,
        port: config.port,
        path,
        method: 'POST',
        agent,
        headers: { ...headers, 'content-length': body.length },
        // Not an idle time-out: an answer that trickles would never end.
        signal: AbortSignal.timeout(timeoutMs),
      });
      request.on('error', reject);
      request.on('response', (response) => {
        const status = response.statusCode ?? 0;
        readAnswer(response).then((answer) => {
          if (status === 204 || status === 200) resolve();
          else reject(new InfluxRefusal(status, 'x-influxdb-version' in response.headers, messageOf(status, answer)));
        }, reject);
      });
      request.end(body);
      await promise;
    },
    close: () => agent.destroy(),
  };
}

async function readAnswer(response: NodeJS.ReadableStream): Promise<string> {
  return (await text(response)).slice(0, maxAnswerBytes);
}

function messageOf(status: number, answer: string): string {
  const parsed = parseJson(answer);
  const error = isRecord(parsed) ? parsed['error'] : undefined;
  return typeof error === 'string' ? error : 'status ' + status + (answer === '' ? '' : ': ' + answer.slice(0, 300));
}
