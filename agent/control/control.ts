// The local socket: runs commands of the table for whoever may open the file (mode 0600: the user of the agent and root).
// Promise: a client that sends too much, nothing, or nonsense, or does not read, costs bounded memory and time.
import { chmodSync, existsSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { nearest } from '#shared/config-problems.ts';
import { UserError, describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import type { Command, CommandTable } from './commands.ts';
import { createLineReader } from './lines.ts';
import type { Line } from './lines.ts';
import { decodeRequest, encodeAnswer, maxRequestBytes, refuse } from './protocol.ts';
import { freeSocketPath, refuse as refusePath } from './socket-file.ts';

export type ControlOptions = {
  readonly path: string;
  readonly commands: CommandTable;
  readonly log: Log;
  /** A request must be complete, and an answer taken, within this. */
  readonly clientTimeoutMs?: number;
};
export type Control = {
  /** Throws UserError when the socket cannot be opened. */
  readonly start: () => Promise<void>;
  /** Idempotent; does not wait for commands that still run. */
  readonly stop: () => Promise<void>;
};

const maxClients = 16;
const tooLong = refuse('request', 'Cannot read the request: more than ' + maxRequestBytes + ' bytes, expected less');
const notUnderstood = refuse(
  'request',
  'Cannot read the request: found no JSON object with a command, expected {"command": NAME, "arguments": {}}',
);

export function createControl(options: ControlOptions): Control {
  const { path, commands, log } = options;
  const clientTimeoutMs = options.clientTimeoutMs ?? 10_000;
  const stopped = new AbortController();
  const open = new Map<Socket, Promise<void>>();
  // Half open: `echo ... | socat - UNIX:agent.sock` ends its side first and still wants the answer.
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {}); // what matters of it, the conversation sees
    const talk = converse(socket).finally(() => open.delete(socket));
    open.set(socket, talk);
  });
  server.maxConnections = maxClients;

  async function converse(socket: Socket): Promise<void> {
    const readLine = createLineReader(socket, maxRequestBytes);
    try {
      let line = await within(socket, readLine());
      while (line.kind === 'line' && !socket.destroyed) {
        await within(socket, write(socket, await answerTo(line.text)));
        line = await within(socket, readLine());
      }
      if (line.kind === 'too-long') await within(socket, write(socket, encodeAnswer(tooLong)));
      socket.end();
      // What the client still sends is read and dropped: left unread, it would turn our last answer into a reset.
      await within(socket, drain(readLine));
    } finally {
      socket.destroy();
    }
  }

  /** The socket is destroyed when the work takes too long, which ends the work. */
  async function within<T>(socket: Socket, work: Promise<T>): Promise<T> {
    const timer = setTimeout(() => socket.destroy(), clientTimeoutMs);
    return work.finally(() => clearTimeout(timer));
  }

  /** Never throws. */
  async function answerTo(line: string): Promise<string> {
    const request = decodeRequest(line);
    if (request === undefined) return encodeAnswer(notUnderstood);
    const command = commands.get(request.command);
    if (command === undefined)
      return encodeAnswer(refuse('command', unknownCommand(request.command, [...commands.keys()])));
    try {
      return encodeAnswer({ ok: true, value: await runCommand(request.command, command, request.arguments) });
    } catch (error) {
      if (!(error instanceof UserError))
        log.error({ command: request.command, error: describe(error) }, 'command failed');
      return encodeAnswer(refuse('failed', describe(error)));
    }
  }

  async function runCommand(name: string, command: Command, given: unknown): Promise<unknown> {
    const late = AbortSignal.any([stopped.signal, AbortSignal.timeout(command.timeoutSeconds * 1_000)]);
    const { promise, reject } = Promise.withResolvers<never>();
    const onLate = (): void => {
      const why = stopped.signal.aborted ? 'the agent stops' : 'no result within ' + command.timeoutSeconds + ' s';
      reject(new UserError('Cannot wait for ' + name + ': ' + why + ', expected a result'));
    };
    late.addEventListener('abort', onLate, { once: true });
    try {
      return await Promise.race([command.run(given), promise]);
    } finally {
      late.removeEventListener('abort', onLate);
    }
  }

  return {
    async start() {
      await freeSocketPath(path);
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      server.once('listening', resolve);
      server.once('error', (error) => reject(refusePath(path, describe(error), 'a folder that can be written', error)));
      server.listen(path);
      // The file is there as soon as listen() returns; between the two lines the state folder (mode 0700) guards it.
      if (existsSync(path)) chmodSync(path, 0o600);
      await promise;
      server.on('error', (error) => log.error({ error: describe(error) }, 'control socket failed'));
    },
    async stop() {
      stopped.abort();
      const talks = [...open];
      for (const [socket] of talks) socket.destroy();
      if (server.listening) await new Promise((resolve) => server.close(resolve));
      await Promise.all(talks.map(([, talk]) => talk));
    },
  };
}

export function unknownCommand(name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  const expected = near === undefined ? 'one of ' + known.join(', ') : near + ' (the nearest known command)';
  return 'Cannot run ' + JSON.stringify(name.slice(0, 80)) + ': unknown command, expected ' + expected;
}

function write(socket: Socket, text: string): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed) resolve();
    else {
      socket.once('close', () => resolve());
      socket.write(text, () => resolve());
    }
  });
}

async function drain(readLine: () => Promise<Line>): Promise<void> {
  let line = await readLine();
  while (line.kind !== 'end') line = await readLine();
}
