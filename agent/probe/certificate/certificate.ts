// The certificates of the mail servers that this site depends on: is there TLS, is it the right server, and for how long still?
import type { Clock } from '#shared/clock.ts';
import type { Meter } from '#shared/meter.ts';
import { levels } from '../check.ts';
import type { Check, Finding, Level } from '../check.ts';
import type { Endpoint } from '../../net/socket.ts';
import type { Protocol } from './dialog.ts';
import { lookAtTls } from './handshake.ts';
import type { Looked } from './handshake.ts';
import { lifeOf } from './path.ts';
import type { Life } from './path.ts';

export type WatchedServer = {
  /** In findings and reports. */
  readonly name: string;
  readonly protocol: Protocol;
  readonly endpoint: Endpoint;
};
export type CertificateDeps = {
  readonly servers: readonly WatchedServer[];
  readonly everyMs: number;
  readonly clock: Clock;
  readonly meter: Meter;
  /** A server that says what time it is. */
  readonly onTime: (server: string, aheadMs: number) => void;
};

const timeoutMs = 30_000;
/**
 * By the share of life that is left, since certificates of 6 and of 398 days both are renewed in time or not; and by days, since
 * a fifth of ten years is no reason to act.
 */
const limits = { warning: { share: 0.2, days: 45 }, critical: { share: 0.07, days: 14 } } as const;

export function createCertificateChecks(deps: CertificateDeps): readonly Check[] {
  const { clock, meter, onTime, servers } = deps;
  return servers.map((server): Check => ({
    kind: 'tls',
    name: 'tls ' + server.name,
    everyMs: deps.everyMs,
    timeoutMs: timeoutMs + 10_000,
    async run(signal) {
      const looked = await lookAtTls({ ...server, timeoutMs, signal, clock });
      const life = looked.kind === 'seen' ? lifeOf(looked.path, clock.now()) : undefined;
      const finding = judge(server, looked, life);
      if (signal.aborted) return [finding];
      if (looked.kind === 'seen' && looked.aheadMs !== undefined) onTime(server.endpoint.host, looked.aheadMs);
      meter.say(
        'certificate',
        { server: server.name },
        {
          level: levels.indexOf(finding.level),
          problem: finding.level === 'ok' ? '' : finding.text,
          ...(looked.kind === 'seen' && { handshake_seconds: looked.handshakeMs / 1_000 }),
          ...(life && { days_left: life.daysLeft, share_left: life.shareLeft }),
        },
      );
      return [finding];
    },
  }));
}

export function judge({ endpoint, name }: WatchedServer, looked: Looked, life: Life | undefined): Finding {
  const say = (level: Level, text: string, remedy?: string): Finding => ({
    target: name,
    check: 'certificate',
    level,
    text,
    ...(remedy === undefined ? {} : { remedy }),
  });
  if (looked.kind === 'failed') return failed(endpoint, looked, say);
  if (looked.refusal !== undefined) {
    const { code, text } = looked.refusal;
    return say('critical', wordsOf(code, text, life), remedyOf(code, endpoint));
  }
  if (life === undefined) return say('unknown', 'it shows no certificate');
  const left =
    life.daysLeft < 2 ? Math.max(0, life.daysLeft * 24).toFixed(0) + ' hours' : Math.floor(life.daysLeft) + ' days';
  const text = 'valid for ' + left + ', handshake ' + Math.round(looked.handshakeMs) + ' ms';
  const isBelow = (limit: { readonly share: number; readonly days: number }): boolean =>
    life.shareLeft < limit.share && life.daysLeft < limit.days;
  const remedy = 'Renew it, or find out why its renewal does not work. Mail stops at its end.';
  const expiring = 'the certificate ' + life.name + ' expires in ' + left;
  if (isBelow(limits.critical)) return say('critical', expiring, remedy);
  return isBelow(limits.warning) ? say('warning', expiring, remedy) : say('ok', text);
}

function failed(
  endpoint: Endpoint,
  looked: Extract<Looked, { kind: 'failed' }>,
  say: (level: Level, text: string, remedy?: string) => Finding,
): Finding {
  switch (looked.stage) {
    case 'tcp':
      return say('unknown', 'nobody answers: ' + looked.text, 'Check host and port, and whether the server runs.');
    case 'dialog':
      return say(
        'critical',
        'no TLS to be had: ' + looked.text,
        'Check tls (starttls or implicit) and port, and whether TLS is switched on at the server.',
      );
    case 'tls':
      return say(
        'critical',
        'the TLS handshake fails: ' + looked.text,
        'Check that tls ' + endpoint.tls + ' fits port ' + endpoint.port + '.',
      );
  }
}

function wordsOf(code: string, text: string, life: Life | undefined): string {
  switch (code) {
    case 'CERT_HAS_EXPIRED':
      return (
        'the certificate ' +
        (life?.name ?? '') +
        ' has expired' +
        (life === undefined ? '' : ' ' + Math.ceil(-life.daysLeft) + ' days ago')
      );
    case 'CERT_NOT_YET_VALID':
      return 'the certificate is not valid yet, or this clock is behind';
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
      return 'the certificate is signed by nobody that is known here (' + code + ')';
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
      return 'the server does not send the certificates between its own and a known authority (' + code + ')';
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return 'the certificate is for another name: ' + text;
    default:
      return 'the certificate cannot be believed: ' + text;
  }
}

function remedyOf(code: string, { host, serverName }: Endpoint): string {
  switch (code) {
    case 'CERT_HAS_EXPIRED':
      return 'Renew it at the server.';
    case 'CERT_NOT_YET_VALID':
      return 'Check the clock of this machine (NTP).';
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return 'Use the name that the certificate has as host, or as serverName; now it is ' + (serverName ?? host) + '.';
    case 'PIN':
      return 'If the provider changed its key, change pins; else somebody stands between.';
    default:
      return 'Name the authority as caFile when it is your own; else let the server send its whole chain.';
  }
}
