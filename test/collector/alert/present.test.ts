import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPoint } from '#shared/meter.ts';
import { createPresence } from '../../../collector/alert/present.ts';
import type { AgentState, AgentView } from '../../../collector/fleet/agent-view.ts';
import { createHandClock } from '../web/hand-clock.ts';

const start = 1_700_000_000_000;

/** An agent that last told at this second of its own clock, with this age of its outbox. */
function view(
  tellAt: number,
  more: { state?: AgentState; backlogSeconds?: number; silentMs?: number } = {},
): AgentView {
  const { state = 'online', backlogSeconds = 0, silentMs = 0 } = more;
  return {
    tenant: 'acme',
    id: 'nas-1',
    state,
    lastSeenAt: start,
    silentMs,
    version: '',
    mailIn: { count: 0 },
    mailOut: { count: 0 },
    queue: { count: 0, oldestSeconds: 0 },
    readings: [
      createPoint('agent', start + tellAt * 1_000, {}, { uptime_seconds: 1, outbox_oldest_seconds: backlogSeconds }),
    ],
  };
}

test('what was read from disk is the past until the agent tells again', () => {
  const presence = createPresence({ clock: createHandClock() });
  const isPresent = (seen: AgentView): boolean => presence.look([seen])(seen);
  assert.equal(isPresent(view(0)), false);
  assert.equal(isPresent(view(0)), false);
  assert.equal(isPresent(view(5)), true);
});

test('a clock of the agent that is years off changes nothing', () => {
  const presence = createPresence({ clock: createHandClock() });
  const isPresent = (seen: AgentView): boolean => presence.look([seen])(seen);
  isPresent(view(-1_000_000_000));
  assert.equal(isPresent(view(-999_999_995)), true);
  assert.equal(isPresent(view(10)), true, 'set right');
  assert.equal(isPresent(view(5)), true, 'set back a little');
});

test('an agent that is heard, but of which nothing is counted any more, is the past after a minute', async () => {
  const clock = createHandClock();
  const presence = createPresence({ clock });
  const isPresent = (seen: AgentView): boolean => presence.look([seen])(seen);
  isPresent(view(0));
  isPresent(view(5));
  await clock.advance(60_000);
  assert.equal(isPresent(view(5)), true);
  await clock.advance(1_000);
  assert.equal(isPresent(view(5)), false);
  assert.equal(isPresent(view(6)), true, 'the database takes again');
});

test('an agent that reports rarely is present between its reports', async () => {
  const clock = createHandClock();
  const presence = createPresence({ clock });
  presence.look([view(0)]);
  presence.look([view(5)]);
  await clock.advance(600_000);
  const silent = view(5, { silentMs: 600_000 });
  assert.equal(presence.look([silent])(silent), true);
});

test('silence and the backlog of an outage are the past', () => {
  const presence = createPresence({ clock: createHandClock() });
  const isPresent = (seen: AgentView): boolean => presence.look([seen])(seen);
  isPresent(view(0));
  assert.equal(isPresent(view(5, { backlogSeconds: 60 })), true);
  assert.equal(isPresent(view(10, { backlogSeconds: 61 })), false);
  assert.equal(isPresent(view(15, { state: 'stale' })), false);
  assert.equal(isPresent(view(20, { state: 'offline' })), false);
  assert.equal(isPresent(view(25)), true);
});
