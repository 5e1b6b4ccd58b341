// A healthy agent as `status` tells it, for the tests of control and of the command line.
import type { AgentStatus, QueueEntry } from '../../../agent/control/commands.ts';

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
  relay: { id: 'provider', up: true, problem: '' },
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
  problem: '',
  recipients: [
    { address: 'a@example.net', state: 'queued', attempts: 1, lastReply: '450 later' },
    { address: 'b@example.net', state: 'held', attempts: 9, lastReply: '' },
  ],
};
