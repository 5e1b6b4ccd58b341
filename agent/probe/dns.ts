// Questions to DNS with an outcome that is never in doubt: records, none, or failed and why. Resolvers are asked one after
// the other: asking all at once doubles what the operators of block lists meter, and a fast SERVFAIL beats a good answer.
import { randomInt } from 'node:crypto';
import { exchangeTcp, exchangeUdp } from './dns-exchange.ts';
import type { Exchange } from './dns-exchange.ts';
import { encodeQuery, isTruncated, readReply } from './dns-message.ts';
import type { Question } from './dns-message.ts';
import { toAsciiName } from './names.ts';
import { showResolver } from './resolvers.ts';
import type { Resolver } from './resolvers.ts';
import { createSlots } from './slots.ts';

export type DnsFailure = 'timeout' | 'network' | 'malformed' | 'rcode' | 'name' | 'stopped';
export type DnsAnswer =
  | { readonly kind: 'records'; readonly values: readonly string[] }
  | { readonly kind: 'none'; readonly reason: 'nxdomain' | 'nodata' }
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
  readonly maxInFlight?: number;
};

export function createDns(options: DnsOptions): Dns {
  const timeoutMs = options.timeoutMs ?? 2_000;
  const tries = options.tries ?? 2;
  const slots = createSlots(Math.min(options.maxInFlight ?? 16, 16));

  async function tryOnce(question: Question, resolver: Resolver, signal: AbortSignal): Promise<DnsAnswer> {
    const query = encodeQuery(randomInt(0x10000), question);
    const exchange = { resolver, query, timeoutMs, signal };
    let outcome: Exchange = await exchangeUdp(exchange);
    if (outcome.kind === 'message' && isTruncated(outcome.message)) outcome = await exchangeTcp(exchange);
    const place = showResolver(resolver) + ': ';
    if (outcome.kind !== 'message') return { kind: 'failed', reason: outcome.kind, text: place + outcome.text };
    const reply = readReply(outcome.message, question);
    switch (reply.kind) {
      case 'records':
      case 'none':
        return reply;
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

function failed(reason: DnsFailure, text: string): DnsAnswer {
  return { kind: 'failed', reason, text };
}
