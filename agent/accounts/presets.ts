// What is known about providers, as data: servers, limits, what has to be switched on. Each fact says where it comes from;
// whatever is not the provider's own word or Thunderbird's database of providers carries a doubt.
import {
  careful,
  enableFirst,
  full,
  fullExpected,
  inPrograms,
  microsoft,
  microsoftLimits,
  microsoftSending,
  noLimits,
  ownApplication,
  pops,
  smtps,
  unknownServer,
} from './preset-facts.ts';
import type { Preset } from './preset-facts.ts';

export { carefulIntervalSeconds } from './preset-facts.ts';
export type { Fact, OAuthPlace, Preset, SendLimits, Server, Source } from './preset-facts.ts';

export const presets = {
  ionos: {
    title: 'IONOS / 1&1',
    pop3: { ...pops('pop.1und1.de'), note: 'pop.ionos.de is expected to be the same, not verified' },
    smtp: {
      value: { host: 'smtp.ionos.de', port: 587, tls: 'starttls' },
      source: 'report',
      note: 'hm_email #13, ioBroker.email #179',
      doubt: 'seen in logs only; the database knows smtp.1und1.de, 465 and 587',
    },
    minIntervalSeconds: careful,
    userName: full('ispdb'),
    limits: [
      {
        value: 'Sending: 50, 100 or 400 mails an hour in the first days of a contract, 500 after 30 days.',
        source: 'vendor',
        note: 'ionos.co.uk/help id=17026',
        doubt: 'an older page of the same provider says 5,000 recipients an hour and 200 a mail',
      },
    ],
    sending: [
      {
        value: { messagesPerHour: 500 },
        source: 'vendor',
        note: 'ionos.co.uk/help id=17026, after 30 days; a younger contract has less: set limits',
      },
      {
        value: { recipientsPerMail: 200 },
        source: 'vendor',
        note: 'ionos.de/hilfe, mass mails',
      },
    ],
    hints: [
      {
        value: '"450 Mail send limit exceeded" means: slower.',
        source: 'vendor',
        note: 'ionos.de/hilfe, mass mails',
      },
    ],
  },
  strato: {
    title: 'STRATO',
    pop3: pops('pop3.strato.de'),
    smtp: smtps('smtp.strato.de'),
    minIntervalSeconds: careful,
    userName: full('ispdb'),
    limits: noLimits,
    hints: [],
  },
  't-online': {
    title: 'T-Online / magenta.de',
    pop3: pops('securepop.t-online.de'),
    smtp: smtps('securesmtp.t-online.de'),
    minIntervalSeconds: careful,
    userName: full('ispdb'),
    limits: [
      {
        value: 'Sending: 100 mails a day.',
        source: 'report',
        note: 'tine20 #4142',
        doubt: "a user's report of 2013",
      },
    ],
    sending: [
      {
        value: { messagesPerDay: 100 },
        source: 'report',
        note: 'tine20 #4142',
        doubt: "a user's report of 2013",
      },
    ],
    hints: [
      {
        value:
          'Needs an own e-mail password (E-Mail-Passwort), set in the customer centre; the login password does not work.',
        source: 'ispdb',
      },
    ],
  },
  gmx: {
    title: 'GMX',
    pop3: pops('pop.gmx.net'),
    smtp: smtps('mail.gmx.net'),
    minIntervalSeconds: careful,
    userName: full('ispdb'),
    limits: [
      {
        value: 'The mailbox is locked after heavy use.',
        source: 'provider-db',
        note: 'gmx.net.md',
        doubt: 'no figure is given',
      },
    ],
    hints: [enableFirst('report')],
  },
  'web-de': {
    title: 'WEB.DE',
    pop3: pops('pop3.web.de'),
    smtp: smtps('smtp.web.de'),
    minIntervalSeconds: {
      value: 900,
      source: 'ispdb',
      note: 'checkInterval=15; earlier logins are refused like a wrong password. 720 s in yam #305 (2012)',
    },
    userName: { value: 'local', source: 'ispdb' },
    limits: noLimits,
    hints: [enableFirst('report')],
  },
  hetzner: {
    title: 'Hetzner (web hosting)',
    pop3: {
      value: { host: 'mail.your-server.de', port: 995, tls: 'implicit' },
      source: 'expected',
      doubt: 'the database knows IMAP (993) there, not POP3',
    },
    smtp: smtps('mail.your-server.de'),
    minIntervalSeconds: careful,
    userName: full('ispdb'),
    limits: noLimits,
    hints: [],
  },
  'all-inkl': {
    title: 'ALL-INKL',
    pop3: {
      value: { host: undefined, port: 995, tls: 'implicit' },
      source: 'expected',
      note: 'the host stands in the contract: wXXXXXXX.kasserver.com',
      doubt: 'the host differs by contract; the port was not found',
    },
    smtp: {
      value: { host: undefined, port: 465, tls: 'implicit' },
      source: 'ispdb',
      note: 'wXXXXXXX.kasserver.com',
      doubt: 'the host differs by contract',
    },
    minIntervalSeconds: careful,
    userName: { value: 'contract', source: 'code', note: 'like m0xxxxxx', doubt: inPrograms },
    limits: noLimits,
    hints: [],
  },
  'mailbox-org': {
    title: 'mailbox.org',
    pop3: {
      value: { host: 'pop3.mailbox.org', port: 995, tls: 'implicit' },
      source: 'expected',
      doubt: 'not found in any source',
    },
    smtp: {
      value: { host: 'smtp.mailbox.org', port: 465, tls: 'implicit' },
      source: 'provider-db',
      doubt: 'not the word of the provider',
    },
    minIntervalSeconds: careful,
    userName: fullExpected,
    limits: [
      {
        value: 'Sending: no fixed number; a test account may send 10 mails a day, only to mailbox.org.',
        source: 'vendor',
        note: 'kb.mailbox.org',
      },
    ],
    hints: [],
  },
  posteo: {
    title: 'Posteo',
    pop3: pops('posteo.de'),
    smtp: smtps('posteo.de'),
    minIntervalSeconds: careful,
    userName: full('ispdb'),
    limits: noLimits,
    hints: [],
  },
  'host-europe': {
    title: 'Host Europe',
    pop3: unknownServer(995),
    smtp: unknownServer(465),
    minIntervalSeconds: careful,
    userName: { value: 'contract', source: 'vendor', note: 'wpXXXXX-name; faq.hosteurope.de cpid=422' },
    limits: [
      {
        value: 'Sending: 10 mails a connection.',
        source: 'report',
        note: 'tine20 #4142',
        doubt: "a user's report of 2013",
      },
    ],
    sending: [
      {
        value: { messagesPerConnection: 10 },
        source: 'report',
        note: 'tine20 #4142',
        doubt: "a user's report of 2013",
      },
    ],
    hints: [],
  },
  domainfactory: {
    title: 'domainFACTORY',
    pop3: { ...pops('sslin.df.eu'), note: 'resellers: sslin.de' },
    smtp: { ...smtps('sslout.df.eu'), note: 'resellers: sslout.de' },
    minIntervalSeconds: careful,
    userName: full('ispdb'),
    limits: noLimits,
    hints: [],
  },
  'united-domains': {
    title: 'united-domains',
    pop3: { ...pops('pops.udag.de'), source: 'code', doubt: inPrograms },
    smtp: { ...smtps('smtps.udag.de'), source: 'code', doubt: inPrograms },
    minIntervalSeconds: careful,
    userName: {
      value: 'contract',
      source: 'code',
      note: 'like example-org-0001',
      doubt: inPrograms,
    },
    limits: noLimits,
    hints: [],
  },
  netcup: {
    title: 'netcup',
    pop3: unknownServer(995),
    smtp: unknownServer(465),
    minIntervalSeconds: careful,
    userName: fullExpected,
    limits: noLimits,
    hints: [],
  },
  gmail: {
    title: 'Gmail / Google Workspace',
    pop3: {
      value: { host: 'pop.gmail.com', port: 995, tls: 'implicit' },
      source: 'vendor',
      note: 'developers.google.com/workspace/gmail/imap',
    },
    smtp: {
      value: { host: 'smtp.gmail.com', port: 465, tls: 'implicit' },
      source: 'vendor',
      note: 'developers.google.com/workspace/gmail/imap',
    },
    minIntervalSeconds: {
      value: 600,
      source: 'report',
      note: 'frappe PR #20675',
      doubt: "Google's text, as quoted in a report",
    },
    userName: full('vendor'),
    limits: [
      {
        value: 'Sending: 500 mails a day, Workspace 2,000.',
        source: 'report',
        note: 'documentation of Nylas',
        doubt: 'not the word of the provider',
      },
    ],
    sending: [
      {
        value: { messagesPerDay: 500 },
        source: 'report',
        note: 'documentation of Nylas',
        doubt: 'not the word of the provider; Workspace has 2,000',
      },
    ],
    hints: [
      { value: 'POP3 must be switched on in the settings of Gmail.', source: 'expected', doubt: 'checked nowhere yet' },
      {
        value: 'Needs an app password, or OAuth2; plain passwords were removed in May 2025.',
        source: 'vendor',
        note: 'developers.google.com/workspace/gmail/imap',
      },
      {
        value: 'Mail vanishes from POP3 after one session that ended with QUIT, about 250 mails a session.',
        source: 'report',
        note: 'Google help, by a mirror',
        doubt: 'sources disagree whether RETR alone hides a mail',
      },
    ],
    oauth: {
      value: {
        tokenUrl: 'https://oauth2.googleapis.com/token',
        deviceUrl: 'https://oauth2.googleapis.com/device/code',
        scope: 'https://mail.google.com/',
      },
      source: 'expected',
      doubt: 'the device login may not be allowed this scope; then get the refresh token in another way',
    },
  },
  'microsoft-365': {
    title: 'Microsoft 365',
    pop3: {
      value: { host: 'outlook.office365.com', port: 995, tls: 'implicit' },
      source: 'ispdb',
    },
    smtp: {
      value: { host: 'smtp.office365.com', port: 587, tls: 'starttls' },
      source: 'ispdb',
    },
    minIntervalSeconds: careful,
    userName: full('ispdb'),
    limits: [
      {
        value: 'Sending: 30 mails a minute, 10,000 recipients a day.',
        source: 'none',
        doubt: 'often told, no source found',
      },
    ],
    hints: [
      { value: 'OAuth2 only.', source: 'ispdb' },
      ownApplication,
      {
        value: 'SMTP AUTH with a password: off by default for existing tenants from the end of December 2026.',
        source: 'report',
        note: 'revised on 2026-01-27; msgwing/ZeroSMTP #112',
        doubt: 'the dates have moved before',
      },
    ],
    oauth: microsoft,
    smtpScope: microsoftSending,
    sending: microsoftLimits,
  },
  'outlook-com': {
    title: 'Outlook.com',
    pop3: {
      value: { host: 'outlook.office365.com', port: 995, tls: 'implicit' },
      source: 'ispdb',
    },
    smtp: {
      value: { host: 'smtp-mail.outlook.com', port: 587, tls: 'starttls' },
      source: 'ispdb',
    },
    minIntervalSeconds: {
      ...careful,
      doubt: 'a limit of logins in 15 minutes was seen (frappe #242), without the name of the provider or a figure',
    },
    userName: full('ispdb'),
    limits: noLimits,
    hints: [
      { value: 'OAuth2 only since 2024-09-16.', source: 'report', note: 'SmsForwarder #527', doubt: "users' reports" },
      ownApplication,
      { value: 'What is deleted by POP3 goes from the web inbox too.', source: 'ispdb' },
    ],
    oauth: microsoft,
    smtpScope: microsoftSending,
    sending: microsoftLimits,
  },
} as const satisfies Readonly<Record<string, Preset>>;

export type PresetName = keyof typeof presets;
export const presetNames: readonly string[] = Object.keys(presets);

/** Undefined for a name that is none. */
export function findPreset(name: string | undefined): Preset | undefined {
  const all: Readonly<Record<string, Preset>> = presets;
  return name !== undefined && Object.hasOwn(all, name) ? all[name] : undefined;
}
