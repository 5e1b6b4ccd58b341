// What `mailferry-collector` can do, verb by verb (their words stand in usage.ts). It runs inside the collector, which alone may
// change its state and throw agents out at once.
import { UserError } from '#shared/failure.ts';
import type { AccountView, Accounts } from '../fleet/accounts.ts';
import { skewText } from '../fleet/clock-skew.ts';
import type { Commands } from '../fleet/commands.ts';
import type { Fleet, Origin } from '../fleet/fleet.ts';
import { configure } from './configure.ts';
import { nameOf, replyLines } from './reply-lines.ts';
import type { VerbName } from './usage.ts';

export type Verb = {
  /** The lines to be printed. Throws UserError when it cannot be done. */
  readonly run: (request: VerbRequest) => Promise<readonly string[]>;
};
export type VerbRequest = {
  readonly words: readonly string[];
  readonly options: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
};
export type VerbNeeds = {
  readonly accounts: Accounts;
  readonly commands: Commands;
  readonly fleet: Pick<Fleet, 'view' | 'views'>;
  readonly broker: {
    readonly invited: (origin: Origin, secret: string) => Promise<void>;
    readonly revoked: (origin: Origin) => Promise<void>;
  };
  readonly code: (origin: Origin, secret: string, expires: number) => string;
  readonly renewAuthority: (() => Promise<readonly string[]>) | undefined;
  readonly backup: (folder: string) => Promise<readonly string[]>;
  readonly rejected: (limit: number) => readonly string[];
};

const maxHours = 24 * 30;

export function createVerbs(needs: VerbNeeds): ReadonlyMap<string, Verb> {
  const { accounts, commands, fleet, broker } = needs;

  async function giveCode(origin: Origin, options: VerbRequest['options']): Promise<readonly string[]> {
    const hours = numberOf(options, 'hours', 24, maxHours);
    const { secret, expires } = accounts.invite(origin, hours * 3_600);
    // Made before the broker is told: what cannot be told to a person need not be told to it.
    const code = needs.code(origin, secret, expires);
    await broker.invited(origin, secret);
    return [
      code,
      '',
      'Works once, for agent ' + nameOf(origin) + ', until ' + new Date(expires).toISOString() + '.',
      'Paste it at the agent: `mailferry enrol`, its page, or the set-up of the package. It is a secret.',
    ];
  }

  const verbs: Readonly<Record<VerbName, Verb>> = {
    enrol: {
      run: ({ words, options }) => giveCode(originOf(words), options),
    },
    rotate: {
      async run({ words, options }) {
        const origin = originOf(words);
        accounts.revoke(origin, 'its secret is replaced');
        await broker.revoked(origin);
        return giveCode(origin, options);
      },
    },
    revoke: {
      async run({ words }) {
        const origin = originOf(words);
        const did = accounts.revoke(origin, 'by a person');
        await broker.revoked(origin);
        if (!did)
          throw new UserError('Cannot revoke ' + nameOf(origin) + ': it is not enrolled, expected one of `agents`');
        return ['Revoked: ' + nameOf(origin)];
      },
    },
    agents: {
      run: async () => accounts.list().map((account) => lineOf(account, fleet)),
    },
    ask: {
      async run({ words, options, signal }) {
        const origin = originOf(words);
        const name = words[2];
        if (name === undefined)
          throw new UserError('Cannot ask ' + nameOf(origin) + ': no command given, expected its name');
        if (fleet.view(origin.tenant, origin.agent)?.state === 'offline')
          throw new UserError('Cannot ask ' + nameOf(origin) + ': it is not connected, expected it to be');
        const validSeconds = 60 * numberOf(options, 'minutes', 1, 24 * 60);
        const args = argumentsOf(words.slice(3));
        return replyLines(
          origin,
          await commands.send({ origin, name, args, by: 'command line', validSeconds, signal }),
        );
      },
    },
    configure: {
      async run({ words, options, signal }) {
        const origin = originOf(words);
        const validSeconds = 60 * numberOf(options, 'minutes', 24 * 60, 7 * 24 * 60);
        return configure({ origin, text: options['input'] ?? '', validSeconds, commands, signal });
      },
    },
    audit: {
      run: async ({ options }) =>
        accounts
          .audit(numberOf(options, 'limit', 50, 100_000))
          .map(({ at, tenant, agent, action, text }) =>
            [new Date(at).toISOString(), tenant + '/' + agent, action, text].join('  '),
          ),
    },
    rejected: {
      run: async ({ options }) => needs.rejected(numberOf(options, 'limit', 20, 1_000)),
    },
    'renew-authority': {
      async run() {
        if (needs.renewAuthority === undefined)
          throw new UserError(
            'Cannot renew the authority: the broker uses a certificate from files, expected one of its own',
          );
        return needs.renewAuthority();
      },
    },
    backup: {
      async run({ words }) {
        const [folder] = words;
        if (folder === undefined) throw new UserError('Cannot back up: no folder given, expected an empty one');
        return needs.backup(folder);
      },
    },
  };
  return new Map(Object.entries(verbs));
}

function originOf(words: readonly string[]): Origin {
  const [tenant, agent] = words;
  if (tenant === undefined || agent === undefined)
    throw new UserError('Cannot tell which agent is meant: found ' + words.length + ' names, expected TENANT AGENT');
  return { tenant, agent };
}

function numberOf(options: VerbRequest['options'], name: string, standard: number, maximum: number): number {
  const text = options[name];
  if (text === undefined) return standard;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > maximum)
    throw new UserError('Cannot use --' + name + ' ' + text + ', expected a whole number from 1 to ' + maximum);
  return value;
}

function argumentsOf(words: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    words.map((word) => {
      const at = word.indexOf('=');
      if (at < 1) throw new UserError('Cannot use the argument ' + JSON.stringify(word) + ', expected NAME=VALUE');
      return [word.slice(0, at), word.slice(at + 1)];
    }),
  );
}

function lineOf(account: AccountView, fleet: Pick<Fleet, 'view'>): string {
  const { state, clockAheadMs = 0 } = fleet.view(account.tenant, account.agent) ?? {};
  const clock = clockAheadMs === 0 ? '' : 'its clock is ' + skewText(clockAheadMs);
  const code = account.codeExpires > 0 ? 'code until ' + new Date(account.codeExpires).toISOString() : '';
  return [nameOf(account).padEnd(34), account.state.padEnd(9), (state ?? '-').padEnd(8), code, clock]
    .join(' ')
    .trimEnd();
}
