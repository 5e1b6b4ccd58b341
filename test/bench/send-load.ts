// Postfix's own test programs: smtp-source hands mails in as fast as it is answered, smtp-sink takes and counts them.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { startChild } from '../lab/child.ts';
import type { Child } from '../lab/child.ts';
import type { Lab } from '../lab/lab.ts';
import { isListening } from '../lab/port.ts';

export type SmtpSink = {
  readonly port: number;
  /** Mails that it has taken since ever, in all its lives. */
  readonly count: () => number;
  readonly start: () => Promise<void>;
  readonly stop: () => Promise<void>;
};

/** Runs as nobody: it refuses to be root. */
const nobody = { uid: 65_534, gid: 65_534 };

/** Starts with the first `start()`. */
export async function createSmtpSink(lab: Lab, name: string): Promise<SmtpSink> {
  const port = await lab.freePort();
  const logFile = join(lab.dir, name + '-sink.log');
  let child: Child | undefined;
  let before = 0;
  const stop = async (): Promise<void> => {
    if (child === undefined) return;
    await child.stop();
    before += readCount(logFile);
    child = undefined;
  };
  lab.onStop(stop);
  const sink = { port, count: () => before + (child === undefined ? 0 : readCount(logFile)), stop };
  return {
    ...sink,
    async start() {
      closeSync(openSync(logFile, 'w'));
      child = await startChild({
        name: name + ' sink',
        command: 'smtp-sink',
        args: ['-c', '127.0.0.1:' + port, '1000'],
        as: nobody,
        logFile,
        ready: () => isListening(port),
      });
    },
  };
}

/** It writes `sess=1 quit=0 mesg=2` over and over, and the file grows: only the end is read. */
function readCount(file: string): number {
  const handle = openSync(file, 'r');
  try {
    const bytes = Buffer.alloc(256);
    const from = Math.max(0, fstatSync(handle).size - bytes.length);
    const length = readSync(handle, bytes, 0, bytes.length, from);
    const counts = [...bytes.toString('latin1', 0, length).matchAll(/mesg=(\d+)(?=\D|$)/g)];
    return Number(counts.at(-1)?.[1] ?? 0);
  } finally {
    closeSync(handle);
  }
}

export type Load = {
  readonly mails: number;
  readonly sessions: number;
  readonly sizeBytes: number;
  /** For each mail a connection of its own. */
  readonly reconnect?: boolean;
};

/** Resolves when all mails were answered 250; rejects when one was not. */
export async function submitLoad(options: {
  readonly lab: Lab;
  readonly port: number;
  readonly load: Load;
}): Promise<void> {
  const { lab, port, load } = options;
  const child = await startChild({
    name: 'smtp-source',
    command: 'smtp-source',
    args: [
      ...(load.reconnect === true ? [] : ['-d']),
      '-s',
      String(load.sessions),
      '-m',
      String(load.mails),
      '-l',
      String(load.sizeBytes),
      '-f',
      'sales@office.test',
      '-t',
      'someone@world.test',
      '127.0.0.1:' + port,
    ],
    logFile: join(lab.dir, 'source.log'),
  });
  lab.onStop(() => child.stop());
  const { code } = await child.waitExit(600_000);
  if (code !== 0) throw new Error('Cannot measure: smtp-source ended with ' + code + '\n' + child.log().slice(-500));
}
