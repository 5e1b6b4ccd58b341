// The simulated local mail server of the demonstration: takes mail over LMTP and forgets it.
import { SMTPServer } from 'smtp-server';
import type { AddressInfo } from 'node:net';

export async function startLocalServer(): Promise<{ readonly port: number; readonly close: () => Promise<void> }> {
  const server = new SMTPServer({
    lmtp: true,
    authOptional: true,
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    onData: (stream, session, callback) => {
      const replies = session.envelope.rcptTo.map(() => 'delivered');
      stream.on('end', () => callback(null, replies)).resume();
    },
  });
  server.on('error', () => {}); // a client that goes away is not our trouble
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  return {
    port: (server.server.address() as AddressInfo).port, // a TCP server
    close: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}
