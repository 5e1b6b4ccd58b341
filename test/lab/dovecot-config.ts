// The configuration of one dovecot instance that lives in one folder and touches nothing outside it.
import type { Certificate } from './certificate.ts';
import { mailOwner } from './maildir.ts';

export type DovecotSetup = {
  readonly folder: string;
  readonly certificate: Certificate;
  /** Absent ports are not served. `auth` is the SASL service that postfix asks. */
  readonly ports: {
    readonly pop3?: number;
    readonly pop3s?: number;
    readonly imap?: number;
    readonly imaps?: number;
    readonly lmtp?: number;
    readonly auth?: number;
  };
  /** Lines added at the end, in dovecot's own words. */
  readonly extra: string;
};

export function dovecotConfig(setup: DovecotSetup): string {
  const { folder, certificate, ports } = setup;
  const protocols = [
    ...(ports.pop3 === undefined ? [] : ['pop3']),
    ...(ports.imap === undefined ? [] : ['imap']),
    ...(ports.lmtp === undefined ? [] : ['lmtp']),
  ];
  return `
base_dir = ${folder}/run
state_dir = ${folder}/state
instance_name = ${folder}
log_path = /dev/stderr
protocols = ${protocols.join(' ')}
listen = 127.0.0.1
import_environment = TZ MAILFERRY_TEST_RUN
ssl = yes
ssl_cert = <${certificate.certFile}
ssl_key = <${certificate.keyFile}
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
auth_cache_size = 1M
mail_location = maildir:${folder}/mail/%u
mail_uid = ${mailOwner.uid}
mail_gid = ${mailOwner.gid}
first_valid_uid = ${mailOwner.uid}
first_valid_gid = ${mailOwner.gid}
mail_max_userip_connections = 1000
default_process_limit = 200
default_client_limit = 2000
passdb {
  driver = passwd-file
  args = scheme=PLAIN username_format=%u ${folder}/users
}
userdb {
  driver = passwd-file
  args = username_format=%u ${folder}/users
  default_fields = home=${folder}/home/%u
}
namespace inbox {
  inbox = yes
}
protocol lmtp {
  postmaster_address = postmaster@lab.test
}
service anvil {
  client_limit = 1003
  # No penalty: a wrong password is answered at once, also the tenth.
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
${services(ports)}
${setup.extra}
`;
}

function services(ports: DovecotSetup['ports']): string {
  const listener = (name: string, port: number | undefined, options = ''): string =>
    `  inet_listener ${name} {\n    port = ${port ?? 0}\n${options}  }\n`;
  const ssl = '    ssl = yes\n';
  // One login process serves all connections: it starts once, not for each login.
  const login = '  service_count = 0\n  process_min_avail = 1\n';
  return [
    'service pop3-login {\n' + listener('pop3', ports.pop3) + listener('pop3s', ports.pop3s, ssl) + login + '}',
    'service imap-login {\n' + listener('imap', ports.imap) + listener('imaps', ports.imaps, ssl) + login + '}',
    'service lmtp {\n' + (ports.lmtp === undefined ? '' : listener('lmtp', ports.lmtp)) + '}',
    'service auth {\n' + (ports.auth === undefined ? '' : listener('auth', ports.auth)) + '}',
  ].join('\n');
}
