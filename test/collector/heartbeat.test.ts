import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { systemClock } from '#shared/clock.ts';
import { createLog } from '#shared/log.ts';
import { startHeartbeat } from '../../collector/heartbeat.ts';
import { waitFor } from '../lab/wait.ts';

test('the address is asked for while all is well, not while something is wrong, and a refusal ends nothing', async (t) => {
  let beats = 0;
  let status = 200;
  const server = createServer((_request, response) => {
    beats += 1;
    response.writeHead(status).end('ok');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo; // a TCP server
  const state = { problem: undefined as string | undefined, looked: 0 };
  const heartbeat = startHeartbeat({
    url: 'http://127.0.0.1:' + port + '/alive',
    everySeconds: 60,
    problem() {
      state.looked += 1;
      return state.problem;
    },
    clock: { ...systemClock, sleep: (_ms, signal) => systemClock.sleep(5, signal) },
    log: createLog({ name: 'test', level: 'silent' }),
  });
  t.after(() => heartbeat.stop());
  await waitFor('some beats', () => beats >= 3);
  state.problem = 'the store takes no measurements';
  const looked = state.looked;
  // The one that was on its way may still arrive.
  await waitFor('looks', () => state.looked >= looked + 2);
  const silent = beats;
  await waitFor('further looks', () => state.looked >= looked + 6);
  assert.equal(beats, silent);
  state.problem = undefined;
  status = 500;
  await waitFor('beats that are refused', () => beats >= silent + 3);
  await heartbeat.stop();
  const end = beats;
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(beats, end);
});
