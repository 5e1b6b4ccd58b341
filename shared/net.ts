// Words about addresses that both programs need.

/** True when nothing sent to this host leaves the machine. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}
