// The lab's own servers: each really starts, does its work, stops, and comes back with what it had.
import assert from 'node:assert/strict';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { test } from 'node:test';
import { connectAsync } from 'mqtt';
import { createTransport } from 'nodemailer';
import { ordinary } from '../corpus/ordinary.ts';
import { codeOf } from '#shared/failure.ts';
import { createLab } from './lab.ts';
import { withoutTrace } from './maildir.ts';
import { handOver, retrieveAll } from './plain-clients.ts';
import { isListening } from './port.ts';
import { runningProcesses } from './process-table.ts';
import { waitFor } from './wait.ts';

const user = 'info@example.org';
const users = { [user]: 'right' };
const letter = { from: 'sender@example.net', to: user };
const stored = (bytes: Buffer): Buffer => Buffer.from(bytes.toString('latin1').replaceAll('\r\n', '\n'), 'latin1');

const isRunning = (pid: number): boolean => runningProcesses().some((process) => process.pid === pid);

test('the lab ends every process and removes its folder', async () => {
  const ends: (() => Promise<void>)[] = [];
  const lab = createLab({ after: (work) => void ends.push(work) });
  const servers = await Promise.all([
    lab.dovecot({ users }),
    lab.postfix({ role: 'relay', domains: ['example.net'], users }),
    lab.mosquitto(),
    lab.influxdb(),
    lab.rbldnsd({ zones: { 'bl.test': ['192.0.2.10'] } }),
    lab.run({ name: 'sleeper', command: 'sleep', args: ['600'] }).then(({ pid }) => ({ pid: () => pid })),
  ]);
  const pids = servers.map((server) => server.pid());
  assert.ok(pids.every(isRunning));
  for (const end of ends) await end();
  assert.deepEqual(pids.filter(isRunning), []);
  assert.equal(existsSync(lab.dir), false);
});

test('a failing stop step does not keep the others from running', async () => {
  const ends: (() => Promise<void>)[] = [];
  const lab = createLab({ after: (work) => void ends.push(work) });
  const { pid } = await lab.run({ name: 'sleeper', command: 'sleep', args: ['600'] });
  lab.onStop(() => Promise.reject(new Error('cannot stop')));
  await assert.rejects(async () => ends[0]?.(), /cannot stop/);
  assert.equal(isRunning(pid), false);
  assert.equal(existsSync(lab.dir), false);
});

test('a process that ends at once, or never answers, fails the start with its log, and a deaf one is killed', async (t) => {
  const lab = createLab(t);
  const ready = () => false;
  const start = (script: string, startTimeoutMs?: number) =>
    lab.run({
      name: 'broken',
      command: 'sh',
      args: ['-c', script],
      ready,
      ...(startTimeoutMs ? { startTimeoutMs } : {}),
    });
  await assert.rejects(start('echo out of order >&2; exit 3'), /out of order/);
  await assert.rejects(start('trap "" TERM; echo waiting; while :; do sleep 0.1; done', 200), /waiting/);
  const heard = join(lab.dir, 'heard');
  const deaf = await lab.run({
    name: 'deaf',
    command: 'sh',
    args: ['-c', 'trap "" TERM; touch ' + heard + '; while :; do sleep 0.1; done'],
    ready: () => existsSync(heard),
  });
  await deaf.stop(100);
  assert.deepEqual(deaf.exit(), { code: null, signal: 'SIGKILL' });
});

test('dovecot gives what was put, takes what comes by LMTP, and keeps both over a restart and a crash', async (t) => {
  const dovecot = await createLab(t).dovecot({ users });
  const [first, second] = ordinary(2);
  assert.ok(first && second);
  await dovecot.put(user, first.bytes, 3);
  const [answer] = await handOver({ ...letter, protocol: 'lmtp', port: dovecot.lmtp, mails: [second.bytes] });
  assert.match(answer ?? '', /^250 2.0.0 <info@example.org> /);
  const read = () => retrieveAll({ port: dovecot.pop3, user, password: 'right' });
  const before = await read();
  assert.equal(before.filter((bytes) => bytes.equals(first.bytes)).length, 3);
  await dovecot.stop();
  assert.equal(await isListening(dovecot.pop3), false);
  await dovecot.start();
  await dovecot.crash();
  await dovecot.start();
  assert.deepEqual(await read(), before);
  assert.equal(await dovecot.count(user), 4);
  const taken = (await dovecot.mails(user)).map(withoutTrace);
  assert.ok(taken.some((bytes) => bytes.equals(stored(second.bytes))));
});

test('dovecot refuses a wrong password at once, and a recipient that it does not know', async (t) => {
  const dovecot = await createLab(t).dovecot({ users });
  const began = performance.now();
  await assert.rejects(retrieveAll({ port: dovecot.pop3, user, password: 'wrong' }), /-ERR \[AUTH\]/);
  assert.ok(performance.now() - began < 1_500);
  const stranger = { from: letter.from, to: 'nobody@example.org', mails: [] };
  await assert.rejects(
    handOver({ ...stranger, protocol: 'lmtp', port: dovecot.lmtp, mails: [Buffer.from('x')] }),
    /550 5.1.1/,
  );
});

test('the certificate holds for localhost and 127.0.0.1, and for no other name', async (t) => {
  const dovecot = await createLab(t).dovecot({ users });
  const greet = async (servername: string): Promise<string> => {
    const socket = connect({ port: dovecot.pop3s, host: '127.0.0.1', ca: dovecot.ca, servername });
    const [greeting] = (await once(socket, 'data')) as [Buffer]; // rejects on 'error'
    socket.destroy();
    return greeting.toString();
  };
  assert.match(await greet('localhost'), /^\+OK/);
  await assert.rejects(greet('mail.example.net'), (error) => codeOf(error) === 'ERR_TLS_CERT_ALTNAME_INVALID');
});

test('the relay takes mail with AUTH under TLS only, for its domains only, and counts what it delivered', async (t) => {
  const relay = await createLab(t).postfix({ role: 'relay', domains: ['example.net'], users });
  const secure = { host: relay.host, port: relay.submission, requireTLS: true, tls: { ca: relay.ca } };
  const login = { auth: { user, pass: 'right' } };
  const send = (options: object, to = 'somebody@example.net') =>
    createTransport(options).sendMail({ from: user, to, subject: 'test', text: 'hello' });
  await send({ ...secure, ...login });
  await assert.rejects(send(secure), /554 5.7.1/); // no login
  await assert.rejects(send({ ...secure, auth: { user, pass: 'wrong' } }), /535 5.7.8/);
  await assert.rejects(send({ ...secure, requireTLS: false, ignoreTLS: true, ...login }), /554 5.7.1/);
  await assert.rejects(send({ ...secure, ...login }, 'somebody@elsewhere.test'), /554 5.7.1/);
  await assert.rejects(send({ host: relay.host, port: relay.smtp, ignoreTLS: true }, 'x@elsewhere.test'), /554 5.7.1/);
  await waitFor('the delivery', async () => (await relay.sent()) === 1);
  const [mail] = await relay.mails('somebody@example.net');
  assert.match(mail?.toString() ?? '', /^Subject: test$/m);
  assert.equal(await relay.count(), 1);
  assert.deepEqual(await relay.queue(), []);
});

test('several local postfixes run at once; one refuses unknown mailboxes and comes back after a crash', async (t) => {
  const lab = createLab(t);
  const [one, other] = await Promise.all([
    lab.postfix({ role: 'local', domains: ['example.org'], mailboxes: [user] }),
    lab.postfix({ role: 'local', domains: ['example.org', 'example.com'] }),
  ]);
  const mails = ordinary(2).map(({ bytes }) => bytes);
  const give = (port: number, to: string) => handOver({ from: '', to, protocol: 'smtp', port, mails });
  await give(one.smtp, user);
  await give(other.smtp, 'sales@example.com');
  await assert.rejects(give(one.smtp, 'nobody@example.org'), /550 5.1.1/);
  await waitFor('the deliveries', async () => (await one.sent()) === 2 && (await other.sent()) === 2);
  await one.crash();
  assert.equal(await isListening(one.smtp), false);
  await one.start();
  await give(one.smtp, user);
  await waitFor('the deliveries', async () => (await one.sent()) === 4);
  assert.equal((await one.mails(user)).length, 4);
  const taken = (await other.mails('sales@example.com')).map(withoutTrace);
  for (const [index, mail] of mails.entries()) assert.ok(taken[index]?.equals(stored(mail)));
  assert.equal((await other.mails(user)).length, 0);
});

test('mosquitto asks for a password and keeps retained messages over an orderly stop', async (t) => {
  const broker = await createLab(t).mosquitto({ users: { agent: 'right' } });
  const open = (password: string) => connectAsync(broker.url, { username: 'agent', password, reconnectPeriod: 0 });
  await assert.rejects(open('wrong'), /Not authorized/);
  const first = await open('right');
  await first.publishAsync('a/status', 'here', { qos: 1, retain: true });
  await first.endAsync();
  await broker.stop();
  await broker.start();
  const second = await open('right');
  const message = new Promise<readonly [string, string]>((resolve) => {
    second.once('message', (topic, payload) => resolve([topic, payload.toString()]));
  });
  await second.subscribeAsync('a/#', { qos: 1 });
  assert.deepEqual(await message, ['a/status', 'here']);
  await second.endAsync();
});

test('influxdb answers queries and keeps its points over a crash', async (t) => {
  const influx = await createLab(t).influxdb();
  await influx.query('', 'CREATE DATABASE lab');
  const write = await fetch('http://127.0.0.1:' + influx.port + '/write?db=lab', {
    method: 'POST',
    body: 'm,a=b f=3i 1000',
  });
  assert.equal(write.status, 204);
  await influx.crash();
  await influx.start();
  assert.deepEqual(await influx.query('lab', 'SELECT SUM(f) FROM m'), [
    { statement_id: 0, series: [{ name: 'm', columns: ['time', 'sum'], values: [[0, 3]] }] },
  ]);
  await assert.rejects(influx.query('lab', 'SELEC'), /error parsing query/);
});

test('rbldnsd lists addresses and domains, and changes twice within a second', async (t) => {
  const list = await createLab(t).rbldnsd({
    zones: { 'bl.test': [':127.0.0.2:listed, see $', '192.0.2.10'] },
    domainZones: { 'dbl.test': [':127.0.0.3:spam', '.example.org'] },
  });
  const resolver = new Resolver({ timeout: 1_000, tries: 2 });
  resolver.setServers([list.host + ':' + list.port]);
  const isClean = (name: string) => assert.rejects(resolver.resolve4(name), (error) => codeOf(error) === 'ENOTFOUND');
  assert.deepEqual(await resolver.resolve4('10.2.0.192.bl.test'), ['127.0.0.2']);
  assert.deepEqual(await resolver.resolveTxt('10.2.0.192.bl.test'), [['listed, see 192.0.2.10']]);
  assert.deepEqual(await resolver.resolve4('mail.example.org.dbl.test'), ['127.0.0.3']);
  await isClean('2.0.0.127.bl.test');
  await list.set('bl.test', []);
  await isClean('10.2.0.192.bl.test');
  await list.set('bl.test', ['127.0.0.9']);
  await list.set('bl.test', ['127.0.0.2']); // as long as before
  assert.deepEqual(await resolver.resolve4('2.0.0.127.bl.test'), ['127.0.0.2']);
});

test('chromium shows a page', async (t) => {
  const browser = await createLab(t).chromium();
  const page = await browser.newPage();
  await page.setContent('<h1>a page</h1><button onclick="this.textContent = 2 * 21">?</button>');
  await page.click('button');
  assert.equal(await page.textContent('button'), '42');
});
