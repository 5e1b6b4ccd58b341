// The Debian packages that the live tests need: which are missing, and installing them without leaving a server running.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, rmSync, writeFileSync } from 'node:fs';
import { runningProcesses } from './process-table.ts';

export const neededPackages = [
  'chromium',
  'clamav-daemon',
  'dovecot-core',
  'dovecot-imapd',
  'dovecot-lmtpd',
  'dovecot-pop3d',
  'dovecot-sieve',
  'file',
  'influxdb',
  'iproute2',
  'libnet-ssleay-perl',
  'logrotate',
  'mosquitto',
  'openssl',
  'postfix',
  'rbldnsd',
  'rspamd',
  'shellcheck',
  'strace',
  'swaks',
] as const;

/** Name of the service by the name of its process. */
const services: Readonly<Record<string, string>> = {
  clamd: 'clamav-daemon',
  dovecot: 'dovecot',
  freshclam: 'clamav-freshclam',
  influxd: 'influxdb',
  master: 'postfix',
  mosquitto: 'mosquitto',
  rbldnsd: 'rbldnsd',
  rspamd: 'rspamd',
};

/** Asked while an installation runs whether a service may start (policy-rc.d(8)); 101: it may not. */
const policyFile = '/usr/sbin/policy-rc.d';

export function missingPackages(needed: readonly string[]): readonly string[] {
  const format = '${Package} ${db:Status-Status}\\n';
  const { stdout } = spawnSync('dpkg-query', ['-W', '-f', format, ...needed], { encoding: 'utf8' });
  return missingFrom(needed, stdout ?? ''); // stdout is null where there is no dpkg-query
}

/** `listing`: lines of `PACKAGE STATUS`. */
export function missingFrom(needed: readonly string[], listing: string): readonly string[] {
  const installed = new Set(
    listing.split('\n').flatMap((line) => (line.endsWith(' installed') ? [line.split(' ')[0] ?? ''] : [])),
  );
  return needed.filter((name) => !installed.has(name));
}

export function installLine(missing: readonly string[]): string {
  return 'apt-get install --no-install-recommends ' + missing.join(' ');
}

/**
 * As root. Servers that the installation would start are kept from starting, and stopped if one started all the same;
 * what ran before is left alone. Throws when apt-get fails.
 */
export function installPackages(missing: readonly string[]): void {
  const before = runningServices();
  const ownPolicy = !existsSync(policyFile);
  if (ownPolicy) {
    writeFileSync(policyFile, '#!/bin/sh\nexit 101\n');
    chmodSync(policyFile, 0o755);
  }
  try {
    apt(['update']);
    apt(['install', '-y', '--no-install-recommends', ...missing]);
  } finally {
    if (ownPolicy) rmSync(policyFile, { force: true });
    for (const service of runningServices()) {
      if (!before.has(service)) spawnSync('service', [service, 'stop'], { stdio: 'inherit' });
    }
  }
}

function apt(args: readonly string[]): void {
  const { status } = spawnSync('apt-get', ['-q', '-o', 'DPkg::Lock::Timeout=300', ...args], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
  if (status !== 0) throw new Error('Cannot install the servers that the tests need: apt-get ' + args[0] + ' failed');
}

function runningServices(): ReadonlySet<string> {
  return new Set(
    runningProcesses().flatMap(({ command }) => {
      const service = services[command];
      return service === undefined ? [] : [service];
    }),
  );
}
