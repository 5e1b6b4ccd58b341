// Questions to DNS with an outcome that is never in doubt: records, none, or failed and why. Resolvers are asked one after
// the other: asking all at once doubles what the operators of block lists meter, and a fast SERVFAIL beats a good answer.
import { randomInt } from 'node:crypto';
import type { DnsCache } from './dns-cache.ts';
import { exchangeTcp } from './dns-exchange.ts';
import type { Exchange } from './dns-exchange.ts';
import { encodeQuery, isTruncated, readReply } from './dns-message.ts';
import type { Question, RecordType } from './dns-message.ts';
import { createDnsSockets } from './dns-sockets.ts';
import type { DnsSockets } from './dns-sockets.ts';
import { toAsciiName } from './names.ts';
import { showResolver } from './resolvers.ts';
import type { Resolver } from './resolvers.ts';
import { createSlots } from './slots.ts';

export type { Question, RecordType };
export type DnsFailure = 'timeout' | 'network' | 'malformed' | 'rcode' | 'name' | 'stopped';
/**
 * `values` as in zone files: `10 mx.example.org` for MX, `0 .` for none; names in lower case without a final dot; the strings
 * of one TXT record joined. `ageMs`: since it was answered, 0 when it was asked just now.
 */
export type DnsAnswer =
  | {
      readonly kind: 'records';
      readonly values: readonly string[];
      readonly ttlSeconds: number;
      readonly ageMs: number;
    }
  | {
      readonly kind: 'none';
      readonly reason: 'nxdomain' | 'nodata';
      readonly ttlSeconds: number;
      readonly ageMs: number;
    }
  /** `text` names the resolver and what it did; never the name that was asked, which may hold a key. */
  | { readonly kind: 'failed'; readonly reason: DnsFailure; readonly text: string };

export type Dns = {
  readonly resolvers: readonly Resolver[];
  /** Asks the given resolvers in order (all of ours by default) until one answers. Never throws. */
  readonly ask: (question: Question, signal: AbortSignal, resolvers?: readonly Resolver[]) => Promise<DnsAnswer>;
};

export type DnsOptions = {
  readonly resolvers: readonly Resolver[];
  /** Of one try; a try over TCP after a cut UDP answer has it once more. */
  readonly timeoutMs?: number;
  /** A resolver, each with a fresh id and port. */
  readonly tries?: number;
  /** At most 32: more would overrun receive buffers, and the operators' limits. */
  readonly maxInFlight?: number;
  /** Without one every question is asked. */
  readonly cache?: DnsCache;
  /** Where several share their open sockets. */
  readonly sockets?: DnsSockets;
};

const mostInFlight = 32;

export function createDns(options: DnsOptions): Dns {
  const { cache, timeoutMs = 2_000, tries = 2, sockets = createDnsSockets() } = options;
  const slots = createSlots(Math.min(options.maxInFlight ?? mostInFlight, mostInFlight));

  async function tryOnce(question: Question, resolver: Resolver, signal: AbortSignal): Promise<DnsAnswer> {
    const query = encodeQuery(randomInt(0x10000), question);
    const exchange = { resolver, query, timeoutMs, signal };
    let outcome: Exchange = await sockets.exchange(exchange);
    if (outcome.kind === 'message' && isTruncated(outcome.message)) outcome = await exchangeTcp(exchange);
    const place = showResolver(resolver) + ': ';
    if (outcome.kind !== 'message') return { kind: 'failed', reason: outcome.kind, text: place + outcome.text };
    const reply = readReply(outcome.message, question);
    switch (reply.kind) {
      case 'records':
      case 'none':
        cache?.put(cacheKey(question, resolver), reply);
        return { ...reply, ageMs: 0 };
      case 'rcode':
        return { kind: 'failed', reason: 'rcode', text: place + reply.rcode };
      case 'malformed':
        return { kind: 'failed', reason: 'malformed', text: place + 'answered with ' + reply.text };
    }
  }

  /** An answer with an error code is an answer: the same server would give it again. */
  async function askOne(question: Question, resolver: Resolver, signal: AbortSignal): Promise<DnsAnswer> {
    let answer = await tryOnce(question, resolver, signal);
    for (let n = 1; n < tries && answer.kind === 'failed'; n += 1) {
      if (answer.reason === 'rcode' || answer.reason === 'stopped') break;
      answer = await tryOnce(question, resolver, signal);
    }
    return answer;
  }

  return {
    resolvers: options.resolvers,
    async ask(asked, signal, resolvers = options.resolvers) {
      const name = toAsciiName(asked.name);
      if (name === undefined) return failed('name', 'a name that DNS cannot hold');
      const question = { name, type: asked.type };
      const failures: { readonly reason: DnsFailure; readonly text: string }[] = [];
      for (const resolver of resolvers) {
        if (signal.aborted) break;
        const known = cache?.get(cacheKey(question, resolver));
        if (known !== undefined) return known;
        const answer = await slots.run(() => askOne(question, resolver, signal), signal);
        if (answer.kind !== 'failed') return answer;
        failures.push(answer);
      }
      if (signal.aborted) return failed('stopped', 'stopped');
      const [first] = failures;
      if (first === undefined) return failed('network', 'no resolver is known');
      return failed(first.reason, failures.map((failure) => failure.text).join('; '));
    },
  };
}

function cacheKey(question: Question, resolver: Resolver): string {
  return showResolver(resolver) + ' ' + question.type + ' ' + question.name;
}

function failed(reason: DnsFailure, text: string): DnsAnswer {
  return { kind: 'failed', reason, text };
}
