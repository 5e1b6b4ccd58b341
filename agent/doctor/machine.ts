// The machine: Node, disk, state folder, ports, clock.
import { createSocket } from 'node:dgram';
import { randomBytes } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { accessSync, constants, existsSync, statSync, statfsSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { codeOf, describe } from '#shared/failure.ts';
import { doubtful, noted, well, wrong } from './finding.ts';
import type { Trial } from './finding.ts';

const oldestNode = [22, 13] as const;

export function tryNode(version: string): Trial {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const isEnough = major > oldestNode[0] || (major === oldestNode[0] && minor >= oldestNode[1]);
  if (isEnough) return well('Node ' + version);
  return wrong({
    found: 'Node ' + version,
    expected: 'Node ' + oldestNode.join('.') + ' or newer',
    remedy: 'install a newer one (DSM: the package Node.js v22)',
  });
}

const scarceBytes = 200 * 1_048_576;
const littleBytes = 1_024 * 1_048_576;

/** `bytes`: what is free; for tests. */
export function tryDisk(folder: string, bytes?: number): Trial {
  const existing = nearestExisting(folder);
  const { bavail, bsize } = statfsSync(existing);
  const free = bytes ?? bavail * bsize;
  const found = Math.floor(free / 1_048_576) + ' MiB are free where the state stands (' + existing + ')';
  const fault = {
    option: ['state'],
    found,
    expected: 'at least 1024 MiB: mails on their way out wait there',
    remedy: 'make room on that volume, or move the state folder to another one (stop, move, mailferry adopt)',
  };
  if (free < scarceBytes) return wrong(fault);
  return free < littleBytes ? doubtful(fault) : well(found);
}

function nearestExisting(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : nearestExisting(dirname(path));
}

/** `schemaVersion`: what this program can read. */
export function tryState(folder: string, schemaVersion: number): Trial {
  const option = ['state'];
  const existing = nearestExisting(folder);
  if (!statSync(existing).isDirectory())
    return wrong({
      option,
      found: existing + ' is a file',
      expected: 'a folder',
      remedy: 'move that file away, or name another folder',
    });
  try {
    accessSync(existing, constants.W_OK | constants.X_OK);
  } catch {
    return wrong({
      option,
      found: existing + ' cannot be written by this user',
      expected: 'a folder of the user that runs the agent',
      remedy: 'give it to that user (chown), run this as that user, or name another folder',
    });
  }
  const file = join(folder, 'agent.db');
  if (!existsSync(file)) return well(folder + ' is made at the first start');
  return tryDatabase(file, folder, schemaVersion);
}

function tryDatabase(file: string, folder: string, schemaVersion: number): Trial {
  const option = ['state'];
  try {
    const db = new DatabaseSync(file, { readOnly: true });
    try {
      const version = Number(db.prepare('PRAGMA user_version').get()?.['user_version'] ?? 0);
      const damage = String(db.prepare('PRAGMA quick_check(1)').get()?.['quick_check'] ?? 'ok');
      if (version > schemaVersion)
        return wrong({
          option,
          found: file + ' has schema ' + version,
          expected: 'at most ' + schemaVersion,
          remedy: 'it was written by a newer mailferry: install that version again',
        });
      if (damage !== 'ok') throw new Error(damage);
      return well(folder + ', schema ' + version + ' of ' + schemaVersion);
    } finally {
      db.close();
    }
  } catch (error) {
    return wrong({
      option,
      found: file + ' cannot be read: ' + describe(error),
      expected: 'a SQLite database of mailferry',
      remedy: 'check the disk, then put the state folder back from a backup (docs/backup.md)',
    });
  }
}

/** `ours`: an agent runs, so that the port may be its own. */
export async function tryPort(host: string, port: number, option: readonly string[], ours: boolean): Promise<Trial> {
  const place = host + ':' + port;
  const server = createServer();
  const { promise, resolve } = Promise.withResolvers<unknown>();
  server.once('error', resolve).listen({ host, port, exclusive: true }, () => resolve(undefined));
  const error = await promise;
  await new Promise<void>((done) => (server.listening ? server.close(() => done()) : done()));
  switch (codeOf(error)) {
    case undefined:
      return error === undefined ? well(place + ' is free') : noted(place + ': ' + describe(error));
    case 'EADDRINUSE':
      if (ours) return well(place + ' is in use, by the agent that runs');
      return wrong({
        option,
        found: 'another program listens at ' + place,
        expected: 'a free port',
        remedy: 'end that program (ss -ltnp), or choose another port here and in the relay dialog of the mail server',
      });
    case 'EACCES':
      return wrong({
        option,
        found: place + ' may not be used by this user',
        expected: 'a port from 1024 on',
        remedy: 'take a port such as 2525: ports below 1024 belong to root',
      });
    default:
      return wrong({
        option: [...option.slice(0, -1), 'host'],
        found: place + ' cannot be listened at (' + (codeOf(error) ?? describe(error)) + ')',
        expected: 'an address of this machine',
        remedy: 'take 127.0.0.1, 0.0.0.0, or an address that `ip address` shows',
      });
  }
}

export const standardTimeServer = 'pool.ntp.org';
const bearableSeconds = 5;
const badSeconds = 120;

/** SNTP (RFC 4330), one question. `server`: HOST or HOST:PORT. */
export async function tryClock(server: string, now: () => number, timeoutMs = 3_000): Promise<Trial> {
  try {
    const offsetSeconds = await askTime(server, now, timeoutMs);
    const size = Math.abs(offsetSeconds);
    const found =
      'the clock is ' + size.toFixed(1) + ' s ' + (offsetSeconds > 0 ? 'behind' : 'ahead of') + ' ' + server;
    if (size <= bearableSeconds) return well(found);
    const fault = {
      found,
      expected: 'the right time: certificates, keeping times and reports go by it',
      remedy: 'switch on NTP (DSM: Control Panel > Regional Options > Time > Synchronize with NTP server)',
    };
    return size > badSeconds ? wrong(fault) : doubtful(fault);
  } catch (error) {
    return noted(
      'the clock was compared with nothing: ' + server + ' gives no time (' + describe(error) + ')',
      'name a time server that this machine can reach: --time-server HOST',
    );
  }
}

const seconds1900 = 2_208_988_800;

/** How far we are behind, in seconds. */
async function askTime(server: string, now: () => number, timeoutMs: number): Promise<number> {
  const [, host = server, port = '123'] = /^(.*?)(?::(\d+))?$/.exec(server) ?? [];
  const { address, family } = await lookup(host);
  const socket = createSocket(family === 6 ? 'udp6' : 'udp4');
  const query = Buffer.alloc(48);
  query[0] = 0x23; // version 4, client
  const token = randomBytes(8);
  token.copy(query, 40);
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const timer = setTimeout(() => reject(new Error('no answer within ' + timeoutMs + ' ms')), timeoutMs);
  const sentAt = now();
  socket.on('error', reject).on('message', (reply) => {
    // Only an answer to this very question counts; stratum 0 is a refusal.
    if (reply.length < 48 || !reply.subarray(24, 32).equals(token)) return;
    if (reply[1] === 0) return reject(new Error('it refuses'));
    const at = (offset: number): number =>
      (reply.readUInt32BE(offset) - seconds1900) * 1_000 + (reply.readUInt32BE(offset + 4) / 2 ** 32) * 1_000;
    return resolve((at(32) - sentAt + (at(40) - now())) / 2 / 1_000);
  });
  try {
    socket.send(query, Number(port), address);
    return await promise;
  } finally {
    clearTimeout(timer);
    socket.close();
  }
}
