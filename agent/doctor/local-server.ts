// The local mail server: whether it takes mail from here for every address that would be handed to it; on request one mail.
import { randomUUID } from 'node:crypto';
import type { Path } from '#shared/config-problems.ts';
import { UserError } from '#shared/failure.ts';
import type { AgentConfig } from '../config.ts';
import { isLocalAddress } from '../local/local-address.ts';
import { createLocal } from '../local/local.ts';
import { endpointAt } from './check.ts';
import type { Check, Common, Placed } from './check.ts';
import { well, wrong } from './finding.ts';
import type { Trial } from './finding.ts';
import { tryLocal } from './smtp.ts';

type Local = NonNullable<AgentConfig['local']>;

/** Every address that fetched mail or a note may go to, with the option that names it first. */
function recipientsOf(config: AgentConfig): ReadonlyMap<string, Path> {
  const all: (readonly [string, Path])[] = config.accounts.flatMap((account, index) => [
    ...(account.recipients ?? []).map((address, n): [string, Path] => [address, ['accounts', index, 'recipients', n]]),
    ...(account.multidrop === undefined
      ? []
      : [[account.multidrop.fallback, ['accounts', index, 'multidrop', 'fallback']] as const]),
  ]);
  if (config.operator !== undefined) all.push([config.operator, ['operator']]);
  const first = new Map<string, Path>();
  for (const [address, path] of all) if (!first.has(address)) first.set(address, path);
  return first;
}

export function checkLocalServer(common: Common, mailTo: string | undefined): readonly Check[] {
  const { loaded } = common;
  const { local } = loaded.value;
  if (local === undefined) return [];
  const path = ['local'];
  const checks: Check[] = [{ name: 'local server', path, look: () => lookAtServer(common, local) }];
  if (mailTo !== undefined) checks.push({ name: 'hand-over', path, look: () => handOver(common, local, mailTo) });
  return checks;
}

async function lookAtServer(common: Common, local: Local): Promise<readonly Placed[]> {
  const { loaded, hostname: name, clock, log, signal } = common;
  const known = recipientsOf(loaded.value);
  const seen = await tryLocal({
    endpoint: endpointAt(loaded, ['local'], local),
    protocol: local.protocol,
    recipients: [...known.keys()],
    name,
    clock,
    log,
    signal,
  });
  return [
    { path: ['local'], trial: seen.server },
    ...seen.recipients.map(({ address, trial }) => ({ path: known.get(address) ?? [], trial, name: 'local address' })),
  ];
}

async function handOver(common: Common, local: Local, address: string): Promise<Trial> {
  const { loaded, hostname: name, clock, log, signal } = common;
  if (!isLocalAddress(local, address))
    throw new UserError(
      'Cannot hand a mail to ' + address + ': not local, expected an address in ' + local.domains.join(', '),
    );
  const session = createLocal({ config: local, endpoint: endpointAt(loaded, ['local'], local), name, clock, log });
  const text = Buffer.from(testMail(address, name, clock.now()));
  try {
    const { recipients } = await session.deliver({
      from: '',
      recipients: [address],
      head: Buffer.alloc(0),
      body: { open: () => [text], sizeBytes: text.length },
      signal,
    });
    const [answer] = recipients;
    if (answer?.verdict === 'delivered') return well('a mail was handed over to ' + address + ': ' + answer.text);
    return wrong({
      found: 'the mail to ' + address + ' was not taken: ' + (answer?.text ?? 'no answer'),
      expected: 'the local server to take it',
      remedy: 'see the answer above and the log of the local server',
    });
  } finally {
    await session.close();
  }
}

function testMail(address: string, host: string, now: number): string {
  return [
    'From: mailferry <' + address + '>',
    'To: <' + address + '>',
    'Subject: mailferry doctor: a mail handed over for a test',
    'Date: ' + new Date(now).toUTCString().replace('GMT', '+0000'),
    'Message-ID: <' + randomUUID() + '@mailferry.invalid>',
    'Auto-Submitted: auto-generated',
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    '',
    'This mail was made by `mailferry doctor --mail` on ' + host + ' and handed to the local mail server.',
    'If you read it in your mailbox, that part of the way works.',
    '',
  ].join('\r\n');
}
