// A real block list: rbldnsd with zones of addresses (ip4set) and of domains (dnset), changed while it runs.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { rename, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Packet } from 'dns2';
import { startChild } from './child.ts';
import { mailOwner } from './maildir.ts';
import { createRealServer } from './real-server.ts';
import type { RealServer } from './real-server.ts';
import { waitFor } from './wait.ts';

export type Rbldnsd = RealServer & {
  readonly host: string;
  /** UDP; rbldnsd speaks no TCP. */
  readonly port: number;
  /** Replaces the lines of a zone; resolves when the server answers by them. Waits for a running server. */
  readonly set: (zone: string, lines: readonly string[]) => Promise<void>;
};

export type RbldnsdOptions = {
  /**
   * Zone -> lines in rbldnsd's own words, such as `:127.0.0.2:listed, see $` (default for what follows) and `192.0.2.10`.
   * The test point 127.0.0.2 is listed only when it stands here.
   */
  readonly zones: Readonly<Record<string, readonly string[]>>;
  /** The same for lists of domains. `.example.org` means the domain and everything below it. */
  readonly domainZones?: Readonly<Record<string, readonly string[]>>;
};

export async function createRbldnsd(
  options: RbldnsdOptions & { readonly folder: string; readonly freePort: () => Promise<number> },
): Promise<Rbldnsd> {
  const { folder, zones, domainZones = {} } = options;
  const port = await options.freePort();
  const logFile = join(folder, 'log');
  let generation = 1;

  async function write(zone: string, lines: readonly string[]): Promise<void> {
    const file = join(folder, zone);
    // Answers hold for a second, so that who keeps them sees a change soon.
    const soa = '$SOA 1 ns.' + zone + ' hostmaster.' + zone + ' ' + generation + ' 600 300 86400 1';
    await writeFile(file + '.new', [soa, '$NS 1 ns.' + zone, '$TTL 1', ...lines, ''].join('\n'));
    // rbldnsd compares whole seconds: a second change within one would not be seen.
    const time = Math.floor(Date.now() / 1_000) + generation;
    await utimes(file + '.new', time, time);
    await rename(file + '.new', file);
  }

  await writeFile(logFile, '');
  const all = { ...zones, ...domainZones };
  for (const [zone, lines] of Object.entries(all)) await write(zone, lines);
  const specs = Object.keys(all).map((zone) => zone + ':' + (zone in domainZones ? 'dnset' : 'ip4set') + ':' + zone);
  const [first] = Object.keys(all);
  if (first === undefined) throw new Error('Cannot start rbldnsd: no zones, expected at least one');
  const service = createRealServer({
    name: 'rbldnsd',
    readLog: () => readFileSync(logFile, 'utf8'),
    launch: () =>
      startChild({
        name: 'rbldnsd',
        command: 'rbldnsd',
        // Started as root it would change its user itself, and with that lose the order to end with the test's process.
        ...(process.getuid?.() === 0 ? { as: mailOwner } : {}),
        // -c 0: files are read again on HUP only. No -r: a chroot would need root.
        args: ['-n', '-c', '0', '-w', folder, '-b', '127.0.0.1/' + port, ...specs],
        logFile,
        ready: async () => (await askSerial(port, first)) !== undefined,
      }),
  });
  return {
    ...service,
    host: '127.0.0.1',
    port,
    set: async (zone, lines) => {
      if (!(zone in all))
        throw new Error('Cannot set zone ' + zone + ': expected one of ' + Object.keys(all).join(', '));
      generation += 1;
      const wanted = generation;
      await write(zone, lines);
      process.kill(service.pid(), 'SIGHUP');
      await waitFor('zone ' + zone + ' to be read again', async () => (await askSerial(port, zone)) === wanted);
    },
  };
}

/** The serial number in the zone's SOA record, by which a reload is seen. Undefined when nothing answers. */
async function askSerial(port: number, zone: string): Promise<number | undefined> {
  const packet = new Packet();
  packet.header.id = 1;
  packet.questions.push(new Packet.Question(zone, Packet.TYPE.SOA, Packet.CLASS.IN));
  const socket = createSocket('udp4');
  try {
    socket.connect(port, '127.0.0.1');
    await once(socket, 'connect');
    socket.send(packet.toBuffer());
    // once() rejects on 'error', which a refused port causes.
    const [answer] = (await once(socket, 'message', { signal: AbortSignal.timeout(500) })) as [Buffer]; // documented
    const soa = Packet.parse(answer).answers[0];
    return soa !== undefined && 'serial' in soa ? soa.serial : undefined;
  } catch {
    return undefined;
  } finally {
    socket.close();
  }
}
