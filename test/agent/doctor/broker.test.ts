// What the doctor tells of brokers that misbehave in ways that mosquitto cannot be brought to.
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { Aedes } from 'aedes';
import { tryBroker } from '../../../agent/doctor/others.ts';

const account = { user: 'acme/nas-1', password: 'secret', address: { tenant: 'acme', agent: 'nas-1' } };

test('an account that may log in but not hear its acknowledgements is told, with where its rights are set', async (t) => {
  let mayRead = true;
  const broker = await Aedes.createBroker({
    authorizeSubscribe: (_client, wanted, done) => done(null, mayRead ? wanted : null),
  });
  const server = createServer(broker.handle);
  t.after(() => {
    broker.close();
    server.close();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const place = server.address();
  assert.ok(typeof place === 'object' && place !== null);
  const look = () => tryBroker({ url: 'mqtt://127.0.0.1:' + place.port, ...account });
  assert.equal((await look()).level, 'ok');
  mayRead = false;
  const trial = await look();
  assert.deepEqual([trial.level, trial.option], ['error', ['user']]);
  assert.match(trial.found, /lets acme\/nas-1 in but not read mailferry\/1\/acme\/nas-1\/ack/);
  assert.match(trial.remedy, /collector\/broker\/README\.md/);
});

test('a server that closes at once, or is no broker at all, is told', async (t) => {
  const server = createServer((socket) => socket.end('220 mail.example.org ESMTP\r\n'));
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const place = server.address();
  assert.ok(typeof place === 'object' && place !== null);
  const trial = await tryBroker({ url: 'mqtt://127.0.0.1:' + place.port, ...account });
  assert.deepEqual([trial.level, trial.option], ['error', ['url']]);
  assert.match(trial.expected, /the MQTT broker of the collector/);
});
