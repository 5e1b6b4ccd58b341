// check_rbl as Debian has it: run like a monitoring system runs it, and what it said.
import { spawn } from 'node:child_process';
import { once } from 'node:events';

export type Said = {
  readonly code: number | null;
  readonly text: string;
  /** The lists that it names. */
  readonly blacklisted: readonly string[];
  readonly seconds: number;
};

export const checkRblPackages = [
  'bind9-dnsutils',
  'libcapture-tiny-perl',
  'libclass-accessor-perl',
  'libconfig-tiny-perl',
  'libdata-validate-domain-perl',
  'libdata-validate-ip-perl',
  'libmath-calc-units-perl',
  'libmonitoring-plugin-perl',
  'libnet-dns-perl',
  'libnet-ip-perl',
  'libreadonly-perl',
  'monitoring-plugins-contrib',
  'rbldnsd',
] as const;

const program = '/usr/lib/nagios/plugins/check_rbl';

export async function runCheckRbl(options: {
  readonly port: number;
  readonly address: string;
  readonly zones: readonly string[];
  readonly more?: readonly string[];
}): Promise<Said> {
  const { address, more = [], port, zones } = options;
  const began = performance.now();
  const args = [
    '-H',
    address,
    '-c',
    '1',
    '-w',
    '1',
    '--timeout=120',
    ...zones.flatMap((zone) => ['-s', zone]),
    ...more,
  ];
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, RES_NAMESERVERS: '127.0.0.1', RES_OPTIONS: 'port:' + port },
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (part: string) => void (text += part));
  const [code] = (await once(child, 'close')) as [number | null]; // documented
  const seconds = (performance.now() - began) / 1_000;
  return { code, text, blacklisted: namedIn(text, zones), seconds };
}

/** Named together with their answer: "zone (127.0.0.2)". Others are named because they did not answer. */
function namedIn(text: string, zones: readonly string[]): readonly string[] {
  const named = new Set([...text.matchAll(/([a-z0-9.-]+) \(\d+\.\d+\.\d+\.\d+\)/g)].map(([, zone = '']) => zone));
  return zones.filter((zone) => named.has(zone));
}
