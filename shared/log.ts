// One JSON line per event on stderr. Secrets are redacted by path; addresses are masked by the caller with maskAddress().
import { pino, destination } from 'pino';
import type { Logger } from 'pino';

export type Log = Logger;
export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

export function createLog(options: {
  readonly level: LogLevel;
  readonly name: string;
  /** Gets each line too. */
  readonly also?: (line: string) => void;
}): Log {
  const { also } = options;
  const out = destination({ dest: 2, sync: true });
  const both = also && {
    write(line: string): void {
      also(line);
      out.write(line);
    },
  };
  return pino(
    {
      name: options.name,
      level: options.level,
      base: { name: options.name },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: ['password', '*.password', 'token', '*.token', 'secret', '*.secret'], censor: '[redacted]' },
    },
    both ?? out,
  );
}

/** `info@example.org` -> `i***@example.org`: enough to find the mailbox, too little to harvest it. */
export function maskAddress(address: string): string {
  const at = address.lastIndexOf('@');
  if (at < 1) return address === '' ? '<>' : '***';
  return address.slice(0, 1) + '***' + address.slice(at);
}
