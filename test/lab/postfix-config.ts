// The configuration of one postfix instance that lives in one folder, delivers nowhere else, and touches nothing outside.
import type { Certificate } from './certificate.ts';
import { mailOwner } from './maildir.ts';

export type PostfixSetup = {
  /**
   * `relay`: what a provider has: authenticated mail on the submission port, mail from anywhere to its domains on the
   * smtp port. `local`: a mail server at home: takes mail to its domains on the smtp port, has no submission port.
   */
  readonly role: 'relay' | 'local';
  readonly folder: string;
  readonly certificate: Certificate;
  readonly domains: readonly string[];
  /** When given, only these addresses exist in the domains; else all do. */
  readonly mailboxes: readonly string[] | undefined;
  readonly ports: { readonly smtp: number; readonly submission: number; readonly auth: number };
  /** Parameters that replace ours. */
  readonly main: Readonly<Record<string, string>>;
};

export const postfixFolders = {
  /** Owned by the user postfix. */
  queue: ['active', 'bounce', 'corrupt', 'defer', 'deferred', 'flush', 'hold', 'incoming', 'private', 'saved', 'trace'],
  /** Owned by the user postfix, group postdrop. */
  drop: ['maildrop', 'public'],
  /** Owned by root. */
  root: ['pid'],
} as const;

export function mainConfig(setup: PostfixSetup): string {
  const { folder, certificate, domains, ports } = setup;
  const parameters = {
    compatibility_level: '3.6',
    queue_directory: folder + '/queue',
    data_directory: folder + '/data',
    maillog_file: folder + '/log',
    maillog_file_prefixes: folder,
    import_environment: 'MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ LANG=C MAILFERRY_TEST_RUN',
    myhostname: setup.role + '.lab.test',
    mydestination: '',
    mynetworks: '127.0.0.0/8',
    inet_interfaces: '127.0.0.1',
    inet_protocols: 'ipv4',
    // No DNS: nothing leaves the machine, and nothing waits for an answer.
    disable_dns_lookups: 'yes',
    smtp_host_lookup: 'native',
    smtpd_peername_lookup: 'no',
    default_transport: 'error:5.1.2 nothing leaves the lab',
    relay_transport: 'error:5.1.2 nothing leaves the lab',
    virtual_mailbox_domains: domains.join(' '),
    virtual_mailbox_base: folder + '/mail',
    virtual_mailbox_maps: 'texthash:' + folder + '/mailboxes',
    virtual_uid_maps: 'static:' + mailOwner.uid,
    virtual_gid_maps: 'static:' + mailOwner.gid,
    virtual_minimum_uid: String(mailOwner.uid),
    alias_maps: '',
    alias_database: '',
    message_size_limit: String(60 * 1024 * 1024),
    mailbox_size_limit: '0',
    virtual_mailbox_limit: '0',
    header_size_limit: String(16 * 1024 * 1024),
    smtputf8_enable: 'yes',
    // Also from loopback clients nothing is added or rewritten.
    local_header_rewrite_clients: '',
    // The mail of the domains is taken, everything else refused, also from clients that have logged in.
    smtpd_relay_restrictions: 'reject_unauth_destination',
    smtpd_recipient_restrictions: '',
    smtpd_client_connection_count_limit: '0',
    smtpd_client_connection_rate_limit: '0',
    smtpd_error_sleep_time: '0',
    smtpd_soft_error_limit: '1000',
    smtpd_hard_error_limit: '1000',
    in_flow_delay: '0',
    smtpd_tls_key_file: certificate.keyFile,
    smtpd_tls_cert_file: certificate.certFile,
    smtpd_tls_security_level: 'may',
    smtpd_tls_auth_only: 'yes',
    smtpd_sasl_type: 'dovecot',
    smtpd_sasl_path: 'inet:127.0.0.1:' + ports.auth,
    ...setup.main,
  };
  return Object.entries(parameters)
    .map(([name, value]) => name + ' = ' + value + '\n')
    .join('');
}

export function masterConfig(setup: PostfixSetup): string {
  const { ports } = setup;
  const submission = [
    '127.0.0.1:' + ports.submission + ' inet n - n - - smtpd',
    '  -o smtpd_sasl_auth_enable=yes',
    '  -o smtpd_client_restrictions=permit_sasl_authenticated,reject',
    '  -o syslog_name=submission',
  ];
  const lines = [
    '127.0.0.1:' + ports.smtp + ' inet n - n - - smtpd',
    ...(setup.role === 'relay' ? submission : []),
    'pickup unix n - n 60 1 pickup',
    'cleanup unix n - n - 0 cleanup',
    'qmgr unix n - n 300 1 qmgr',
    'tlsmgr unix - - n 1000? 1 tlsmgr',
    'rewrite unix - - n - - trivial-rewrite',
    'bounce unix - - n - 0 bounce',
    'defer unix - - n - 0 bounce',
    'trace unix - - n - 0 bounce',
    'verify unix - - n - 1 verify',
    'flush unix n - n 1000? 0 flush',
    'proxymap unix - - n - - proxymap',
    'smtp unix - - n - - smtp',
    'lmtp unix - - n - - lmtp',
    'showq unix n - n - - showq',
    'error unix - - n - - error',
    'retry unix - - n - - error',
    'virtual unix - n n - - virtual',
    'anvil unix - - n - 1 anvil',
    'postlog unix-dgram n - n - 1 postlogd',
  ];
  return lines.map((line) => line + '\n').join('');
}

/** One Maildir a domain: virtual(8) names the address in each mail, and takes no patterns for security's sake. */
export function mailboxTable(setup: PostfixSetup): string {
  const { mailboxes, domains } = setup;
  const keys = mailboxes ?? domains.map((domain) => '@' + domain);
  return keys.map((key) => key + ' ' + key.slice(key.lastIndexOf('@') + 1) + '/\n').join('');
}
