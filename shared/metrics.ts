// The catalogue: every measurement, its tags, fields, units and meaning. The one source of names for agent, collector,
// page and dashboards. A name, tag or field that has shipped is never changed, only added to.
// Every point also carries the tags `tenant` and `agent`, which the collector adds from the topic it arrived on.

export type FieldType = 'number' | 'text';
export type FieldSpec = { readonly type: FieldType; readonly unit: string; readonly help: string };
export type MetricSpec = {
  /** event: every point stands for things that happened, sum them. gauge: the last point is the state. */
  readonly kind: 'event' | 'gauge';
  readonly help: string;
  readonly tags: readonly string[];
  readonly fields: Readonly<Record<string, FieldSpec>>;
};

const number = (unit: string, help: string): FieldSpec & { readonly type: 'number' } => ({
  type: 'number',
  unit,
  help,
});
const text = (help: string): FieldSpec & { readonly type: 'text' } => ({ type: 'text', unit: '', help });

export const metrics = {
  mail_in: {
    kind: 'event',
    help: 'A mail fetched from the provider: delivered (the local server answered 250), quarantined (it answered 5xx, or the content check or the loop guard put it aside), or probe (written by the agent itself for a round trip, taken out)',
    tags: ['account', 'outcome'],
    fields: {
      count: number('mails', 'Always 1'),
      size_bytes: number('bytes', 'Size of the mail as fetched'),
      delay_seconds: number(
        's',
        "From the provider's topmost Received date to the local 250; an estimate, absent when unreadable",
      ),
      transfer_seconds: number('s', 'From RETR to the local 250'),
      retrieve_seconds: number('s', 'From RETR until the whole mail was read'),
      handover_seconds: number(
        's',
        'From the begin of the hand-over to its end: content check and local server; or quarantine',
      ),
    },
  },
  mail_accepted: {
    kind: 'event',
    help: 'A mail taken from a client or the local server and put into the queue',
    tags: ['user'],
    fields: { count: number('mails', 'Always 1'), size_bytes: number('bytes', 'Size of the mail') },
  },
  mail_refused: {
    kind: 'event',
    help: 'Commands of clients that were refused at submission, by reason',
    tags: ['reason'],
    fields: { count: number('refusals', 'Since the last point') },
  },
  mail_out: {
    kind: 'event',
    help: 'A mail that left the queue for some recipients: sent (the relay answered 250) or failed (bounced or expired)',
    tags: ['relay', 'outcome'],
    fields: {
      count: number('mails', 'Always 1'),
      recipients: number('recipients', 'Recipients this outcome is about'),
      size_bytes: number('bytes', 'Size of the mail'),
      queue_seconds: number('s', "From the queue's 250 to the client until the outcome"),
      relay_seconds: number('s', 'From MAIL FROM to the final reply of the relay'),
      connect_seconds: number('s', 'Connecting to the relay; absent for a mail in a session that was open already'),
      tls_seconds: number('s', 'The TLS handshake; absent likewise'),
      login_seconds: number('s', 'The login; absent likewise'),
      envelope_seconds: number('s', 'From MAIL FROM to the answer to DATA'),
      data_seconds: number('s', 'From there to the final reply'),
    },
  },
  mail_try: {
    kind: 'event',
    help: 'A try that left recipients in the queue: deferred (tried again), held (waits for a person), unknown (the relay gave no answer after the dot)',
    tags: ['relay', 'outcome'],
    fields: {
      count: number('mails', 'Always 1'),
      recipients: number('recipients', 'Recipients this outcome is about'),
      size_bytes: number('bytes', 'Size of the mail'),
    },
  },
  queue: {
    kind: 'gauge',
    help: 'The queue of outgoing mail',
    tags: [],
    fields: {
      depth: number('mails', 'Mails in the queue'),
      oldest_seconds: number('s', 'Age of the oldest mail, 0 when empty'),
      held: number('mails', 'Mails that wait for a person'),
      unknown: number('mails', 'Mails whose last try ended without a known outcome'),
    },
  },
  mail_loop: {
    kind: 'gauge',
    help: 'Mails that a mail server handed to the agent to send although they came in, or went out, through it before: refused',
    tags: [],
    fields: { recent: number('mails', 'Refused within the last hour') },
  },
  queue_state: {
    kind: 'gauge',
    help: 'The mails of one relay in one state: queued, unknown, held',
    tags: ['relay', 'state'],
    fields: {
      mails: number('mails', 'Mails with a recipient in this state'),
      bytes: number('bytes', 'Their size'),
      oldest_seconds: number('s', 'Age of the oldest, 0 when there is none'),
    },
  },
  account: {
    kind: 'gauge',
    help: 'A mailbox at the provider',
    tags: ['account'],
    fields: {
      up: number('bool', '1 when the last round succeeded, 0 when it failed'),
      backlog: number('mails', 'Mails seen at the provider that were not handed over yet'),
      kept: number('mails', 'Mails handed over and kept at the provider until their time is over'),
      round_seconds: number('s', 'Duration of the last round'),
      problem: text('Why the last round failed, empty when it succeeded'),
      trouble: text(
        'Kind of the failure: login, session (the provider), local (the local server), question (asks a person); empty when none',
      ),
      error: text('Why not all is well, as one of a closed set of words (accountErrors); none when all is well'),
      connect_seconds: number('s', 'The last round: name look-up and TCP'),
      tls_seconds: number('s', 'Its TLS handshake; absent without TLS'),
      login_seconds: number(
        's',
        "The rest until the answer of the login: greeting, capabilities, login; with oauth also a new access token's way",
      ),
      list_seconds: number('s', 'Reading the listing; absent in a round that needed none'),
      first_byte_seconds: number(
        's',
        'From the first RETR to the first byte of the mail; absent in a round that fetched none',
      ),
      mailbox_mails: number('mails', 'Mails in the mailbox as the provider says at the start of the round'),
      mailbox_bytes: number('bytes', 'Their size'),
      wake: number(
        'bool',
        '1 while new mail wakes the round (IMAP IDLE), 0 when the wake fails; absent when none is configured',
      ),
    },
  },
  quarantine: {
    kind: 'gauge',
    help: 'Fetched mails that were not handed over and wait for a person',
    tags: [],
    fields: {
      count: number('mails', 'Mails in quarantine'),
      bytes: number('bytes', 'Their size'),
      oldest_seconds: number('s', 'For how long the oldest is there, 0 when empty'),
    },
  },
  hold: {
    kind: 'gauge',
    help: 'Whether mail moves at all: an agent whose state was copied, restored or is used twice moves none before a person has decided',
    tags: [],
    fields: {
      held: number('bool', '1 when no mail moves before `mailferry adopt`, 0 when it moves'),
      reason: text('Why it is held, with the remedy; empty when it is not'),
    },
  },
  relay: {
    kind: 'gauge',
    help: "The provider's relay for outgoing mail",
    tags: ['relay'],
    fields: {
      up: number('bool', '1 when the last session succeeded, 0 when it failed'),
      problem: text('Why it failed, empty when it succeeded'),
      budget_mails: number(
        'mails',
        'Mails that may still be sent now, of the window nearest to its end; absent without a limit',
      ),
      budget_recipients: number('recipients', 'Recipients likewise'),
      budget_left: number('mails', 'The lesser of both; 0: mail waits although the relay works'),
      sessions: number('sessions', 'Open sessions'),
      stood_in: number('bool', '1 while another relay sends in its place'),
    },
  },
  dnsbl: {
    kind: 'gauge',
    help: 'One address or domain at one DNS block list',
    tags: ['target', 'zone'],
    fields: {
      state: number(
        'state',
        'Of the last answer: 0 clean, 1 listed, 2 refused, 3 error, 4 zone unhealthy, 5 gone (no longer ours)',
      ),
      level: number('level', 'What is told after a second answer: 0 nothing, 1 worth knowing, 2 warning, 3 critical'),
      class: text('What it is accused of: spam, exploited, policy, network, domain, abused, listed; or good'),
      reason: text("The list's own words or the error; when clean empty, or a listing that is expected (policy list)"),
    },
  },
  dnsbl_target: {
    kind: 'gauge',
    help: 'One address or domain at all lists together',
    tags: ['target'],
    fields: {
      listed: number('lists', 'Lists that hold it, by two answers each'),
      doubtful: number('bool', '1 while most lists began to list it at once, which is not believed for 6 hours'),
    },
  },
  dnsbl_zone: {
    kind: 'gauge',
    help: 'One DNS block list',
    tags: ['zone'],
    fields: {
      blind_seconds: number('s', 'For how long nothing could be learned from it; 0 while it answers'),
      problem: text('Why, empty when it answers'),
    },
  },
  probe: {
    kind: 'gauge',
    help: 'One check of the outside world: whether it came to an end, whatever it found',
    tags: ['probe'],
    fields: {
      success: number('bool', '1 when it ended in its time, 0 when it did not'),
      seconds: number('s', 'How long it took'),
    },
  },
  domain: {
    kind: 'gauge',
    help: 'One property of a domain that receivers look at: mx, spf, dkim, dmarc, ddns, ptr, authentication',
    tags: ['domain', 'check'],
    fields: {
      level: number('level', '0 well, 1 worth knowing, 2 warning, 3 critical, 4 nothing can be said'),
      problem: text('What was found, in plain words; empty when all is well'),
    },
  },
  certificate: {
    kind: 'gauge',
    help: "TLS of a mail server, the provider's or the local one",
    tags: ['server'],
    fields: {
      level: number('level', '0 well, 1 worth knowing, 2 warning, 3 critical, 4 nothing can be said'),
      problem: text('What was found, in plain words; empty when all is well'),
      handshake_seconds: number('s', 'The TLS handshake alone; absent when there was none'),
      days_left: number('days', 'Until the first certificate of the verified path expires; absent likewise'),
      share_left: number('share', 'The same as a share of its life, 1 when new, 0 when expired'),
    },
  },
  round_trip: {
    kind: 'gauge',
    help: 'A probe mail that goes out by the relay and comes back by a mailbox',
    tags: ['trip'],
    fields: {
      state: number('state', '0 ok, 1 late, 2 lost, 3 bounced, 4 refused (nobody took it), 5 none came back yet'),
      leg: text('Where it was last seen: local, queue, relay, return; empty when it is back'),
      problem: text('What is wrong, in plain words; empty when all is well'),
    },
  },
  round_trip_done: {
    kind: 'event',
    help: 'The end of one probe mail: ok, late, lost, bounced, refused',
    tags: ['trip', 'outcome'],
    fields: {
      count: number('mails', 'Always 1'),
      total_seconds: number('s', 'From the begin until it was back; absent when it is not'),
      local_seconds: number(
        's',
        "Until it was in the agent's queue, by way of the local mail server where that is asked for",
      ),
      queue_seconds: number('s', 'In the queue'),
      relay_seconds: number('s', 'The dialog with the relay'),
      return_seconds: number('s', "From the relay's 250 until it was fetched; with the legs before it the total"),
    },
  },
  host: {
    kind: 'gauge',
    help: 'The machine that the agent runs on, and how it is seen from outside',
    tags: [],
    fields: {
      disk_free_bytes: number('bytes', 'Free for the agent on the disk of its state folder'),
      disk_free_share: number('share', 'The same as a share of that disk'),
      load: number('load', 'Load of the last minute, per processor'),
      memory_free_bytes: number('bytes', 'Memory of the machine that is free or can be freed'),
      heap_bytes: number('bytes', "The agent's JavaScript heap in use"),
      event_loop_delay_seconds: number('s', 'Longest time since the last point in which the agent could not react'),
      clock_skew_seconds: number(
        's',
        'How far this clock is behind (positive) or ahead of a server outside; absent when no server told',
      ),
      clock_off_seconds: number('s', 'The same without its sign'),
      clock_jump_seconds: number('s', 'By how much this clock was changed since the last point'),
      local_up: number('bool', '1 when the local mail server answers, 0 when not; absent when none is configured'),
    },
  },
  agent: {
    kind: 'gauge',
    help: 'The agent itself',
    tags: [],
    fields: {
      uptime_seconds: number('s', 'Since the process started'),
      rss_bytes: number('bytes', 'Resident memory'),
      outbox_batches: number('batches', 'Batches that wait for the acknowledgement of the collector'),
      outbox_bytes: number('bytes', 'Their size'),
      outbox_oldest_seconds: number('s', 'Age of the oldest of them'),
      outbox_dropped: number('points', 'Points dropped since the outbox was made because it was full'),
      outbox_aside: number(
        'points',
        'Points set aside since the outbox was made because the broker broke the connection at them',
      ),
    },
  },
} as const satisfies Readonly<Record<string, MetricSpec>>;

export type MetricName = keyof typeof metrics;
export type TagsOf<N extends MetricName> = Readonly<Record<(typeof metrics)[N]['tags'][number], string>>;
export type FieldsOf<N extends MetricName> = Readonly<{
  [F in keyof (typeof metrics)[N]['fields']]?: (typeof metrics)[N]['fields'][F] extends { readonly type: 'number' }
    ? number
    : string;
}>;

/**
 * Kinds of an account's trouble, in the order of a round. Never renamed, only added to.
 * connect: nobody there, or the name is unknown; tls: no TLS there; certificate: not valid, or none of the pins; not-pop3;
 * no-login: nothing that is allowed fits; token: password or access token cannot be had; login: refused; busy: locked, or too early;
 * server: any other refusal; protocol: answers out of step; timeout; lost: the line broke; local: the local server, or a
 * scanner that must be asked; disk: our own; question: a person must decide; waiting: mails that are tried again.
 */
export const accountErrors = [
  'none',
  'connect',
  'tls',
  'certificate',
  'not-pop3',
  'no-login',
  'token',
  'login',
  'busy',
  'server',
  'protocol',
  'timeout',
  'lost',
  'local',
  'disk',
  'question',
  'waiting',
  'other',
] as const;
export type AccountError = (typeof accountErrors)[number];

/** Of a round trip; the place is the number in reports. Never reordered, only added to. */
export const tripStates = ['ok', 'late', 'lost', 'bounced', 'refused', 'none'] as const;
export type TripState = (typeof tripStates)[number];

export const dnsblStates = ['clean', 'listed', 'refused', 'error', 'zone-unhealthy', 'gone'] as const;
export type DnsblState = (typeof dnsblStates)[number];

export function isMetricName(name: string): name is MetricName {
  return Object.hasOwn(metrics, name);
}
