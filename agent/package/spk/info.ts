// INFO of the package: `key="value"`, sourced by shells and read by Package Center. Pure.
import { UserError } from '#shared/failure.ts';

/** The only names and numbers that package, scripts, firewall entry and agent must agree on; a test compares them. */
export const packageName = 'mailferry';
export const pagePort = 8_421;
export const submissionPort = 2_525;
/** The oldest DSM for which there is a Node.js that the agent runs on. */
export const oldestDsm = '7.2-64570';
export const nodePackage = 'Node.js_v22';

/** A number of `version` may not be larger (Package Center keeps it in 31 bits). */
const largest = 2 ** 31 - 1;

/** `0.1.0` -> `0.1.0-1`: digits alone, and the number of the build at the end. */
export function packageVersionOf(version: string, build = 1): string {
  const found = /^\d+\.\d+\.\d+$/.test(version) && version.split('.').every((part) => Number(part) <= largest);
  if (!found || !Number.isInteger(build) || build < 1 || build > largest)
    throw new UserError(
      'Cannot make a package of version ' +
        version +
        ', build ' +
        build +
        ': Package Center knows digits alone, expected a version such as 1.2.3 and a build from 1 on',
    );
  return version + '-' + build;
}

export function composeInfo(options: {
  /** As of packageVersionOf(). */
  readonly version: string;
  /** Of package.tgz, MD5 in hexadecimal. */
  readonly checksum: string;
  /** Of what package.tgz holds. */
  readonly unpackedBytes: number;
}): string {
  const fields: readonly (readonly [key: string, value: string])[] = [
    ['package', packageName],
    ['version', options.version],
    ['os_min_ver', oldestDsm],
    ['arch', 'noarch'],
    ['maintainer', 'mailferry'],
    ['displayname', 'mailferry'],
    [
      'description',
      'Fetches the mailboxes of your provider into the mail server of this NAS, sends its mail through the relay of your provider, and tells when one of them fails.',
    ],
    [
      'description_ger',
      'Holt die Postfächer Ihres Anbieters in den Mailserver dieses NAS, versendet dessen Post über das Relay Ihres Anbieters und meldet, wenn eines davon versagt.',
    ],
    ['install_dep_packages', nodePackage],
    ['adminprotocol', 'https'],
    ['adminport', String(pagePort)],
    ['adminurl', '/'],
    ['dsmuidir', 'ui'],
    ['dsmappname', 'org.mailferry.agent'],
    ['silent_install', 'no'],
    ['silent_upgrade', 'yes'],
    ['silent_uninstall', 'no'],
    ['extractsize', String(Math.ceil(options.unpackedBytes / 1_024))],
    ['checksum', options.checksum],
  ];
  return fields.map(([key, value]) => key + '="' + value + '"\n').join('');
}

/** Lines that are no `key="value"`, or would mean more to a shell than to Package Center, are problems. */
export function readInfo(text: string): {
  readonly fields: ReadonlyMap<string, string>;
  readonly problems: readonly string[];
} {
  const fields = new Map<string, string>();
  const problems: string[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    if (line === '') continue;
    const [, key, value] = /^([a-z0-9_]+)="([^"\\$`\r]*)"$/.exec(line) ?? [];
    if (key === undefined || value === undefined) problems.push('INFO:' + (index + 1) + ': expected key="value"');
    else if (fields.has(key)) problems.push('INFO:' + (index + 1) + ': ' + key + ' for the second time');
    else fields.set(key, value);
  }
  return { fields, problems };
}
