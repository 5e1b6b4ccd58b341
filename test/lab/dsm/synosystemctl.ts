// What stands in for `synosystemctl start|stop UNIT` of DSM, for one user's units. It does with the unit file what systemd does
// with the few directives that ours has, and leaves the state for the script before it (dsm.ts). It imports nothing of the repository: it is copied into the
// fake root, and runs there as the package's user.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

type Unit = {
  readonly start: string;
  readonly beforeStop: string;
  readonly restarts: boolean;
  readonly pauseMs: number;
  readonly final: readonly number[];
  readonly stopMs: number;
};
type Record = { readonly supervisor: number; readonly state: string };

const [action = '', name = ''] = process.argv.slice(2);
const home = process.env['HOME'] ?? '';
const unitFile = join(home, '.config', 'systemd', 'user', name + '.service');
const recordFile = join(process.env['XDG_RUNTIME_DIR'] ?? '', name + '.state');

function readUnit(): Unit {
  const text = readFileSync(unitFile, 'utf8');
  const get = (key: string, standard: string): string =>
    new RegExp('^' + key + '=(.*)$', 'm').exec(text)?.[1] ?? standard;
  return {
    start: get('ExecStart', ''),
    beforeStop: get('ExecStop', ''),
    restarts: get('Restart', 'no') === 'on-failure',
    // A test need not wait as long as a NAS.
    pauseMs: Math.min(Number(get('RestartSec', '0.1')) * 1_000, 500),
    final: get('RestartPreventExitStatus', '').split(' ').filter(Boolean).map(Number),
    stopMs: Number(get('TimeoutStopSec', '90')) * 1_000,
  };
}

function readRecord(): Record | undefined {
  if (!existsSync(recordFile)) return undefined;
  const [state = '', pid = ''] = readFileSync(recordFile, 'utf8').trim().split(' ');
  const record: Record = { state, supervisor: Number(pid) };
  try {
    process.kill(record.supervisor, 0);
    return record;
  } catch {
    return record.state === 'failed' ? record : undefined;
  }
}

function write(record: Record): void {
  writeFileSync(recordFile + '.tmp', record.state + ' ' + record.supervisor + '\n');
  renameSync(recordFile + '.tmp', recordFile);
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** The part that stays: one process a unit. */
async function supervise(): Promise<void> {
  const unit = readUnit();
  const stopping = new AbortController();
  let main: ReturnType<typeof spawn> | undefined;
  const stopped = new Promise<void>((resolve) => stopping.signal.addEventListener('abort', () => resolve()));
  process.on('SIGTERM', () => {
    if (stopping.signal.aborted) return;
    stopping.abort();
    const end = (): void => {
      main?.kill('SIGTERM');
      setTimeout(() => main?.kill('SIGKILL'), unit.stopMs).unref();
    };
    if (unit.beforeStop === '') end();
    else spawn(unit.beforeStop, { stdio: 'ignore' }).on('exit', end).on('error', end);
  });
  while (!stopping.signal.aborted) {
    const code = await new Promise<number | null>((resolve) => {
      main = spawn(unit.start, { stdio: 'ignore' });
      write({ supervisor: process.pid, state: 'active' });
      main.on('exit', resolve).on('error', () => resolve(203));
    });
    if (stopping.signal.aborted || code === 0) break;
    if (!unit.restarts || unit.final.includes(code ?? -1)) {
      write({ supervisor: process.pid, state: 'failed' });
      return;
    }
    write({ supervisor: process.pid, state: 'activating' });
    await Promise.race([pause(unit.pauseMs), stopped]);
  }
  rmSync(recordFile, { force: true });
}

async function start(): Promise<number> {
  if (!existsSync(unitFile)) {
    process.stderr.write('Unit ' + name + ' not found\n');
    return 1;
  }
  if (readRecord() !== undefined && readRecord()?.state !== 'failed') return 0;
  rmSync(recordFile, { force: true });
  spawn(process.execPath, [process.argv[1] ?? '', 'supervise', name], { detached: true, stdio: 'ignore' }).unref();
  while (!existsSync(recordFile)) await pause(20);
  return 0;
}

async function stop(): Promise<number> {
  const record = readRecord();
  if (record === undefined) return 0;
  if (record.state === 'failed') {
    rmSync(recordFile, { force: true });
    return 0;
  }
  process.kill(record.supervisor, 'SIGTERM');
  while (readRecord() !== undefined) await pause(20);
  return 0;
}

if (action === 'supervise') await supervise();
else if (action === 'start') process.exitCode = await start();
else if (action === 'stop') process.exitCode = await stop();
else {
  process.stderr.write('unknown action ' + action + '\n');
  process.exitCode = 1;
}
