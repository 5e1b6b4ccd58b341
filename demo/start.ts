// `npm start`: without configuration a demonstration of everything on this machine; with --agent FILE and/or
// --collector FILE the real programs. They run as processes of their own; Ctrl-C stops all.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { UserError, describe } from '#shared/failure.ts';
import { startDemo } from './demonstration.ts';

const usage = `Usage: npm start -- [--agent FILE] [--collector FILE] [--port PORT]

Without --agent and --collector: a demonstration, everything on this machine, on page port PORT (8420).
With them: runs the agent and/or the collector with that configuration.`;

type Program = 'agent' | 'collector';

function launch(program: Program, file: string): ChildProcess {
  const main = fileURLToPath(new URL('../' + program + '/main.ts', import.meta.url));
  // A process group of its own, so that Ctrl-C reaches it once, through us.
  return spawn(process.execPath, [main, '--config', file], { stdio: ['ignore', 'inherit', 'inherit'], detached: true });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  const late = setTimeout(() => child.kill('SIGKILL'), 4_000);
  await gone;
  clearTimeout(late);
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      agent: { type: 'string' },
      collector: { type: 'string' },
      port: { type: 'string', default: '8420' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage + '\n');
    return 0;
  }
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new UserError('Cannot use --port ' + values.port + ': expected a port, 1 to 65535');
  }
  const stopped = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stopped.abort());

  const real = values.agent !== undefined || values.collector !== undefined;
  const demo = real ? undefined : await startDemo({ port });
  const files: readonly (readonly [Program, string | undefined])[] = [
    ['collector', values.collector ?? demo?.collectorFile],
    ['agent', values.agent ?? demo?.agentFile],
  ];
  const children = files.flatMap(([program, file]) => (file === undefined ? [] : [launch(program, file)]));
  demo?.run();
  const ended = children.map(async (child) => {
    const [code] = (await once(child, 'exit')) as [number | null]; // documented arguments of 'exit'
    return code ?? 1;
  });
  const asked = once(stopped.signal, 'abort').then(() => 0);
  const code = await Promise.race([asked, ...ended]);
  // The agent first: it can still say goodbye to the collector.
  for (const child of children.toReversed()) await end(child);
  await demo?.close();
  return code;
}

try {
  process.exit(await main());
} catch (error) {
  process.stderr.write((error instanceof UserError ? error.message : describe(error)) + '\n\n' + usage + '\n');
  process.exit(2);
}
