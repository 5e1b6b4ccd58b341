// From the connected socket to a session that takes mail: greeting, EHLO or LHLO, TLS when asked for, login when given.
import { isLoopback } from '#shared/net.ts';
import { openSocket, upgradeSocket } from '../net/socket.ts';
import type { Deadline } from '../net/socket.ts';
import { createChannel } from './channel.ts';
import type { Channel } from './channel.ts';
import { logIn } from './login.ts';
import { answered, AnswerError, askFor, isDone, standardTimeouts } from './session.ts';
import type { ConversationOptions, Progress, Session } from './session.ts';

/** `onChannel` learns of every channel before anything is said on it, so that an abort or a failure can end it. */
export async function greet(
  options: ConversationOptions,
  progress: Progress,
  onChannel: (channel: Channel) => void,
): Promise<Session> {
  const { endpoint, protocol, log, signal, clock } = options;
  const startedAt = clock.monotonic();
  const timeouts = { ...standardTimeouts, ...options.timeouts };
  const took = { tcp: 0, tls: 0 };
  const since = { tcp: startedAt, tls: startedAt };
  const deadline: Deadline = {
    timeoutMs: timeouts.connectMs,
    signal,
    watch(stage, state) {
      if (state === 'begun') since[stage] = clock.monotonic();
      else took[stage] = clock.monotonic() - since[stage];
    },
  };
  let socket = await openSocket(endpoint, deadline);
  let encrypted = endpoint.tls === 'implicit';
  let channel = createChannel(socket, { greets: true });
  onChannel(channel);

  progress.phase = 'greeting';
  const greeting = await channel.reply(timeouts.greetingMs);
  if (greeting.code !== 220) throw new AnswerError(answered(greeting), greeting);
  progress.phase = 'hello';
  const hello = (): Promise<ReadonlyMap<string, string>> => sayHello(channel, options, timeouts.commandMs);
  let capabilities = await hello();

  if (endpoint.tls === 'starttls') {
    progress.phase = 'tls';
    await askForTls(channel, capabilities, timeouts.commandMs);
    socket = await upgradeSocket(channel.detach(), endpoint, deadline);
    encrypted = true;
    channel = createChannel(socket, { greets: false });
    onChannel(channel);
    progress.phase = 'hello';
    capabilities = await hello(); // RFC 3207 section 4.2: what was announced in clear is forgotten
  }
  const loginAt = clock.monotonic();
  if (options.login !== undefined) {
    progress.phase = 'auth';
    const confidential = encrypted || isLoopback((socket.remoteAddress ?? '').replace(/^::ffff:/, ''));
    await logIn({ channel, capabilities, login: options.login, confidential, timeoutMs: timeouts.commandMs });
  }
  const opening = { connectMs: took.tcp, tlsMs: took.tls, loginMs: clock.monotonic() - loginAt };
  const tookMs = Math.round(clock.monotonic() - startedAt);
  log.debug({ host: endpoint.host, port: endpoint.port, encrypted, protocol, tookMs }, 'mail session open');
  return { channel, capabilities, protocol, timeouts, opening, now: clock.monotonic };
}

async function askForTls(
  channel: Channel,
  capabilities: ReadonlyMap<string, string>,
  timeoutMs: number,
): Promise<void> {
  if (!capabilities.has('STARTTLS')) throw new AnswerError('the server offers no STARTTLS');
  const reply = await askFor(channel, 'STARTTLS', timeoutMs);
  if (reply.code !== 220) throw new AnswerError(answered(reply), reply);
}

async function sayHello(
  channel: Channel,
  options: ConversationOptions,
  timeoutMs: number,
): Promise<ReadonlyMap<string, string>> {
  const name = /^[A-Za-z0-9.-]+$|^\[[A-Za-z0-9.:]+\]$/.test(options.name) ? options.name : 'localhost';
  const verb = options.protocol === 'lmtp' ? 'LHLO ' : 'EHLO ';
  const reply = await askFor(channel, verb + name, timeoutMs);
  if (isDone(reply)) return readCapabilities(reply.text);
  if (options.protocol === 'lmtp' || reply.code < 500) throw new AnswerError(answered(reply), reply);
  // RFC 5321 section 3.2: an old server knows only HELO, and offers nothing.
  const old = await askFor(channel, 'HELO ' + name, timeoutMs);
  if (!isDone(old)) throw new AnswerError(answered(old), old);
  return new Map();
}

/** The first line is the server's name. `AUTH=PLAIN` is an old way to say `AUTH PLAIN`. */
function readCapabilities(text: string): ReadonlyMap<string, string> {
  const capabilities = new Map<string, string>();
  for (const line of text.split('\n').slice(1)) {
    const match = /^([A-Za-z0-9-]+)(?:[ =]+(.*))?$/.exec(line.trim());
    if (match?.[1] === undefined) continue;
    const keyword = match[1].toUpperCase();
    const parameters = [capabilities.get(keyword) ?? '', (match[2] ?? '').trim()].filter((part) => part !== '');
    capabilities.set(keyword, parameters.join(' '));
  }
  return capabilities;
}
