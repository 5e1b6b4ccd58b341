// Who may talk to a page on this machine. A foreign website can make its own name point at 127.0.0.1 ("DNS rebinding") and
// then read what answers there, and it can open a WebSocket to any address; browsers tell on it in Host and Origin.
import { isIPv4 } from 'node:net';

/** True when the Host header names this machine itself, with or without a port. */
export function isLocalHostHeader(header: string | undefined): boolean {
  const name = hostName(header);
  if (name === undefined) return false;
  // Not a mere prefix: 127.evil.example is somebody's name.
  return name === 'localhost' || name === '[::1]' || (isIPv4(name) && name.startsWith('127.'));
}

/**
 * True when the page that opens the connection came from here. Programs send no Origin. A proxy in front may have put its own
 * name into Host; the name it was called by is then in X-Forwarded-Host, which no website can set on a WebSocket.
 */
export function isOwnOrigin(headers: {
  readonly origin: string | undefined;
  readonly host: string | undefined;
  readonly forwardedHost: string | undefined;
}): boolean {
  if (headers.origin === undefined) return true;
  let host: string;
  try {
    host = new URL(headers.origin).host;
  } catch {
    return false; // "null": a sandboxed frame or a file
  }
  return (
    host !== '' && (host === withoutStandardPort(headers.host) || host === withoutStandardPort(headers.forwardedHost))
  );
}

function withoutStandardPort(host: string | undefined): string | undefined {
  return host?.toLowerCase().replace(/:(?:80|443)$/, '');
}

function hostName(header: string | undefined): string | undefined {
  return /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?$/.exec(header?.toLowerCase() ?? '')?.[1];
}
