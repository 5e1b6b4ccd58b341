// The same way with everything embedded: dovecot (provider) -> agent -> postfix by SMTP; embedded broker -> SQLite.
// SMTP forces a few changes; each is named here, and nothing else may differ.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { corpus } from '../corpus/corpus.ts';
import { createLab } from '../lab/lab.ts';
import { waitFor } from '../lab/wait.ts';
import { addresses, agentAccount, createEstate, relayUsers, users, waitForCount } from './estate.ts';
import { asStored, belowTrace, compareMails, incoming } from './mails.ts';
import type { Expected } from './mails.ts';
import { readAgents } from './programs.ts';

const ordinary = 200;

/** Forced by SMTP: a CR that stands alone becomes a line end. (A bare LF is one already when dovecot gives it out.) */
const bareCr = (bytes: Buffer): Buffer => edit(bytes, (text) => text.replaceAll('\r', '\n'));
/** Postfix ends the header before a line that is no header field; ours stands above it. */
const emptyLineFirst = (bytes: Buffer): Buffer => edit(bytes, (text) => '\n' + text);

/** By the name of the mail in the corpus. Everything else must arrive byte for byte. */
const exceptions: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  'bare-cr': bareCr,
  'bare-cr-last': bareCr,
  'bare-cr-dot': bareCr,
  'bare-both': bareCr,
  'nul-first': emptyLineFirst,
  'text-only': emptyLineFirst,
  'mbox-first-line': emptyLineFirst,
  'header-oddities': emptyLineFirst,
};

/** Postfix drops the field (message_drop_headers) and writes its own, from the envelope. */
const withoutReturnPath = (bytes: Buffer): Buffer => edit(bytes, (text) => text.replace(/^Return-Path: .*\n/m, ''));

function edit(bytes: Buffer, change: (text: string) => string): Buffer {
  return Buffer.from(change(bytes.toString('latin1')), 'latin1');
}

test('mail reaches a local postfix by SMTP with named exceptions only, and the numbers agree', async (t) => {
  const lab = createLab(t);
  const [provider, local, relay] = await Promise.all([
    lab.dovecot({ users }),
    lab.postfix({ role: 'local', domains: ['example.org'], users: {} }),
    lab.postfix({ role: 'relay', domains: ['outside.example'], users: relayUsers }),
  ]);
  const mqttPort = await lab.freePort();
  const estate = await createEstate({
    lab,
    servers: { provider, local: { protocol: 'smtp', host: local.host, port: local.smtp }, relay },
    collecting: {
      mqttPort,
      broker: { kind: 'embedded', port: mqttPort, agents: [agentAccount] },
      store: { kind: 'sqlite' },
    },
  });
  const expected = new Map<string, Expected[]>(addresses.map((address) => [address, []]));
  for (const mail of corpus()) {
    const bytes = mail.bytes();
    await provider.put(addresses[0], bytes);
    const change = exceptions[mail.name] ?? ((same: Buffer) => same);
    expected.get(addresses[0])?.push({ name: mail.name, bytes: change(asStored(bytes)) });
  }
  for (let serial = 0; serial < ordinary; serial += 1) {
    const address = addresses[serial % 2] ?? addresses[0];
    const bytes = incoming({ serial, to: address });
    await provider.put(address, bytes);
    expected.get(address)?.push({ name: 'ordinary ' + serial, bytes: withoutReturnPath(asStored(bytes)) });
  }
  await estate.startCollector();
  const agent = await estate.startAgent();
  await estate.submit(0, 200);
  const total = [...expected.values()].reduce((sum, list) => sum + list.length, 0);
  const delivered = async (): Promise<number> =>
    (await Promise.all(addresses.map(async (address) => (await local.mails(address)).length))).reduce(
      (sum, n) => sum + n,
      0,
    );
  await waitForCount('mails in the local mailboxes', delivered, total, 90_000);
  await waitForCount(
    'mails at the relay',
    async () => (await relay.mails('customer@outside.example')).length,
    200,
    60_000,
  );
  for (const address of addresses) {
    const stored = (await local.mails(address)).map(belowTrace);
    assert.deepEqual(
      compareMails(expected.get(address) ?? [], stored),
      { missing: [], unexpected: [] },
      'mailbox ' + address,
    );
  }
  await waitFor(
    'an empty provider',
    async () => (await Promise.all(addresses.map((address) => provider.count(address)))).every((n) => n === 0),
    { timeoutMs: 30_000 },
  );

  const api = async () => (await readAgents(estate.pagePort)).find(({ id }) => id === 'nas-1');
  await waitFor(
    'the API to know every mail',
    async () => ((await api())?.mailIn.count ?? 0) >= total && ((await api())?.mailOut.count ?? 0) >= 200,
    { timeoutMs: 30_000 },
  );
  const known = await api();
  assert.deepEqual(
    { in: known?.mailIn.count, out: known?.mailOut.count, queue: known?.queue.count },
    { in: await delivered(), out: await relay.sent(), queue: 0 },
  );

  await agent.stop();
  const metrics = new DatabaseSync(join(lab.dir, 'collector', 'state', 'metrics.db'), { readOnly: true });
  t.after(() => metrics.close());
  const sum = (metric: string): number => Number(metrics.prepare(sumOfCounts).get(metric)?.['total']);
  assert.equal(sum('mail_in'), total);
  assert.equal(sum('mail_out'), 200);
});

const sumOfCounts = `SELECT sum(json_extract(point.fields, '$.count')) AS total FROM point JOIN series ON series.id = point.series WHERE series.metric = ?`;
