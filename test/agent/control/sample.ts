// A healthy agent as `status` tells it, for the tests of control and of the command line.
import type { HeldMail } from '../../../agent/control/answers.ts';
import type { AgentStatus, QuarantineWork, QueueEntry, QueueWork } from '../../../agent/control/commands.ts';

export const sampleStatus: AgentStatus = {
  tenant: 'acme',
  agent: 'nas-1',
  version: '0.1.0',
  uptimeSeconds: 11_520,
  accounts: [
    {
      id: 'info',
      up: true,
      problem: '',
      backlog: 0,
      kept: 12,
      lastRoundAt: 1_000_000,
      nextRoundAt: 1_015_000,
      paused: false,
    },
    {
      id: 'sales',
      up: true,
      problem: '',
      backlog: 103,
      kept: 4,
      lastRoundAt: 990_000,
      nextRoundAt: 1_005_000,
      paused: false,
    },
  ],
  relays: [{ id: 'provider', up: true, problem: '' }],
  queue: { depth: 3, oldestSeconds: 12, held: 0, unknown: 0 },
  dnsbl: [
    { target: '192.0.2.10', zone: 'zen.spamhaus.org', state: 'clean', codes: [], reason: '', checkedAt: 900_000 },
    {
      target: 'example.org',
      zone: 'dbl.spamhaus.org',
      state: 'refused',
      codes: ['127.255.255.254'],
      reason: 'answered 127.255.255.254',
      checkedAt: 900_000,
    },
  ],
  report: { connected: true, batches: 0, bytes: 0, oldestSeconds: 0, dropped: 0 },
  local: { problem: '' },
};

export const sampleMail: QueueEntry = {
  id: 'abc1',
  from: 'info@example.org',
  acceptedAt: 1_000_000,
  nextTryAt: 1_068_000,
  sizeBytes: 204_800,
  state: 'queued',
  problem: '450 later',
  relay: 'provider',
  user: 'scanner',
  notices: [{ kind: 'delayed', nextTryAt: 1_068_000, tries: 1, summed: false }],
  recipients: [
    {
      address: 'a@example.net',
      state: 'queued',
      attempts: 1,
      lastReply: '450 later',
      triedAt: 1_000_000,
      scope: 'recipient',
      meaning: 'The mailbox is full',
      remedy: 'Tell the recipient in another way',
      notify: ['FAILURE'],
    },
    { address: 'b@example.net', state: 'held', attempts: 9, lastReply: '' },
  ],
};

const changedBy = (id: string) => ({
  id,
  recipients: ['a@example.net', 'b@example.net'],
  mayHaveArrived: ['b@example.net'],
});
export const sampleQueue: QueueWork = {
  hold: changedBy,
  release: async (id) => changedBy(id),
  retry: changedBy,
  drop: changedBy,
  flush: () => ({ mails: 3 }),
};

export const sampleHeld: HeldMail = {
  id: 'info-12',
  account: 'info',
  from: 'stranger@example.net',
  subject: 'An offer',
  reason: 'rspamd says reject, score 20.00 of 15.00: GTUBE',
  at: '1970-01-01T00:16:40.000Z',
  sizeBytes: 2_048,
  sha256: 'ab'.repeat(32),
  recipients: [{ address: 'info@example.org', verdict: 'refused', text: 'rspamd says reject' }],
};

export const sampleQuarantine: QuarantineWork = {
  summary: () => ({ count: 1 }),
  list: async () => [sampleHeld],
  show: async () => ({
    ...sampleHeld,
    header: 'Subject: An offer\r\nX: \u001b[2J\r\n',
    file: '/state/quarantine/info-12.eml',
  }),
  release: async (id) => ({ id, recipients: ['info@example.org'] }),
  drop: async (id) => ({ id }),
};
