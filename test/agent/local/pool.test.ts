import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPool } from '../../../agent/local/pool.ts';
import { waitFor } from '../../lab/wait.ts';

type Fake = {
  readonly id: number;
  alive: boolean;
  quits: number;
  usable(): boolean;
  quit(): Promise<void>;
  close(): void;
};

function sessions() {
  const made: Fake[] = [];
  const open = (): Promise<Fake> => {
    const session: Fake = {
      id: made.length + 1,
      alive: true,
      quits: 0,
      usable: () => session.alive,
      quit: () => {
        session.quits += 1;
        session.alive = false;
        return Promise.resolve();
      },
      close: () => (session.alive = false),
    };
    made.push(session);
    return Promise.resolve(session);
  };
  return { made, open };
}

const signal = new AbortController().signal;

test('a session is used again, and one that died while resting is not', async () => {
  const { made, open } = sessions();
  const pool = createPool<Fake>({ size: 2, idleMs: 10_000 });
  const idOf = (fresh = false): Promise<string> =>
    pool.withSession({ fresh, open, signal }, ({ session, reused }) =>
      Promise.resolve(session.id + (reused ? ' again' : '')),
    );
  assert.equal(await idOf(), '1');
  assert.equal(await idOf(), '1 again');
  assert.equal(await idOf(true), '2');
  for (const session of made) session.alive = false;
  assert.equal(await idOf(), '3');
  await pool.close();
  assert.equal(made[2]?.quits, 1);
});

test('no more sessions than allowed are open, and waiting callers come in their order', async () => {
  const { made, open } = sessions();
  const pool = createPool<Fake>({ size: 2, idleMs: 10_000 });
  const releases: (() => void)[] = [];
  const order: number[] = [];
  const run = (n: number): Promise<void> =>
    pool.withSession({ fresh: false, open, signal }, async () => {
      order.push(n);
      await new Promise<void>((resolve) => releases.push(resolve));
    });
  const all = Promise.all([1, 2, 3, 4, 5].map(run));
  for (let count = 2; count <= 5; count += 1) {
    await waitFor('the next caller', () => order.length === count);
    releases.shift()?.();
  }
  for (const release of releases) release();
  await all;
  assert.deepEqual(order, [1, 2, 3, 4, 5]);
  assert.equal(made.length, 2);
  await pool.close();
});

test('a failure, in open or in use, gives the place back', async () => {
  const { open } = sessions();
  const pool = createPool<Fake>({ size: 1, idleMs: 10_000 });
  const fail = (): Promise<never> => Promise.reject(new Error('no'));
  await assert.rejects(
    pool.withSession({ fresh: false, open: fail, signal }, () => Promise.resolve()),
    /no/,
  );
  await assert.rejects(pool.withSession({ fresh: false, open, signal }, fail), /no/);
  assert.equal(await pool.withSession({ fresh: false, open, signal }, ({ session }) => Promise.resolve(session.id)), 1);
  await pool.close();
});

test('who stops waiting loses the place in the row, and nobody behind is forgotten', async () => {
  const { open } = sessions();
  const pool = createPool<Fake>({ size: 1, idleMs: 10_000 });
  const { promise, resolve } = Promise.withResolvers<void>();
  const first = pool.withSession({ fresh: false, open, signal }, () => promise);
  const stop = new AbortController();
  const second = pool.withSession({ fresh: false, open, signal: stop.signal }, () => Promise.resolve('second'));
  const third = pool.withSession({ fresh: false, open, signal }, () => Promise.resolve('third'));
  stop.abort();
  await assert.rejects(second, { name: 'AbortError' });
  resolve();
  await first;
  assert.equal(await third, 'third');
  await pool.close();
});

test('a caller whose turn has come and who stops in the same breath takes nobody else out of the row', async () => {
  const { open } = sessions();
  const pool = createPool<Fake>({ size: 1, idleMs: 10_000 });
  const stop = new AbortController();
  const first = pool.withSession({ fresh: false, open, signal }, async ({ session }) => {
    // The pool asks this just before it gives the place to the next caller, whose promise is told only after this job.
    session.usable = () => {
      queueMicrotask(() => stop.abort());
      return true;
    };
  });
  const second = pool.withSession({ fresh: true, open, signal: stop.signal }, () => Promise.resolve('second'));
  const third = pool.withSession({ fresh: true, open, signal }, () => Promise.resolve('third'));
  await first;
  assert.equal(await second, 'second');
  const late = new Promise((resolve) => setTimeout(() => resolve('forgotten'), 2_000).unref());
  assert.equal(await Promise.race([third, late]), 'third');
  await pool.close();
});

test('a session that rested too long is said goodbye', async () => {
  const { made, open } = sessions();
  const pool = createPool<Fake>({ size: 1, idleMs: 10 });
  await pool.withSession({ fresh: false, open, signal }, () => Promise.resolve());
  const keepAlive = setInterval(() => {}, 1_000); // the pool's own timer keeps no program running
  await waitFor('the goodbye', () => made[0]?.quits === 1).finally(() => clearInterval(keepAlive));
  await pool.close();
});

test('close() waits for sessions at work, which are quit then', async () => {
  const { made, open } = sessions();
  const pool = createPool<Fake>({ size: 1, idleMs: 10_000 });
  const { promise, resolve } = Promise.withResolvers<void>();
  const work = pool.withSession({ fresh: false, open, signal }, () => promise);
  await waitFor('the session', () => made.length === 1);
  let closed = false;
  const closing = pool.close().then(() => (closed = true));
  await new Promise((done) => setImmediate(done));
  assert.equal(closed, false);
  resolve();
  await Promise.all([work, closing]);
  assert.equal(made[0]?.quits, 1);
});
