import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { createBodyStore } from '../../../../agent/receive/delivery/body.ts';
import type { FetchedMail } from '../../../../agent/receive/delivery/body.ts';
import { createQuarantine } from '../../../../agent/receive/quarantine/quarantine.ts';

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'mailferry-body-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function collect(folder: string, bytes: Buffer, pieceBytes: number): Promise<FetchedMail> {
  const store = createBodyStore({ folder, memoryBytes: 1_000 });
  await store.prepare();
  const collector = store.collect();
  for (let at = 0; at < bytes.length; at += pieceBytes) await collector.write(bytes.subarray(at, at + pieceBytes));
  return collector.finish();
}

async function read(mail: FetchedMail): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of mail.body.open()) parts.push(Buffer.from(part));
  return Buffer.concat(parts);
}

test('a mail comes back as it was written, from memory or file, as often as asked', async (t) => {
  const folder = folderOf(t);
  for (const size of [0, 1, 999, 1_000, 1_001, 200_000]) {
    const bytes = randomBytes(size);
    const mail = await collect(folder, bytes, 700);
    assert.equal(mail.body.sizeBytes, size);
    assert.equal(mail.sha256, createHash('sha256').update(bytes).digest('hex'));
    assert.deepEqual(await read(mail), bytes);
    assert.deepEqual(await read(mail), bytes);
    assert.ok(bytes.subarray(0, 1_000).equals(mail.head.subarray(0, 1_000)));
    const files = readdirSync(folder);
    assert.equal(files.length, size > 1_000 ? 1 : 0, size + ' bytes');
    for (const file of files) assert.equal(statSync(join(folder, file)).mode & 0o777, 0o600);
    await mail.discard();
    await mail.discard();
    assert.deepEqual(readdirSync(folder), []);
  }
});

test('a mail that broke off leaves nothing', async (t) => {
  const folder = folderOf(t);
  const collector = createBodyStore({ folder, memoryBytes: 10 }).collect();
  await collector.write(Buffer.alloc(100));
  assert.equal(readdirSync(folder).length, 1);
  await collector.discard();
  await collector.discard();
  assert.deepEqual(readdirSync(folder), []);
});

test('files of a former life are removed at the start, others stay', async (t) => {
  const folder = folderOf(t);
  writeFileSync(join(folder, 'abc.tmp'), 'x');
  writeFileSync(join(folder, 'note.txt'), 'x');
  await createBodyStore({ folder }).prepare();
  assert.deepEqual(readdirSync(folder), ['note.txt']);
});

test('quarantine keeps the mail byte for byte and says why beside it', async (t) => {
  const folder = join(folderOf(t), 'quarantine');
  const quarantine = createQuarantine({ folder });
  await quarantine.prepare();
  const bytes = Buffer.from('Subject: x\r\n\r\n\0\u00e4\r\n', 'latin1');
  const mail = await collect(join(folder, '..', 'incoming'), bytes, 3);
  const note = {
    account: 'info',
    uidl: 'a\0b',
    mail: 1,
    from: '',
    subject: 'x',
    reason: '550 5.7.1 no',
    recipients: [{ address: 'info@example.org', verdict: 'refused', text: '550 5.7.1 no' }],
    at: '2026-11-25T00:00:00.000Z',
  };
  await quarantine.keep(mail, note);
  await quarantine.keep(mail, note);
  assert.deepEqual(readdirSync(folder).sort(), ['info-1.eml', 'info-1.json']);
  assert.deepEqual(readFileSync(join(folder, 'info-1.eml')), bytes);
  assert.equal(statSync(join(folder, 'info-1.eml')).mode & 0o777, 0o600);
  const json: unknown = JSON.parse(readFileSync(join(folder, 'info-1.json'), 'utf8'));
  assert.deepEqual(json, { ...note, sha256: mail.sha256, sizeBytes: bytes.length });
});
