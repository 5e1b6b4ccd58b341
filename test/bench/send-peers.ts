// The mail servers that we are measured against, each between its own smtp-source and smtp-sink.
import { chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import type { Lab } from '../lab/lab.ts';
import { isListening } from '../lab/port.ts';
import type { Postfix } from '../lab/postfix.ts';
import { unpack } from './unpacked.ts';

export type Server = {
  readonly name: string;
  readonly port: number;
  readonly pid: () => number;
  /** Its words, for messages. */
  readonly log: () => string;
};

/** Debian's, in a folder of its own; without the brake that it puts on clients when deliveries fall behind. */
export async function startPostfix(lab: Lab, sinkPort: number): Promise<Server & { readonly postfix: Postfix }> {
  const postfix = await lab.postfix({
    role: 'local',
    domains: ['none.test'],
    main: {
      default_transport: 'smtp',
      relay_transport: 'smtp',
      relayhost: '[127.0.0.1]:' + sinkPort,
      smtpd_relay_restrictions: 'permit_mynetworks,reject',
    },
  });
  return { name: 'Postfix', port: postfix.smtp, pid: postfix.pid, log: postfix.log, postfix };
}

export async function startOpenSmtpd(lab: Lab, sinkPort: number): Promise<Server> {
  const users = [
    { name: 'opensmtpd', id: 998 },
    { name: 'opensmtpq', id: 997 },
  ];
  const { root, wrap } = unpack({ folder: join(lab.dir, 'opensmtpd'), packages: ['opensmtpd'], users });
  const port = await lab.freePort();
  const config = [
    'smtp max-message-size "60M"',
    'smtp limit max-mails 1000000',
    'listen on 127.0.0.1 port ' + port,
    'action "relay" relay host "smtp://127.0.0.1:' + sinkPort + '"',
    'match from any for any action "relay"',
  ];
  writeFileSync(join(root, 'etc/smtpd.conf'), config.join('\n') + '\n', { mode: 0o600 });
  for (const name of ['var/spool/smtpd', 'var/lib/opensmtpd/empty'])
    mkdirSync(join(root, name), { recursive: true, mode: 0o711 });
  const child = await lab.run({
    name: 'opensmtpd',
    ...wrap(['/usr/sbin/smtpd', '-d', '-f', '/etc/smtpd.conf']),
    ready: () => isListening(port),
  });
  return { name: 'OpenSMTPD', port, pid: () => child.pid, log: child.log };
}

export async function startNullmailer(lab: Lab, sinkPort: number): Promise<Server> {
  const packages = ['nullmailer', 'ucspi-tcp'];
  const { root, wrap } = unpack({ folder: join(lab.dir, 'nullmailer'), packages, users: [] });
  const port = await lab.freePort();
  const spool = join(root, 'var/spool/nullmailer');
  // nullmailer-queue is setuid mail.
  for (const path of [spool, ...['queue', 'tmp', 'failed'].map((name) => join(spool, name))]) {
    mkdirSync(path, { recursive: true, mode: 0o755 });
    chownSync(path, 8, 8);
  }
  spawnSync('mkfifo', ['-m', '622', join(spool, 'trigger')]);
  chownSync(join(spool, 'trigger'), 8, 8);
  mkdirSync(join(root, 'etc/nullmailer'));
  writeFileSync(join(root, 'etc/nullmailer/remotes'), '127.0.0.1 smtp --port=' + sinkPort + '\n');
  writeFileSync(join(root, 'etc/mailname'), 'bench.test\n');
  const listen = 'exec /usr/bin/tcpserver -H -R -l bench.test -c 100 127.0.0.1 ' + port + ' /usr/bin/nullmailer-smtpd';
  writeFileSync(join(root, 'start'), '#!/bin/sh\n/usr/sbin/nullmailer-send &\n' + listen + '\n', { mode: 0o755 });
  const child = await lab.run({ name: 'nullmailer', ...wrap(['/bin/sh', '/start']), ready: () => isListening(port) });
  return { name: 'nullmailer', port, pid: () => child.pid, log: child.log };
}
