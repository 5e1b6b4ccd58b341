// The simulated provider of the demonstration: a POP3 mailbox, an SMTP relay with AUTH, and a block list that lists nobody.
import { createUDPServer, Packet } from 'dns2';
import { SMTPServer } from 'smtp-server';
import type { AddressInfo } from 'node:net';
import { createPop3Server } from './pop3-server.ts';
import type { Mailbox } from './pop3-server.ts';

export const demoZone = 'blocklist.demo.example';
/** Bounds the memory of a demonstration that runs for weeks. */
const maxMails = 200;

export type Provider = {
  readonly pop3Port: number;
  readonly smtpPort: number;
  readonly dnsPort: number;
  /** A mail from outside reaches the mailbox. */
  readonly arrive: (bytes: Buffer) => void;
  readonly close: () => Promise<void>;
};

export async function startProvider(options: { readonly user: string; readonly password: string }): Promise<Provider> {
  const mailbox: Mailbox = { password: options.password, mails: [] };
  const pop3 = createPop3Server({ mailboxes: new Map([[options.user, mailbox]]) });
  let serial = 0;
  const relay = new SMTPServer({
    authMethods: ['PLAIN', 'LOGIN'],
    allowInsecureAuth: true,
    disabledCommands: ['STARTTLS'],
    disableReverseLookup: true,
    onAuth: (auth, _session, callback) => {
      const right = auth.username === options.user && auth.password === options.password;
      if (right) callback(null, { user: options.user });
      else callback(new Error('wrong user or password'));
    },
    onData: (stream, _session, callback) => {
      stream.on('end', () => callback()).resume();
    },
  });
  relay.on('error', () => {}); // a client that goes away is not our trouble
  await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', () => resolve()));
  const dns = await startBlocklist();
  return {
    pop3Port: await pop3.listen(),
    smtpPort: (relay.server.address() as AddressInfo).port, // a TCP server
    dnsPort: dns.port,
    arrive(bytes) {
      serial += 1;
      mailbox.mails = [...mailbox.mails, { uid: 'demo-' + serial, bytes }].slice(-maxMails);
    },
    close: async () => {
      await Promise.all([pop3.close(), new Promise<void>((resolve) => relay.close(() => resolve())), dns.close()]);
    },
  };
}

/** Answers like a healthy list: the test point 127.0.0.2 is listed (RFC 5782 section 5), nothing else is. */
async function startBlocklist(): Promise<{ readonly port: number; readonly close: () => Promise<void> }> {
  const server = createUDPServer((request, send) => {
    const response = Packet.createResponseFromRequest(request);
    const [question] = request.questions;
    if (question?.name.toLowerCase() === '2.0.0.127.' + demoZone) {
      if (question.type === Packet.TYPE.A) {
        response.answers.push(Packet.createResourceFromQuestion(question, { ttl: 300, address: '127.0.0.2' }));
      }
    } else response.header.rcode = 3;
    void send(response);
  });
  await server.listen(0, '127.0.0.1');
  return {
    port: server.address().port,
    close: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}
