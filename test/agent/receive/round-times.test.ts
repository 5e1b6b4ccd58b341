// Where the time of a round went, told apart although the connection is one step for the POP3 client.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openSocket } from '../../../agent/net/socket.ts';
import { createLab } from '../../lab/lab.ts';
import { createBench } from './bench.ts';

const slowMs = 300;
const slow = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, slowMs)); // a slow server

test('a slow handshake is told as TLS, a slow login as login, and neither as the other', async (t) => {
  const lab = createLab(t);
  let isSlow = false;
  const pop3 = await lab.scriptedPop3({
    script({ verb, good }) {
      return verb === 'PASS' && isSlow ? [{ pauseMs: slowMs }, good] : undefined;
    },
  });
  const smtp = await lab.scriptedSmtp({});
  const bench = await createBench(t, lab, {
    accounts: [{ endpoint: { host: pop3.host, port: pop3.port, tls: 'none' } }],
    local: { host: smtp.host, port: smtp.port, tls: 'none' },
    async connect(endpoint, deadline) {
      const socket = await openSocket(endpoint, deadline);
      deadline.watch?.('tls', 'begun');
      if (!isSlow) await slow();
      deadline.watch?.('tls', 'done');
      return socket;
    },
  });
  const limit = (slowMs * 0.9) / 1_000;
  const parts = async (): Promise<readonly boolean[]> => {
    await bench.fetch();
    const fields = bench.gauges.findLast(({ name }) => name === 'account')?.fields ?? {};
    return ['connect_seconds', 'tls_seconds', 'login_seconds'].map((name) => Number(fields[name]) > limit);
  };
  assert.deepEqual(await parts(), [false, true, false]);
  isSlow = true;
  assert.deepEqual(await parts(), [false, false, true]);
});
