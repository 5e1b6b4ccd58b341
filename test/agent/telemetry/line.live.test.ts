// The line to the broker: WebSocket and TLS at a real mosquitto, what a certificate or a clock that is wrong is called, slow
// lines, dead addresses, lines that fall silent.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo, LookupFunction, Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { systemClock } from '#shared/clock.ts';
import { createJournal, journalSchema } from '#shared/journal.ts';
import { createLog } from '#shared/log.ts';
import { openDatabase } from '#shared/sqlite.ts';
import { LineError } from '../../../agent/telemetry/line-error.ts';
import { openLine, readChain } from '../../../agent/telemetry/line.ts';
import { openOutbox } from '../../../agent/telemetry/outbox.ts';
import { createPublisher } from '../../../agent/telemetry/publisher.ts';
import type { PublisherOptions } from '../../../agent/telemetry/publisher.ts';
import { createLab } from '../../lab/lab.ts';
import type { Lab } from '../../lab/lab.ts';
import { waitFor } from '../../lab/wait.ts';

const signal = new AbortController().signal;
const base = { signal, now: Date.now };

function startPublisher(t: TestContext, lab: Lab, options: Pick<PublisherOptions, 'url'> & Partial<PublisherOptions>) {
  const folder = join(lab.dir, 'agent');
  mkdirSync(folder, { recursive: true });
  const db = openDatabase({ path: ':memory:', schema: [journalSchema] });
  const outbox = openOutbox({ folder, journal: createJournal(db), maxBytes: 1e9, clock: systemClock });
  const publisher = createPublisher({
    origin: 'report',
    user: 'acme/nas-1',
    password: 'right',
    address: { tenant: 'acme', agent: 'nas-1' },
    version: '1.0.0',
    outbox,
    clock: { ...systemClock, sleep: (ms, until) => systemClock.sleep(Math.min(ms, 50), until) },
    random: () => 0.5,
    log: createLog({ name: 'test', level: 'silent' }),
    ...options,
  });
  t.after(async () => {
    await publisher.stop();
    outbox.close();
    db.close();
  });
  publisher.start();
  return publisher;
}

/** A mosquitto with one more listener. */
async function startMosquitto(lab: Lab, lines: readonly string[]) {
  const port = await lab.freePort();
  await lab.mosquitto({
    users: { 'acme/nas-1': 'right' },
    extra: ['listener ' + port + ' 127.0.0.1', ...lines].join('\n'),
  });
  return port;
}

test('reports go over WebSocket, and over WebSocket in TLS, to a real mosquitto', async (t) => {
  const lab = createLab(t);
  const { ca, keyFile, certFile } = await lab.certificate();
  const plain = await startMosquitto(lab, ['protocol websockets']);
  const secure = await startMosquitto(lab, ['protocol websockets', 'keyfile ' + keyFile, 'certfile ' + certFile]);
  const urls = ['ws://127.0.0.1:' + plain + '/mqtt', 'wss://localhost:' + secure + '/mqtt'];
  for (const url of urls) {
    const publisher = startPublisher(t, lab, { url, ca });
    await waitFor(url, () => publisher.connected(), { timeoutMs: 30_000 });
    await publisher.stop();
  }
});

const openssl = (...args: readonly string[]): void => void execFileSync('openssl', args, { stdio: 'pipe' });

/** A TLS broker whose certificate is valid in these days. `from`, `to`: YYYYMMDDHHMMSSZ. */
async function startDated(lab: Lab, from: string, to: string) {
  const folder = join(lab.dir, 'dated-' + from);
  mkdirSync(folder);
  const file = (name: string): string => join(folder, name);
  const { caFile } = await lab.certificate();
  const caKey = join(caFile, '..', 'ca-key.pem');
  openssl(
    'req',
    '-new',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-keyout',
    file('key.pem'),
    '-out',
    file('csr.pem'),
    '-subj',
    '/CN=localhost',
  );
  writeFileSync(file('index.txt'), '');
  writeFileSync(file('serial'), '01\n');
  writeFileSync(
    file('ca.conf'),
    '[ca]\ndefault_ca=one\n[one]\ndatabase=' +
      file('index.txt') +
      '\nserial=' +
      file('serial') +
      '\nnew_certs_dir=' +
      folder +
      '\ndefault_md=sha256\npolicy=any\n[any]\ncommonName=supplied\n',
  );
  writeFileSync(file('ext'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\n');
  openssl(
    'ca',
    '-batch',
    '-config',
    file('ca.conf'),
    '-cert',
    caFile,
    '-keyfile',
    caKey,
    '-in',
    file('csr.pem'),
    '-out',
    file('cert.pem'),
    '-startdate',
    from,
    '-enddate',
    to,
    '-extfile',
    file('ext'),
    '-notext',
  );
  return startMosquitto(lab, ['keyfile ' + file('key.pem'), 'certfile ' + file('cert.pem')]);
}

test('a wrong clock is called a wrong clock, a certificate that is not believed a certificate', async (t) => {
  const lab = createLab(t);
  const certificate = await lab.certificate();
  const ca = [certificate.ca];
  const future = await startDated(lab, '20990101000000Z', '20991231000000Z');
  const past = await startDated(lab, '20200101000000Z', '20210101000000Z');
  const unknown = await startMosquitto(lab, ['keyfile ' + certificate.keyFile, 'certfile ' + certificate.certFile]);
  const troubleAt = async (options: Parameters<typeof openLine>[0]): Promise<LineError> => {
    const error: unknown = await openLine(options).then(
      () => undefined,
      (failure: unknown) => failure,
    );
    assert.ok(error instanceof LineError, String(error));
    return error;
  };
  const early = await troubleAt({ ...base, url: 'mqtts://localhost:' + future, ca });
  assert.equal(early.trouble, 'clock');
  assert.match(early.message, /this machine's clock says .* before the collector's certificate began on 2099-01-01/);
  const late = await troubleAt({ ...base, url: 'mqtts://localhost:' + past, ca });
  assert.equal(late.trouble, 'clock');
  assert.match(
    late.message,
    /ended on 2021-01-01 .*if that time is right, the collector needs a new certificate, else the clock is wrong/,
  );
  const jumped = await troubleAt({ ...base, url: 'mqtts://localhost:' + past, ca, now: () => 0, surely: Date.now() });
  assert.match(
    jumped.message,
    /clock says 1970-01-01 00:00 UTC, which has passed: it was 20.* when the collector last answered/,
  );
  for (const url of ['mqtts://localhost:' + unknown, 'mqtts://127.0.0.1:' + unknown]) {
    const line = await openLine({ ...base, url, ca });
    line.destroy();
    assert.equal((await troubleAt({ ...base, url })).trouble, 'certificate', url + ' without its authority');
  }
  assert.equal(
    (
      await troubleAt({
        ...base,
        url: 'mqtts://ip6-localhost:' + unknown,
        ca,
        lookup: (_name, _options, done) => done(null, [{ address: '127.0.0.1', family: 4 }]),
      })
    ).trouble,
    'certificate',
    'another name',
  );
  assert.equal((await troubleAt({ ...base, url: 'mqtts://nowhere.invalid:1', ca })).trouble, 'name');
  const publisher = startPublisher(t, lab, { url: 'mqtts://localhost:' + future, ca: certificate.ca });
  await waitFor('the problem', () => publisher.problem().includes('clock'));
  assert.match(
    publisher.problem(),
    /expected the right time; set this machine's clock and let a time server \(NTP\) keep it/,
  );
});

test('no password reaches a broker whose certificate is not believed', async (t) => {
  const lab = createLab(t);
  const { keyFile, certFile } = await lab.certificate();
  const port = await startMosquitto(lab, ['keyfile ' + keyFile, 'certfile ' + certFile]);
  const proxy = await lab.proxy({ to: { host: '127.0.0.1', port } });
  const publisher = startPublisher(t, lab, { url: 'mqtts://127.0.0.1:' + proxy.port });
  await waitFor('two tries', () => proxy.opened() >= 2);
  assert.match(publisher.problem(), /check url, user, password and caFile/);
  assert.equal(publisher.connected(), false);
  const chain = await readChain({ ...base, url: 'mqtts://127.0.0.1:' + port });
  assert.equal(chain[0]?.subject, 'CN=localhost', 'what is shown can be read without believing it');
});

/** Listens, and takes no connection for a while: what comes on top of its short queue must knock again. */
const deafServer = `
const server = require('node:net').createServer((socket) => socket.on('error', () => {}));
server.listen({ host: '127.0.0.1', port: 0, backlog: 1 }, () => {
  process.stdout.write(String(server.address().port) + '\\n');
  process.stdin.once('data', () => {
    process.stdout.write('deaf\\n', () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_500));
  });
});`;

test('an address that answers after more than a second is not given up for one that is dead', async (t) => {
  const child = spawn(process.execPath, ['-e', deafServer], { stdio: ['pipe', 'pipe', 'ignore'] });
  t.after(() => void child.kill('SIGKILL'));
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => void (said += text));
  await waitFor('the server', () => said.includes('\n'));
  const port = Number(said.trim());
  child.stdin.write('go\n');
  await waitFor('the deaf time', () => said.includes('deaf'));
  // They fill the queue of connections that are not taken yet.
  const { connect } = await import('node:net');
  const fillers: Socket[] = Array.from({ length: 4 }, () => connect(port, '127.0.0.1').on('error', () => {}));
  t.after(() => {
    for (const filler of fillers) filler.destroy();
  });
  await once(fillers[0] ?? child, 'connect');
  const since = performance.now();
  const dead = '127.0.0.77'; // nobody listens there
  const lookup: LookupFunction = (_name, _options, done) =>
    done(null, [
      { address: '127.0.0.1', family: 4 },
      { address: dead, family: 4 },
    ]);
  const line = await openLine({ ...base, url: 'mqtt://two.example:' + port, lookup });
  t.diagnostic('connected after ' + Math.round(performance.now() - since) + ' ms');
  line.destroy();
});

test('a line that falls silent is noticed by the keepalive, and another one is opened', async (t) => {
  const lab = createLab(t);
  const broker = await lab.mosquitto({ users: { 'acme/nas-1': 'right' } });
  const proxy = await lab.proxy({ to: broker });
  const publisher = startPublisher(t, lab, { url: 'mqtt://127.0.0.1:' + proxy.port, keepAliveSeconds: 1 });
  await waitFor('a connection', () => publisher.connected());
  proxy.swallow(true);
  await waitFor('the loss to be noticed', () => !publisher.connected(), { timeoutMs: 30_000 });
  proxy.swallow(false);
  await waitFor('another connection', () => publisher.connected(), { timeoutMs: 60_000 });
});

test('a server that accepts and says nothing costs one time-out, not for ever', async (t) => {
  const server = createServer((socket) => void socket.on('error', () => {})).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const port = (server.address() as AddressInfo).port; // a TCP server
  await assert.rejects(openLine({ ...base, url: 'mqtts://127.0.0.1:' + port, timeoutMs: 300 }), /no answer in time/);
  await assert.rejects(openLine({ ...base, url: 'ws://127.0.0.1:' + port + '/mqtt', timeoutMs: 300 }), /no WebSocket/);
  const stopping = new AbortController();
  const opening = openLine({ ...base, signal: stopping.signal, url: 'mqtts://127.0.0.1:' + port });
  stopping.abort();
  await assert.rejects(opening, /stopped/);
});
