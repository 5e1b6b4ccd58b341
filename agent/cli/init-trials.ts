// Tries what was answered, by the same looks as the doctor.
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { pino } from 'pino';
import { systemClock } from '#shared/clock.ts';
import type { Clock } from '#shared/clock.ts';
import { UserError, describe } from '#shared/failure.ts';
import { findPreset } from '../accounts/presets.ts';
import type { Server } from '../accounts/presets.ts';
import type { Trial } from '../doctor/finding.ts';
import { tryMailbox } from '../doctor/mailbox.ts';
import { tryLocal, tryRelay } from '../doctor/smtp.ts';
import { userOf } from '../first-answers.ts';
import type { FirstAnswers, MailboxAnswer, RelayAnswer } from '../first-answers.ts';

type Named = { readonly name: string; readonly trial: Trial };
export type Trials = {
  readonly mailbox: (answer: MailboxAnswer) => Promise<Trial>;
  readonly relay: (answer: RelayAnswer) => Promise<Trial>;
  /** The server, then each recipient that it does not take. */
  readonly local: (answer: FirstAnswers['local'], recipients: readonly string[]) => Promise<readonly Trial[]>;
  readonly tryAll: (answers: FirstAnswers) => Promise<readonly Named[]>;
};

type PlaceAnswer = Pick<MailboxAnswer, 'host' | 'port' | 'tls' | 'caFile'>;

export function createTrials(clock: Clock = systemClock): Trials {
  const log = pino({ level: 'silent' });
  const common = () => ({ clock, log, name: hostname(), signal: new AbortController().signal });

  const mailbox: Trials['mailbox'] = (answer) => {
    const { address, preset, password, user = userOf(address, preset) } = answer;
    const standard = findPreset(preset)?.pop3.value ?? { host: undefined, port: 995, tls: 'implicit' as const };
    return tryMailbox({ ...common(), endpoint: placeOf(answer, standard), user, secret: secretOf(password) });
  };
  const relay: Trials['relay'] = (answer) => {
    const { address = '', preset, password, user = userOf(address, preset) } = answer;
    const standard = findPreset(preset)?.smtp.value ?? { host: undefined, port: 587, tls: 'starttls' as const };
    const endpoint = placeOf(answer, standard);
    return tryRelay({ ...common(), endpoint, user, auth: 'auto', secret: secretOf(password) });
  };
  const local: Trials['local'] = async (answer, recipients) => {
    const { host, port, tls, protocol } = answer;
    const endpoint = { host, port, tls, ...caOf(answer) };
    const seen = await tryLocal({ ...common(), endpoint, protocol, recipients });
    return [seen.server, ...seen.recipients.map(({ trial }) => trial)];
  };
  return {
    mailbox,
    relay,
    local,
    async tryAll({ local: server, mailboxes, relays }) {
      const recipients = mailboxes.flatMap((one) => one.recipients ?? [one.address]);
      const [seen, boxes, ways] = await Promise.all([
        local(server, [...new Set(recipients)]),
        Promise.all(mailboxes.map(async (one) => ({ name: 'mailbox ' + one.address, trial: await mailbox(one) }))),
        Promise.all(
          relays.map(async (one) => ({
            name: 'relay ' + (one.id ?? one.preset ?? one.host ?? ''),
            trial: await relay(one),
          })),
        ),
      ]);
      return [...seen.map((trial) => ({ name: 'local server', trial })), ...boxes, ...ways];
    },
  };
}

const secretOf = (password: string) => () => Promise.resolve({ kind: 'password', password } as const);

function placeOf(answer: PlaceAnswer, standard: Server) {
  const { host = standard.host ?? '', port = standard.port, tls = standard.tls } = answer;
  return { host, port, tls, ...caOf(answer) };
}

function caOf({ caFile }: { readonly caFile?: string }): { readonly ca?: string } {
  if (caFile === undefined) return {};
  try {
    return { ca: readFileSync(caFile, 'utf8') };
  } catch (error) {
    throw new UserError('Cannot read ' + caFile + ': ' + describe(error) + ', expected a PEM file', { cause: error });
  }
}
