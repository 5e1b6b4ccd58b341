// Why there is no line to the collector, as a kind that decides what a person is told to do.

export type LineTrouble = 'address' | 'name' | 'connect' | 'tls' | 'certificate' | 'clock' | 'websocket' | 'stopped';

/** `message` is the state found; what to do about it is `remedyOf`. */
export class LineError extends Error {
  override readonly name = 'LineError';
  readonly trouble: LineTrouble;
  constructor(trouble: LineTrouble, message: string, cause?: unknown) {
    super(message, { cause });
    this.trouble = trouble;
  }
}

const general = 'a collector that knows this agent; check url, user, password and caFile';

/** What is expected, and what to look at. */
export function remedyOf(trouble: LineTrouble | undefined): string {
  switch (trouble) {
    case 'clock':
      return "the right time; set this machine's clock and let a time server (NTP) keep it";
    case 'name':
      return 'a name that this machine can look up; check its DNS server, and url (or check url, user, password and caFile)';
    case 'certificate':
      return 'a certificate that the authority in caFile has signed for this name; check url, user, password and caFile, or enrol again (`mailferry enrol`)';
    case 'websocket':
      return 'a broker that speaks MQTT over WebSocket at this path; check url, user, password and caFile';
    case 'address':
    case 'connect':
    case 'tls':
    case 'stopped':
    case undefined:
      return general;
  }
}
