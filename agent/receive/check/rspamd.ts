// Asks rspamd by HTTP (/checkv2): the mail travels as a stream with its envelope in the request's header; score, action and
// symbols come back as JSON.
import { request as requestHttp } from 'node:http';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';
import { failureOf } from './check.ts';
import type { CheckMail, Finding, Scanner } from './check.ts';
import { startDeadline } from './check-deadline.ts';
import { isRecord, parseJson } from '#shared/json.ts';

export type RspamdOptions = {
  /** http://HOST:PORT or https://HOST:PORT */
  readonly url: string;
  readonly password?: string;
  /** PEM of the authority that signed the certificate; the system's when absent. */
  readonly ca?: string;
  /** Without progress for so long it has failed. */
  readonly timeoutMs: number;
  readonly onFailure: 'deliver' | 'wait';
  readonly reject: 'quarantine' | 'deliver';
  readonly maxBytes: number;
};

const maxReplyBytes = 1_024 * 1_024;
const maxRecipients = 50;
const maxSymbolsLength = 600;

export function createRspamd(options: RspamdOptions): Scanner {
  const where = 'rspamd at ' + options.url;
  return {
    name: 'rspamd',
    onFailure: options.onFailure,
    maxBytes: options.maxBytes,
    async scan(mail) {
      let connected = false;
      try {
        const { status, text } = await ask(options, mail, () => (connected = true));
        const reply = status === 200 ? decodeReply(text) : undefined;
        if (reply !== undefined) return findingOf(reply, options.reject);
        return refusal(where, status, text);
      } catch (error) {
        return failureOf(where, error, connected);
      }
    },
  };
}

type Reply = { readonly action: string; readonly score: number; readonly required: number; readonly symbols: string };

/** Undefined when it is no verdict. */
function decodeReply(text: string): Reply | undefined {
  const value = parseJson(text);
  if (!isRecord(value)) return undefined;
  const { action, score, required_score: required, symbols } = value;
  if (typeof action !== 'string' || typeof score !== 'number' || !Number.isFinite(score)) return undefined;
  const names = isRecord(symbols) ? Object.keys(symbols).filter((name) => /^[\w.-]+$/.test(name)) : [];
  return {
    action,
    score,
    required: typeof required === 'number' ? required : NaN,
    symbols: names.sort().join(',').slice(0, maxSymbolsLength),
  };
}

function findingOf({ action, score, required, symbols }: Reply, reject: RspamdOptions['reject']): Finding {
  const refused = action === 'reject' || action === 'quarantine' || action === 'discard';
  const points = 'score ' + score.toFixed(2) + ' of ' + required.toFixed(2);
  if (refused && reject === 'quarantine')
    return { kind: 'quarantine', reason: 'rspamd says ' + action + ', ' + points + ': ' + symbols };
  // greylist and soft reject ask a sender to come again; this mail was taken by the provider long ago.
  const spam = refused || action === 'add header' || action === 'rewrite subject';
  const status = (spam ? 'Yes' : 'No') + ', score=' + score.toFixed(2) + ' required=' + required.toFixed(2);
  const lines = [
    ...(spam ? ['X-Spam: Yes', 'X-Spam-Flag: YES'] : []),
    'X-Spam-Status: ' + status + ' tests=' + (symbols === '' ? 'none' : symbols),
    'X-Spam-Score: ' + score.toFixed(2),
    'X-Spam-Action: ' + action,
  ];
  return { kind: 'pass', word: action, lines };
}

function refusal(where: string, status: number, text: string): Finding {
  const value = parseJson(text);
  const said = isRecord(value) && typeof value['error'] === 'string' ? value['error'] : text;
  const denied = status === 401 || status === 403;
  const expected = denied ? 'a password that it takes; set check.rspamd.password' : 'a verdict';
  const state = 'it answered HTTP ' + status + ' ' + JSON.stringify(said.slice(0, 200));
  return { kind: 'failure', away: denied, text: 'Cannot ask ' + where + ': ' + state + ', expected ' + expected };
}

async function ask(
  options: RspamdOptions,
  mail: CheckMail,
  onConnect: () => void,
): Promise<{ readonly status: number; readonly text: string }> {
  const url = new URL('/checkv2', options.url);
  const request = (url.protocol === 'https:' ? requestHttps : requestHttp)(url, {
    method: 'POST',
    agent: false, // a connection that rested may have died, and a new one costs nothing on this way
    headers: headersOf(options, mail),
    ...(options.ca === undefined ? {} : { ca: options.ca }),
  });
  const { promise: failed, reject } = Promise.withResolvers<never>();
  const deadline = startDeadline({ timeoutMs: options.timeoutMs, signal: mail.signal, fail: reject });
  const answered = Promise.withResolvers<IncomingMessage>();
  request.once('response', answered.resolve);
  request.on('error', answered.reject);
  request.on('close', () => answered.reject(new Error('it closed the connection without an answer')));
  request.once('socket', (socket) =>
    socket.once('connect', () => {
      deadline.progress();
      onConnect();
    }),
  );
  // It may refuse in the middle of the mail: then its answer counts, not the broken pipe.
  const sent = send(request, mail, deadline.progress);
  const reply = answered.promise.then(readReply);
  try {
    return await Promise.race([failed, reply, sent.then(() => reply)]);
  } finally {
    deadline.end();
    request.destroy();
    await Promise.allSettled([reply, sent]);
  }
}

function headersOf(options: RspamdOptions, mail: CheckMail): Record<string, string | string[]> {
  return {
    'Content-Type': 'application/octet-stream',
    'Content-Length': String(mail.body.sizeBytes),
    From: '<' + onWire(mail.from) + '>',
    Rcpt: mail.recipients.slice(0, maxRecipients).map((address) => '<' + onWire(address) + '>'),
    ...(options.password === undefined ? {} : { Password: onWire(options.password) }),
  };
}

/** HTTP header values are bytes; node:http takes them as latin1. */
function onWire(text: string): string {
  return Buffer.from(text.replaceAll(/[\u0000-\u001f\u007f]/g, '')).toString('latin1');
}

async function send(request: ClientRequest, mail: CheckMail, progress: () => void): Promise<void> {
  for await (const chunk of mail.body.open()) {
    await write(request, Buffer.from(chunk), progress);
    if (request.destroyed) return;
  }
  request.end();
}

/** Resolves when the bytes are on their way, or never will be; the reader of the answer tells which. */
function write(request: ClientRequest, bytes: Buffer, progress: () => void): Promise<void> {
  return new Promise((resolve) => {
    if (request.destroyed) return resolve();
    request.once('close', resolve);
    request.write(bytes, () => {
      request.off('close', resolve);
      progress();
      resolve();
    });
  });
}

async function readReply(response: IncomingMessage): Promise<{ readonly status: number; readonly text: string }> {
  const parts: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of response) {
    const bytes = Buffer.from(chunk as Uint8Array); // a response without an encoding gives bytes
    sizeBytes += bytes.length;
    if (sizeBytes > maxReplyBytes) throw new Error('it answered more than ' + maxReplyBytes + ' bytes');
    parts.push(bytes);
  }
  return { status: response.statusCode ?? 0, text: Buffer.concat(parts).toString('utf8') };
}
