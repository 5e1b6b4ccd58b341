// Of what a provider's preset is made: facts, each with its source and its doubt, and those that many presets share.

/**
 * vendor: the provider's own pages; ispdb: Thunderbird's database (github.com/thunderbird/autoconfig); provider-db:
 * github.com/chatmail/provider-db; report: somebody's experience, told in public; code: somebody's program; expected: by
 * analogy; none: looked for and not found.
 */
export type Source = 'vendor' | 'ispdb' | 'provider-db' | 'report' | 'code' | 'expected' | 'none';
export type Fact<T> = {
  /** Undefined: not known. */
  readonly value: T;
  readonly source: Source;
  /** Where, or more about it. */
  readonly note?: string;
  /** Why it should be checked before it is relied on. */
  readonly doubt?: string;
};
export type Server = {
  readonly host: string | undefined;
  readonly port: number;
  readonly tls: 'implicit' | 'starttls';
};
export type OAuthPlace = { readonly tokenUrl: string; readonly deviceUrl: string; readonly scope: string };
/** What a provider allows who sends; what is absent is not known. */
export type SendLimits = {
  readonly messagesPerConnection?: number;
  readonly messagesPerHour?: number;
  readonly recipientsPerHour?: number;
  readonly messagesPerDay?: number;
  readonly recipientsPerDay?: number;
  /** In one transaction. */
  readonly recipientsPerMail?: number;
};
export type Preset = {
  readonly title: string;
  readonly pop3: Fact<Server>;
  readonly smtp: Fact<Server>;
  /** Between two logins by POP3. */
  readonly minIntervalSeconds: Fact<number>;
  /** full: the whole address; local: what stands before the @; contract: a name of the contract. */
  readonly userName: Fact<'full' | 'local' | 'contract'>;
  /** For people; what the agent keeps to by itself stands in `sending`. */
  readonly limits: readonly Fact<string>[];
  /** Each a part of what is known. What carries a doubt is for reading and not kept to. */
  readonly sending?: readonly Fact<SendLimits>[];
  readonly hints: readonly Fact<string>[];
  readonly oauth?: Fact<OAuthPlace>;
  /** Asked for instead of that of `oauth` by who sends. */
  readonly smtpScope?: Fact<string>;
};

/** Where no minimum is known. Some providers cut off who comes more often than once a minute. */
export const carefulIntervalSeconds = 60;
export const careful: Fact<number> = {
  value: carefulIntervalSeconds,
  source: 'none',
  doubt: 'no minimum found; a careful value',
};
export const full = (source: 'ispdb' | 'vendor'): Fact<'full'> => ({ value: 'full', source });
export const fullExpected: Fact<'full'> = { value: 'full', source: 'expected', doubt: 'the usual form' };
export const inPrograms = 'seen in public programs only';
export const unknownServer = (port: number): Fact<Server> => ({
  value: { host: undefined, port, tls: 'implicit' },
  source: 'none',
  doubt: 'no server found; see your contract',
});
export const noLimits: readonly Fact<string>[] = [];
export const pops = (host: string): Fact<Server> => ({ value: { host, port: 995, tls: 'implicit' }, source: 'ispdb' });
export const smtps = (host: string): Fact<Server> => ({ value: { host, port: 465, tls: 'implicit' }, source: 'ispdb' });
export const enableFirst = (source: 'report' | 'provider-db'): Fact<string> => ({
  value: "POP3 must be switched on in the provider's web interface; it switches itself off after long disuse.",
  source,
  note: 'jens-maus/yam #638',
  doubt: "a user's report",
});
export const microsoft: Fact<OAuthPlace> = {
  value: {
    tokenUrl: 'https://login.microsoftonline.com/common/oauth2/v2.0/token',
    deviceUrl: 'https://login.microsoftonline.com/common/oauth2/v2.0/devicecode',
    scope: 'https://outlook.office.com/POP.AccessAsUser.All offline_access',
  },
  source: 'vendor',
  note: 'learn.microsoft.com, "Authenticate an IMAP, POP or SMTP connection using OAuth" and "device authorization grant"',
};
export const microsoftSending: Fact<string> = {
  value: 'https://outlook.office.com/SMTP.Send offline_access',
  source: 'vendor',
  note: 'learn.microsoft.com, as above',
};
export const microsoftLimits: readonly Fact<SendLimits>[] = [
  {
    value: { recipientsPerDay: 10_000 },
    source: 'vendor',
    note: 'learn.microsoft.com, "SMTP submission improvements"; beyond it 554 5.2.0 until the next day',
  },
];
export const ownApplication: Fact<string> = {
  value: 'Needs an application of your own in Microsoft Entra (oauth.clientId) that allows public client flows.',
  source: 'vendor',
  note: 'learn.microsoft.com, as above',
};
