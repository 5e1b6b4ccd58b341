// The version that the programs report, from package.json: one place to raise it.
import { readFileSync } from 'node:fs';

/** Put in by the bundler: a bundle has no package.json beside it. */
declare const MAILFERRY_VERSION: string | undefined;

/** How the agent is started from here, for messages. */
export function agentCommand(): string {
  return typeof MAILFERRY_VERSION === 'string' ? 'mailferry run' : 'npm run agent --';
}

/** How a command of the command line is given from here, for messages. */
export function cliCommand(): string {
  return typeof MAILFERRY_VERSION === 'string' ? 'mailferry' : 'npm run mailferry --';
}

export function readVersion(): string {
  if (typeof MAILFERRY_VERSION === 'string') return MAILFERRY_VERSION;
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  const parsed: unknown = JSON.parse(text);
  const version = typeof parsed === 'object' && parsed !== null && 'version' in parsed ? parsed.version : undefined;
  return typeof version === 'string' ? version : '0.0.0';
}
