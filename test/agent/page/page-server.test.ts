// The socket of the page: nothing is loaded before the first connection, a port that is taken stops nothing.
import assert from 'node:assert/strict';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { once } from 'node:events';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { createLog } from '#shared/log.ts';
import { createPageServer } from '../../../agent/page/page.ts';
import { createHandClock } from '../../collector/web/hand-clock.ts';
import { createPortFinder } from '../../lab/port.ts';
import { waitFor } from '../../lab/wait.ts';

const log = createLog({ level: 'silent', name: 'test' });

const freePort = createPortFinder();

async function takePort(): Promise<{ readonly port: number; readonly free: () => Promise<void> }> {
  const port = await freePort();
  const taken = createServer();
  await once(taken.listen(port, '127.0.0.1'), 'listening');
  return { port, free: () => new Promise((resolve) => taken.close(() => resolve())) };
}

function server(t: TestContext, port: number, options: { readonly fails?: boolean } = {}) {
  const clock = createHandClock();
  const seen: string[] = [];
  let opened = 0;
  const page = createPageServer({
    host: '127.0.0.1',
    port,
    async open() {
      opened += 1;
      if (options.fails === true && opened === 1) throw new Error('no certificate yet');
      const serve = (socket: Socket): void =>
        void socket.on('data', (part: Buffer) => void seen.push(part.toString())).resume();
      return { serve, stop: () => {} };
    },
    clock,
    log,
  });
  t.after(() => page.stop());
  const talk = async (text: string): Promise<Socket> => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    await once(socket, 'connect');
    socket.write(text);
    t.after(() => socket.destroy());
    return socket;
  };
  return { page, clock, seen, opened: () => opened, talk };
}

test('nothing is opened before the first connection, whose first bytes are not lost', async (t) => {
  const { port, free } = await takePort();
  await free();
  const { page, seen, opened, talk } = server(t, port);
  await page.start();
  assert.equal(opened(), 0);
  await talk('first');
  await waitFor('the bytes', () => seen.includes('first'));
  await talk('second');
  await waitFor('the bytes', () => seen.includes('second'));
  assert.equal(opened(), 1);
});

test('a port that is taken stops nothing: it is tried again each minute', async (t) => {
  const { port, free } = await takePort();
  const { page, clock, seen, talk } = server(t, port);
  await page.start();
  await free();
  await clock.advance(60_000);
  await waitFor('the page to listen', async () => {
    const socket = await talk('late').catch(() => undefined);
    return socket !== undefined;
  });
  await waitFor('the bytes', () => seen.includes('late'));
});

test('what cannot be opened costs that connection, and the next one tries again', async (t) => {
  const { port, free } = await takePort();
  await free();
  const { page, seen, opened, talk } = server(t, port, { fails: true });
  await page.start();
  const socket = await talk('lost');
  await waitFor('the connection to end', () => socket.destroyed || socket.readyState === 'closed');
  await talk('again');
  await waitFor('the bytes', () => seen.includes('again'));
  assert.equal(opened(), 2);
  await page.stop();
  await page.stop();
});
