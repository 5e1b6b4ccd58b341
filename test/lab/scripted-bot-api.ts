// A Telegram Bot API that keeps what it was asked and answers as told: `apiRoot` for grammy.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

export type BotCall = {
  readonly token: string;
  /** As in the address, such as `sendMessage`. */
  readonly method: string;
  /** What was sent as JSON, or the fields of a form. */
  readonly params: Readonly<Record<string, unknown>>;
  readonly at: number;
  /** How often this method was called before. */
  readonly before: number;
};

export type BotReply =
  | { readonly ok: true; readonly result: unknown }
  | { readonly error: number; readonly description: string; readonly retryAfterSeconds?: number }
  /** No answer: the connection is reset, or stays open without a word. */
  | 'reset'
  | 'hang';

export type ScriptedBotApi = {
  /** http://127.0.0.1:PORT */
  readonly url: string;
  readonly port: number;
  /** Every call, also those that were not answered well. */
  readonly calls: readonly BotCall[];
  /** The calls of sendMessage that were answered well. */
  readonly messages: readonly { readonly chat: string; readonly text: string }[];
  readonly close: () => Promise<void>;
};

const maxBodyBytes = 1024 * 1024;

export type ScriptedBotApiOptions = {
  /** The only token that is known; without it every token is. */
  readonly token?: string;
  /** Undefined: answer well. */
  readonly script?: (call: BotCall) => BotReply | undefined;
  readonly port?: number;
};

export async function startScriptedBotApi(options: ScriptedBotApiOptions = {}): Promise<ScriptedBotApi> {
  const calls: BotCall[] = [];
  const messages: { chat: string; text: string }[] = [];

  function judge(call: BotCall): BotReply {
    if (options.token !== undefined && call.token !== options.token) return { error: 401, description: 'Unauthorized' };
    return options.script?.(call) ?? { ok: true, result: goodResult(call, messages.length + 1) };
  }

  const server = createServer((request, response) => {
    void (async () => {
      const [, token = '', method = ''] = /^\/bot([^/]+)\/([^?]+)/.exec(request.url ?? '') ?? [];
      const params = await readParams(request);
      const before = calls.filter((call) => call.method === method).length;
      const call: BotCall = { token, method, params, at: Date.now(), before };
      calls.push(call);
      const reply = judge(call);
      if (reply === 'reset') request.socket.resetAndDestroy();
      if (reply === 'reset' || reply === 'hang') return;
      if ('ok' in reply && method === 'sendMessage') {
        messages.push({ chat: String(params['chat_id']), text: String(params['text']) });
      }
      response.writeHead('ok' in reply ? 200 : reply.error, { 'content-type': 'application/json' });
      response.end(JSON.stringify('ok' in reply ? reply : errorBody(reply)));
    })().catch(() => request.socket.destroy()); // the caller went away
  });
  await once(server.listen(options.port ?? 0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo; // a TCP server
  return {
    url: 'http://127.0.0.1:' + port,
    port,
    calls,
    messages,
    close: async () => {
      if (!server.listening) return;
      const closed = once(server.close(), 'close');
      server.closeAllConnections();
      await closed;
    },
  };
}

async function readParams(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request) {
    const bytes = chunk as Buffer; // a request without encoding gives Buffers
    length += bytes.length;
    if (length > maxBodyBytes) throw new Error('Cannot read a call: more than ' + maxBodyBytes + ' bytes');
    chunks.push(bytes);
  }
  const text = Buffer.concat(chunks).toString('utf8');
  if (text === '') return {};
  if (request.headers['content-type']?.startsWith('application/json') !== true) {
    return Object.fromEntries(new URLSearchParams(text));
  }
  const value: unknown = JSON.parse(text);
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

function goodResult(call: BotCall, serial: number): unknown {
  if (call.method === 'getMe') return { id: 1, is_bot: true, first_name: 'lab', username: 'lab_bot' };
  if (call.method !== 'sendMessage') return true;
  const chat = { id: Number(call.params['chat_id']) || 0, type: 'group', title: 'lab' };
  return { message_id: serial, date: Math.floor(call.at / 1_000), chat, text: call.params['text'] };
}

function errorBody(reply: {
  readonly error: number;
  readonly description: string;
  readonly retryAfterSeconds?: number;
}) {
  const { error, description, retryAfterSeconds } = reply;
  const parameters = retryAfterSeconds === undefined ? {} : { parameters: { retry_after: retryAfterSeconds } };
  return { ok: false, error_code: error, description, ...parameters };
}
