// docs/providers.md from the presets themselves.
import { presets } from '../agent/accounts/presets.ts';
import type { Fact, Preset, SendLimits, Server } from '../agent/accounts/presets.ts';

const sources: Readonly<Record<Fact<unknown>['source'], string>> = {
  vendor: "the provider's own pages",
  ispdb: "Thunderbird's database of providers",
  'provider-db': "chatmail's database of providers",
  report: 'told by users in public',
  code: 'seen in public programs',
  expected: 'by analogy',
  none: 'no source',
};
const userNames = { full: 'the whole address', local: 'what stands before the @', contract: 'a name of the contract' };

export function buildProvidersPage(): string {
  const all: readonly (readonly [string, Preset])[] = Object.entries(presets);
  return [
    '# Providers',
    '',
    'Written by `node docs/write-configuration.ts` from `agent/accounts/presets.ts`.',
    '',
    '`preset: NAME` in an account takes host, port and tls from here. Options that stand in the account win, but for one: the',
    'interval is never shorter than the minimum of the preset, whatever wakes the account. (?) marks what should be checked',
    'before it is relied on. `preset: NAME` in a relay takes server and limits for sending; a limit with (?) is for reading only.',
    '',
    '| preset | POP3 | at least between two logins | sending | login name |',
    '|---|---|---|---|---|',
    ...all.map(([name, preset]) => row(name, preset)),
    '',
    ...all.flatMap(([name, preset]) => details(name, preset)),
  ].join('\n');
}

function row(name: string, preset: Preset): string {
  const { pop3, smtp, minIntervalSeconds, userName } = preset;
  const cells = [
    '`' + name + '`',
    serverText(pop3.value) + mark(pop3),
    minIntervalSeconds.value + ' s' + mark(minIntervalSeconds),
    serverText(smtp.value) + mark(smtp),
    userNames[userName.value] + mark(userName),
  ];
  return '| ' + cells.join(' | ') + ' |';
}

function details(name: string, preset: Preset): readonly string[] {
  const { pop3, smtp, minIntervalSeconds, userName, limits, hints, oauth, sending = [], smtpScope } = preset;
  const facts: readonly string[] = [
    line('POP3: ' + serverText(pop3.value), pop3),
    line('Sending: ' + serverText(smtp.value), smtp),
    line('Between two logins: at least ' + minIntervalSeconds.value + ' s', minIntervalSeconds),
    line('Login name: ' + userNames[userName.value], userName),
    ...(oauth === undefined
      ? []
      : [line('OAuth2: `' + oauth.value.tokenUrl + '`, scope `' + oauth.value.scope + '`', oauth)]),
    ...(smtpScope === undefined ? [] : [line('OAuth2 for sending: scope `' + smtpScope.value + '`', smtpScope)]),
    ...sending.map((fact) => line('`limits`: ' + limitsText(fact.value), fact)),
    ...[...limits, ...hints].map((fact) => line(fact.value.replace(/\.$/, ''), fact)),
  ];
  return ['## ' + preset.title + ' (`' + name + '`)', '', ...facts, ''];
}

function line(text: string, fact: Fact<unknown>): string {
  const from = sources[fact.source] + (fact.note === undefined ? '' : ': ' + fact.note);
  return '- ' + text + '. *(' + from + ')*' + (fact.doubt === undefined ? '' : ' (?) ' + fact.doubt);
}

function limitsText(limits: SendLimits): string {
  return Object.entries(limits)
    .map(([name, value]) => '`' + name + ': ' + value + '`')
    .join(', ');
}

function serverText(server: Server): string {
  return server.host === undefined ? 'see your contract' : server.host + ':' + server.port + ' ' + server.tls;
}

function mark(fact: Fact<unknown>): string {
  return fact.doubt === undefined ? '' : ' (?)';
}
