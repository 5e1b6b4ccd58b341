// Why no connection came about, in words that name the option to look at and what helps.
import { codeOf, describe } from '#shared/failure.ts';
import type { ConnectError, Endpoint } from '../net/socket.ts';
import { wrong } from './finding.ts';
import type { Trial } from './finding.ts';

/** `server`: what should be there, such as `a POP3 server`; `ports`: where it usually is. */
export type Sought = { readonly server: string; readonly ports: string };

export function trialOfConnect(error: ConnectError, endpoint: Endpoint, sought: Sought): Trial {
  const place = endpoint.host + ':' + endpoint.port;
  const code = codeOfDeepest(error);
  return error.stage === 'tcp'
    ? trialOfTcp(code, endpoint, place, sought, describe(error.cause ?? error))
    : trialOfTls(error, code, endpoint, place);
}

function trialOfTcp(code: string, endpoint: Endpoint, place: string, sought: Sought, text: string): Trial {
  switch (code) {
    case 'ENOTFOUND':
    case 'EAI_NONAME':
      return wrong({
        option: ['host'],
        found: 'no such name in DNS: ' + endpoint.host + ' (' + code + ')',
        expected: 'the name of ' + sought.server,
        remedy: "check the spelling; the right name stands in the provider's instructions or in docs/providers.md",
      });
    case 'EAI_AGAIN':
      return wrong({
        option: ['host'],
        found: 'DNS gives no answer about ' + endpoint.host + ' (' + code + ')',
        expected: 'an address for that name',
        remedy: 'check the name servers of this machine (DSM: Control Panel > Network) and its line to the internet',
      });
    case 'ECONNREFUSED':
      return wrong({
        option: ['port'],
        found: 'nobody listens at ' + place + ' (' + code + ')',
        expected: sought.server + ' that listens there',
        remedy: 'check host and port (' + sought.ports + '), and that the server runs',
      });
    case 'ECONNRESET':
      return wrong({
        option: ['port'],
        found: place + ' closes the connection at once (' + code + ')',
        expected: sought.server + ' that talks',
        remedy: 'check host and port (' + sought.ports + '); a firewall or a block of this address may do that',
      });
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return wrong({
        option: ['host'],
        found: 'there is no way to ' + place + ' (' + code + ')',
        expected: 'a network that leads there',
        remedy: 'check the network of this machine, its gateway, and the host',
      });
    default:
      return wrong({
        option: ['host'],
        found: place + ' gives no answer (' + (code === '' ? text : code) + ')',
        expected: sought.server + ' that answers',
        remedy:
          'check host and port (' +
          sought.ports +
          '), the line, and whether a firewall lets port ' +
          endpoint.port +
          ' out',
      });
  }
}

/** What OpenSSL says when the other side does not speak TLS. */
const noTls = /EPROTO|ERR_SSL_(?:WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|UNKNOWN_PROTOCOL)/;
const unknownAuthority = /SELF_SIGNED|UNABLE_TO_(?:VERIFY|GET_ISSUER)|CERT_UNTRUSTED|INVALID_CA/;

function trialOfTls(error: ConnectError, code: string, endpoint: Endpoint, place: string): Trial {
  const name = endpoint.serverName ?? endpoint.host;
  const text = describe(error.cause ?? error);
  if (noTls.test(code))
    return wrong({
      option: ['tls'],
      found: place + ' does not speak TLS from the first byte (' + code + ')',
      expected: 'TLS',
      remedy: 'with this port say tls: starttls, or take the port for TLS (995 POP3, 993 IMAP, 465 SMTP)',
    });
  if (code === 'CERT_HAS_EXPIRED')
    return wrong({
      option: ['host'],
      found: 'the certificate of ' + place + ' has expired (' + code + ')',
      expected: 'a valid certificate',
      remedy: 'renew it at that server; if it is valid, the clock of this machine is wrong',
    });
  if (code === 'CERT_NOT_YET_VALID')
    return wrong({
      option: ['host'],
      found: 'the certificate of ' + place + ' is not valid yet (' + code + ')',
      expected: 'a valid certificate',
      remedy: 'set the clock of this machine: it seems to be behind',
    });
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return wrong({
      option: ['serverName'],
      found: 'the certificate of ' + place + ' is for another name: ' + text,
      expected: 'a certificate for ' + name,
      remedy: 'write the name of the certificate as host, or as serverName when the host must be another',
    });
  if (unknownAuthority.test(code))
    return wrong({
      option: ['caFile'],
      found: 'the certificate of ' + place + ' is signed by nobody that this machine knows (' + code + ')',
      expected: 'a certificate of a known authority',
      remedy: 'name the PEM file of its authority as caFile, or give the server a public certificate',
    });
  if (/pins/.test(error.message))
    return wrong({
      option: ['pins'],
      found: text,
      expected: 'one of the pins',
      remedy: 'if the server changed its key, ask the provider for the new one and write its pin here',
    });
  return wrong({
    option: ['tls'],
    found: 'TLS with ' + place + ' failed: ' + text,
    expected: 'a TLS handshake',
    remedy: 'check port and tls; a very old server may speak only what is refused here (TLS before 1.2)',
  });
}

/** Of the causes behind an error the last that has one. */
function codeOfDeepest(error: unknown): string {
  if (typeof error !== 'object' || error === null) return '';
  const inner: unknown =
    error instanceof AggregateError ? error.errors[0] : error instanceof Error ? error.cause : undefined;
  const deeper = codeOfDeepest(inner);
  return deeper === '' ? (codeOf(error) ?? '') : deeper;
}
