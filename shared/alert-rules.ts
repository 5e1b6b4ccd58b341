// The default rules as data, named once: the collector evaluates them, the dashboards draw their thresholds.
import type { MetricName } from './metrics.ts';

export type Comparison = { readonly op: '<' | '>' | '='; readonly value: number };
export type RuleSource =
  /** No sign of life of the agent, judged by the collector's clock. */
  | { readonly kind: 'silence' }
  /** The last value of a field, one alert per combination of the metric's tags. */
  | {
      readonly kind: 'reading';
      readonly metric: MetricName;
      readonly field: string;
      readonly fire: Comparison;
      readonly clear: Comparison;
    };

export type AlertRule = {
  readonly id: string;
  readonly severity: 'critical' | 'warning' | 'info';
  readonly source: RuleSource;
  /** The condition must hold this long before the alert is raised. */
  readonly forSeconds: number;
  /** The clear condition must hold this long before it is resolved. */
  readonly clearSeconds: number;
  /** One line; {agent} {tenant} and the metric's tags in braces are filled in. */
  readonly title: string;
  readonly meaning: string;
  readonly remedy: string;
};

export const alertRules: readonly AlertRule[] = [
  {
    id: 'agent-silent',
    severity: 'critical',
    source: { kind: 'silence' },
    forSeconds: 120,
    clearSeconds: 10,
    title: '{tenant}/{agent}: the agent is silent',
    meaning:
      'Nothing is known about mail at this site. Mail waits at the provider or in the queue on the NAS; none is lost.',
    remedy: 'Check whether the NAS is switched on, has Internet, and the mailferry agent is running.',
  },
  {
    id: 'agent-held',
    severity: 'critical',
    source: {
      kind: 'reading',
      metric: 'hold',
      field: 'held',
      fire: { op: '=', value: 1 },
      clear: { op: '=', value: 0 },
    },
    forSeconds: 0,
    clearSeconds: 120,
    title: '{tenant}/{agent}: the agent is held, no mail moves',
    meaning:
      'Its state was copied, moved or restored from a backup, or two agents run with one identity: mail might be fetched and sent twice. Mail waits at the provider and in the queue; none is lost.',
    remedy:
      'Decide which machine is to be used and run `mailferry adopt` there; stop the agent on every other one, or give it a name of its own.',
  },
  {
    id: 'account-failing',
    severity: 'critical',
    source: {
      kind: 'reading',
      metric: 'account',
      field: 'up',
      fire: { op: '<', value: 1 },
      clear: { op: '=', value: 1 },
    },
    forSeconds: 600,
    clearSeconds: 60,
    title: '{tenant}/{agent}: mailbox {account} cannot be fetched',
    meaning: 'New mail for this mailbox waits at the provider and does not arrive.',
    remedy:
      'Remove the cause named as the reason. For a login failure, check the password and that POP3 is switched on at the provider.',
  },
  {
    id: 'queue-old',
    severity: 'critical',
    source: {
      kind: 'reading',
      metric: 'queue',
      field: 'oldest_seconds',
      fire: { op: '>', value: 900 },
      clear: { op: '<', value: 300 },
    },
    forSeconds: 60,
    clearSeconds: 60,
    title: '{tenant}/{agent}: outgoing mail waits',
    meaning: 'Outgoing mail stays in the queue on the NAS for longer than it should. It is tried again, none is lost.',
    remedy: 'Look at the state of the relay, then at the queue: mailferry queue list.',
  },
  {
    id: 'relay-failing',
    severity: 'warning',
    source: {
      kind: 'reading',
      metric: 'relay',
      field: 'up',
      fire: { op: '<', value: 1 },
      clear: { op: '=', value: 1 },
    },
    forSeconds: 600,
    clearSeconds: 60,
    title: '{tenant}/{agent}: relay {relay} takes no mail',
    meaning:
      'Outgoing mail that goes by this relay waits on the NAS, or goes by the relay that is configured to stand in. None is lost.',
    remedy:
      'Remove the cause named as the reason. For a refused login, change the password; a limit of the provider ends by itself.',
  },
  {
    id: 'relay-limit',
    severity: 'warning',
    source: {
      kind: 'reading',
      metric: 'relay',
      field: 'budget_left',
      fire: { op: '<', value: 1 },
      clear: { op: '>', value: 0 },
    },
    forSeconds: 300,
    clearSeconds: 60,
    title: '{tenant}/{agent}: the limits of relay {relay} are used up',
    meaning:
      'The provider takes no more mail of this login in this hour or day. Outgoing mail waits until then, none is lost.',
    remedy:
      'Find out who sends so much. If the contract allows more, set limits of the relay; another relay can stand in (fallback).',
  },
  {
    id: 'queue-held',
    severity: 'warning',
    source: {
      kind: 'reading',
      metric: 'queue',
      field: 'held',
      fire: { op: '>', value: 0 },
      clear: { op: '<', value: 1 },
    },
    forSeconds: 600,
    clearSeconds: 60,
    title: '{tenant}/{agent}: outgoing mail is held',
    meaning: 'Outgoing mail was given up or may have been sent already. It is not tried again by itself, none is lost.',
    remedy:
      'Look at the reason with mailferry queue list, then let each mail go or remove it: mailferry queue release, mailferry queue drop.',
  },
  {
    id: 'quarantine-waits',
    severity: 'warning',
    source: {
      kind: 'reading',
      metric: 'quarantine',
      field: 'oldest_seconds',
      fire: { op: '>', value: 86400 },
      clear: { op: '<', value: 86400 },
    },
    forSeconds: 600,
    clearSeconds: 60,
    title: '{tenant}/{agent}: fetched mail is in quarantine',
    meaning: 'Mail that the local server or the content check did not let through has waited for more than a day.',
    remedy:
      'Look at it with mailferry quarantine list, then let each mail go or remove it: mailferry quarantine release, mailferry quarantine drop.',
  },
  {
    id: 'mail-loop',
    severity: 'critical',
    source: {
      kind: 'reading',
      metric: 'mail_loop',
      field: 'recent',
      fire: { op: '>', value: 0 },
      clear: { op: '<', value: 1 },
    },
    forSeconds: 0,
    clearSeconds: 60,
    title: '{tenant}/{agent}: the local mail server sends back what came in',
    meaning:
      'Mail that was handed to the local mail server comes back to be sent out. It is refused and waits at the local mail server; after some days that server gives it up.',
    remedy:
      'Make the domain of the recipients a domain of the local mail server; the relay host is only for other domains. For a forwarding, allow foreign senders at its account.',
  },
  {
    id: 'round-trip-broken',
    severity: 'critical',
    source: {
      kind: 'reading',
      metric: 'round_trip',
      field: 'state',
      fire: { op: '>', value: 1 },
      clear: { op: '<', value: 1 },
    },
    forSeconds: 0,
    clearSeconds: 60,
    title: '{tenant}/{agent}: round trip {trip} does not come back',
    meaning: 'A mail that was sent to see whether mail goes out and comes in was lost, refused or came back.',
    remedy: 'Look where it was last seen: mailferry check roundtrip. It says what helps.',
  },
  {
    id: 'round-trip-late',
    severity: 'warning',
    source: {
      kind: 'reading',
      metric: 'round_trip',
      field: 'state',
      fire: { op: '=', value: 1 },
      clear: { op: '<', value: 1 },
    },
    forSeconds: 0,
    clearSeconds: 60,
    title: '{tenant}/{agent}: round trip {trip} is late',
    meaning: 'A mail that was sent to see whether mail goes out and comes in takes longer than it should.',
    remedy: 'Look where it is: mailferry check roundtrip. It says what helps.',
  },
  {
    id: 'domain-broken',
    severity: 'critical',
    source: {
      kind: 'reading',
      metric: 'domain',
      field: 'level',
      fire: { op: '=', value: 3 },
      clear: { op: '<', value: 3 },
    },
    forSeconds: 0,
    clearSeconds: 60,
    title: '{tenant}/{agent}: {check} of {domain} is broken',
    meaning: 'Mail for the domain does not arrive, or receivers refuse mail from it.',
    remedy: 'Read what was found in the reason; what helps says: mailferry check domain.',
  },
  {
    id: 'domain-doubtful',
    severity: 'warning',
    source: {
      kind: 'reading',
      metric: 'domain',
      field: 'level',
      fire: { op: '=', value: 2 },
      clear: { op: '<', value: 2 },
    },
    forSeconds: 0,
    clearSeconds: 60,
    title: '{tenant}/{agent}: {check} of {domain} is not as it should be',
    meaning: 'Some receivers may refuse or mark mail from the domain, or some mail for it may not arrive.',
    remedy: 'Read what was found in the reason; what helps says: mailferry check domain.',
  },
  {
    id: 'certificate-bad',
    severity: 'critical',
    source: {
      kind: 'reading',
      metric: 'certificate',
      field: 'level',
      fire: { op: '=', value: 3 },
      clear: { op: '<', value: 3 },
    },
    forSeconds: 0,
    clearSeconds: 60,
    title: '{tenant}/{agent}: the certificate of {server} is bad or about to expire',
    meaning: 'Mail programs and the agent do not believe such a server: mail stops, or will within days.',
    remedy: 'Read what was found in the reason; what helps says: mailferry check tls.',
  },
  {
    id: 'certificate-expires',
    severity: 'warning',
    source: {
      kind: 'reading',
      metric: 'certificate',
      field: 'level',
      fire: { op: '=', value: 2 },
      clear: { op: '<', value: 2 },
    },
    forSeconds: 0,
    clearSeconds: 60,
    title: '{tenant}/{agent}: the certificate of {server} expires',
    meaning: 'Less than a fifth of its life is left: its renewal did not work as it should have.',
    remedy: 'Renew it, or find out why its renewal does not work.',
  },
  {
    id: 'disk-low',
    severity: 'critical',
    source: {
      kind: 'reading',
      metric: 'host',
      field: 'disk_free_share',
      fire: { op: '<', value: 0.03 },
      clear: { op: '>', value: 0.05 },
    },
    forSeconds: 300,
    clearSeconds: 300,
    title: '{tenant}/{agent}: the disk of the agent is nearly full',
    meaning:
      'When it is full, outgoing mail is refused for a while and fetched mail waits at the provider. None is lost.',
    remedy: 'Make room on the volume of the state folder.',
  },
  {
    id: 'clock-wrong',
    severity: 'warning',
    source: {
      kind: 'reading',
      metric: 'host',
      field: 'clock_off_seconds',
      fire: { op: '>', value: 60 },
      clear: { op: '<', value: 30 },
    },
    forSeconds: 600,
    clearSeconds: 60,
    title: '{tenant}/{agent}: the clock of the machine is wrong',
    meaning: 'Times of mails and reports are wrong by more than a minute; certificates may seem to have expired.',
    remedy: 'Switch on time synchronisation (NTP) on the machine.',
  },
  {
    id: 'local-down',
    severity: 'critical',
    source: {
      kind: 'reading',
      metric: 'host',
      field: 'local_up',
      fire: { op: '<', value: 1 },
      clear: { op: '=', value: 1 },
    },
    forSeconds: 600,
    clearSeconds: 60,
    title: '{tenant}/{agent}: the local mail server does not answer',
    meaning: 'Fetched mail waits at the provider. None is lost.',
    remedy: 'Look whether the mail server runs on the NAS: mailferry status says what it answers.',
  },
  {
    id: 'address-listed',
    severity: 'warning',
    source: {
      kind: 'reading',
      metric: 'dnsbl',
      field: 'level',
      fire: { op: '=', value: 2 },
      clear: { op: '<', value: 2 },
    },
    forSeconds: 0,
    clearSeconds: 60,
    title: '{tenant}/{agent}: {target} is listed at {zone}',
    meaning: 'Receivers that use this block list may refuse or mark mail from this sender.',
    remedy:
      "Read the list's own words in the reason, remove the cause, then ask the list for removal. If the address is the relay's, tell the provider.",
  },
  {
    id: 'domain-listed',
    severity: 'critical',
    source: {
      kind: 'reading',
      metric: 'dnsbl',
      field: 'level',
      fire: { op: '>', value: 2 },
      clear: { op: '<', value: 3 },
    },
    forSeconds: 0,
    clearSeconds: 60,
    title: '{tenant}/{agent}: {target} is listed at {zone}',
    meaning: 'Most receivers refuse mail of this domain, whatever way it takes.',
    remedy:
      "Read the list's own words in the reason. Look for a mailbox or web site that was broken into, stop it, then ask the list for removal.",
  },
  {
    id: 'listings-doubtful',
    severity: 'info',
    source: {
      kind: 'reading',
      metric: 'dnsbl_target',
      field: 'doubtful',
      fire: { op: '=', value: 1 },
      clear: { op: '<', value: 1 },
    },
    forSeconds: 0,
    clearSeconds: 60,
    title: '{tenant}/{agent}: most block lists began to list {target} at once',
    meaning: 'That is more likely a resolver that invents answers than a true listing. It is not believed for 6 hours.',
    remedy: 'Ask one of the lists on its web page. Look at the resolver of this site.',
  },
  {
    id: 'list-blind',
    severity: 'info',
    source: {
      kind: 'reading',
      metric: 'dnsbl_zone',
      field: 'blind_seconds',
      fire: { op: '>', value: 21600 },
      clear: { op: '<', value: 1 },
    },
    forSeconds: 0,
    clearSeconds: 60,
    title: '{tenant}/{agent}: nothing can be learned from block list {zone}',
    meaning: 'The list refuses this site, is dead, or cannot be reached. A listing there would not be seen.',
    remedy:
      'Read the problem. For a refusal use a resolver of your own or a key of the list; take a dead list out of the configuration.',
  },
];
