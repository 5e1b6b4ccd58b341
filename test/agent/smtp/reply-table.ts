// What servers really said, and what it means: code and text as told in the source, addresses and hosts shortened.
// A row is: phase | verdict | scope | wait | session | rule | source | reply. `wait` is seconds, or until the next hour by a clock
// at 10:20:00, or - for the ordinary back-off; the rule is - where the code alone decides; ` / ` stands between lines of a reply.
import type { Phase } from '../../../agent/smtp/conversation-error.ts';
import type { Judgement, Scope } from '../../../agent/smtp/verdict.ts';

export type ReplyRow = {
  readonly phase: Phase;
  readonly verdict: Judgement['verdict'];
  readonly scope: Scope;
  readonly waitSeconds: number | undefined;
  readonly session: Judgement['session'];
  readonly rule: string;
  readonly source: string;
  readonly reply: string;
};

/** 40 minutes, and the margin. */
const untilTheHour = 2_490;

const rows = `
recipients | later | account | hour | keep | ionos-hour | ionos.ca/help, mass mailing limits | 450-Requested mail action not taken: mailbox unavailable / 450 Mail send limit exceeded.
after-dot | later | account | 3600 | keep | t-online-quota | edvservice.bayern, T-Online | 550 Send quota exceeded
after-dot | later | account | 3600 | keep | exchange-recipients-a-day | MicrosoftDocs/OfficeDocs-Support #1150 | 554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException
after-dot | hold | account | 3600 | keep | exchange-sent-items-full | learn.microsoft.com, smtp-submission-improvements | 554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException
recipients | later | account | 600 | keep | gmail-peak | support.google.com/a/answer/3726730 | 450 4.2.1 Peak SMTP relay limit exceeded for customer. This is a temporary error.
after-dot | later | account | 3600 | keep | limit-of-the-day | gen-smtp/gen_smtp #140 | 550 5.4.5 Daily user sending quota exceeded. o65sm25351206pga.71 - gsmtp
recipients | later | account | 3600 | keep | limit-of-the-day | support.google.com/a/answer/3726730 | 550-5.7.1 Daily SMTP relay sending limit exceeded for customer. / 550 5.7.1 For more information on SMTP relay sending limits
recipients | later | account | 3600 | keep | limit-of-the-day | nodemailer/nodemailer #1137 | 550 User me@example.org has exceeded its 24-hour sending limit. Messages to 25 recipients out of 25
data | later | account | 3600 | keep | limit-of-the-day | deltachat/deltachat-core #647 | 554 5.7.1 <DATA>: Data command rejected: limit of 400 rcpts per 24 hours for client deltachat@example.org reached
data | later | account | 3600 | keep | limit-of-the-day | root-io/vmail #67 | 550 5.7.1 <DATA>: Data command rejected: only 10 messages per day
recipients | later | account | hour | keep | limit-of-the-hour | gn2-hosting.de, sending limit | 550 Limit of 250 mails per hour exceeded, please try again in 60min. or contact your support
after-dot | later | account | hour | keep | limit-of-the-hour | gophish/gophish #3231 | 550 send spam mail rejected: exceeded hour limit
after-dot | later | account | hour | keep | limit-of-the-hour | rubymonsters/speakerinnen_liste #1357 | 450 4.7.1 <END-OF-MESSAGE>: End-of-data rejected: Number messages per hour exceeded. Error:RATE_MSG
after-dot | later | account | hour | keep | limit-of-the-hour | adeska.de, knowledge base 133 | 550 Domain example.org has exceeded the max defers and failures per hour (5/5 (38%)) allowed. Message discarded.
recipients | later | account | 3600 | keep | limit-of-sending | support.startmail.com, sending limit | 550 5.7.1 Your mail limit has been reached.
recipients | later | account | 3600 | keep | limit-of-sending | aditsystems.de, message count quota | 452 message count quota exceeded
after-dot | later | account | 3600 | keep | limit-of-sending | WWBN/AVideo #7527 | 552 Message would take you over your relay quota of 500. Current quota used: 487
recipients | later | account | 3600 | keep | limit-of-sending | help.wpspace.de, Postausgangskontrolle | 550 5.7.1 Your message could not be sent. The limit on the number of allowed outgoing messages was exceeded.
recipients | later | account | 3600 | keep | limit-of-sending | go-gomail/gomail #174 | 554 5.7.1 <me@example.org>: Recipient address rejected: Email Sending Quota Exceeded
mail | later | account | 300 | keep | too-fast | comservice-ffo.de, SMTP-Fehlermeldungen | 421 Rate limit reached. Please try again later
after-dot | later | account | 300 | keep | too-fast | nodemailer/nodemailer #436 | 454 Throttling failure: Maximum sending rate exceeded.
recipients | later | account | 1800 | keep | gmx-try-again | nodemailer/nodemailer #1555; jstedfast/MailKit #968 | 550-Requested action not taken: mailbox unavailable / 550 Failure sending mail. Try again later
recipients | hold | account | 3600 | keep | account-locked-for-abuse | MicrosoftDocs/OfficeDocs-o365seccomp #643 | 550 5.1.8 Access denied, bad outbound sender
recipients | hold | account | 3600 | keep | account-locked-for-abuse | dougperkes/Visual-Graph-Explorer #1 | 550 5.7.501 Access denied, spam abuse detected. For more information please go to http://go.microsoft.com/fwlink/?LinkId=526653
recipients | hold | account | 3600 | keep | account-locked-for-abuse | motze92/office365-mail #11 | 550 5.7.708 Service unavailable. Access denied, traffic not accepted from this IP.
after-dot | hold | account | 3600 | keep | account-unusual-activity | help.zoho.com, SMTP error 550 5.4.6 | 550 5.4.6 Unusual sending activity detected. Please try after sometime
after-dot | hold | account | 3600 | keep | account-unusual-activity | nodemailer/nodemailer #1486 | 554 5.2.0 STOREDRV.Submission.Exception:OutboundSpamException; Failed to process message
mail | later | relay | 5 | renew | ionos-mails-a-session | terminal42/contao-notification_center #226 | 451-Requested action aborted / 451 Mails per session limit exceeded
auth | hold | relay | 1800 | keep | exchange-basic-auth-off | techcommunity.microsoft.com, 4114750 | 550 5.7.30 Basic authentication is not supported for Client Submission.
after-dot | hold | relay | 1800 | keep | exchange-basic-auth-off | captaindns.com, 2026-02-20 | 550 5.7.30 Basic authentication is not supported for Client Submission.
auth | hold | relay | 1800 | keep | exchange-smtp-auth-disabled | gophish/gophish #3220 | 535 5.7.139 Authentication unsuccessful, the request did not meet the criteria to be authenticated successfully.
auth | hold | relay | 1800 | keep | gmail-app-password | support.google.com/a/answer/3726730 | 534-5.7.9 Application-specific password required. / 534 5.7.9 https://support.google.com/mail/?p=InvalidSecondFactor
auth | hold | relay | - | keep | wrong-password | support.google.com/a/answer/3726730 | 535-5.7.8 Username and Password not accepted. For more information, go to / 535 5.7.8 https://support.google.com/mail/?p=BadCredentials
auth | hold | relay | - | keep | wrong-password | ionos.de/hilfe, Fehlermeldungen bei unzustellbarer E-Mail | 535 Authentication failure: SMTP AUTH failed with the remote server
auth | later | relay | 1800 | fewer | too-many-logins | neilmunday/slurm-mail #41 | 454 4.7.0 Too many login attempts, please try again later. gsmtp
after-dot | later | relay | 60 | fewer | exchange-concurrent | sabuhish/fastapi-mail #75; nodemailer/nodemailer #1613 | 432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending for more information.
after-dot | later | relay | 60 | fewer | exchange-concurrent | MicrosoftDocs/OfficeDocs-Support #1991 | 432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded
greeting | later | relay | 60 | fewer | too-many-sessions | bytecamp.net/de/faq | 421 4.7.0 Error: too many connections from 192.0.2.1
greeting | later | relay | 60 | fewer | too-many-sessions | nodemailer/nodemailer #699 | 421 Too many connection
mail | later | relay | - | keep | - | support.google.com/a/answer/3726730 | 421 4.3.0 Temporary System Problem. Try again later.
hello | later | relay | - | keep | - | support.google.com/a/answer/3726730 | 421 4.7.0 Try again later, closing connection.
greeting | hold | relay | 1800 | keep | our-address-blocked | postmaster.gmx.com/en/error-messages | 554-gmx.net (mxgmx104) Nemesis ESMTP Service not available / 554-No SMTP service / 554-IP address is block listed. / 554 For explanation visit https://postmaster.gmx.net/en/case?c=r0201
recipients | hold | relay | 1800 | keep | our-address-blocked | mailcow/mailcow #241 | 550 5.7.1 Service unavailable; client [192.0.2.1] blocked using dnsbl.sorbs.net
recipients | hold | relay | 1800 | keep | our-address-blocked | JamBrain/JamBrain #271 | 550 5.7.606 Access denied, banned sending IP [192.0.2.1]. To request removal from this list please visit https://sender.office.com/
mail | later | relay | - | keep | - | support.google.com/a/answer/3726730 | 530 5.7.0 Authentication Required.
mail | later | relay | - | keep | - | sourcegraph-public-snapshot #54195 | 425 4.3.2 Insufficient system storage
after-dot | refused | message | - | keep | sender-not-ours | gophish/gophish #1600; swiftmailer/swiftmailer #1030 | 550 5.7.60 SMTP; Client does not have permissions to send as this sender
after-dot | refused | message | - | keep | sender-not-ours | gophish/gophish #2900 | 554 5.2.252 SendAsDenied; me@example.org not allowed to send as security@example.net; STOREDRV.Submission.Exception:SendAsDeniedException
recipients | refused | message | - | keep | sender-not-ours | mailcow/mailcow-dockerized #683 | 553 5.7.1 <user1@example.org>: Sender address rejected: not owned by user user2@example.org
mail | refused | message | - | keep | sender-not-ours | splitbrain/dokuwiki-plugin-smtp #38 (Yandex) | 553 5.7.1 Sender address rejected: not owned by auth user.
mail | refused | message | - | keep | sender-not-ours | loganmarchione/docker-postfixrelay #46 | 550-Requested action not taken: mailbox unavailable / 550 Sender address is not allowed.
after-dot | refused | message | - | keep | sender-not-ours | jstedfast/MailKit #1101 | 550 5.1.0 Sender is not allowed to send from gmail.com (R2)
recipients | refused | message | - | keep | sender-domain-unknown | onesystems.ch, Fehlermeldungen | 550 5.1.8 <me@example.invalid>: Sender address rejected: Domain not found
after-dot | refused | message | - | keep | header-policy | homematic-community/hm_email #13 (IONOS) | 554-Transaction failed / 554-Reject due to policy restrictions. / 554 For explanation visit https://postmaster.1und1.de/de/case?c=hi
after-dot | refused | message | - | keep | header-policy | zammad/zammad #4630 (WEB.DE) | 554-Transaction failed / 554-Reject due to policy restrictions. / 554 For explanation visit https://postmaster.web.de/en/case?c=hi
after-dot | refused | message | - | keep | header-policy | authelia/authelia #2571 (GMX) | 554-Transaction failed / 554-Reject due to policy restrictions. / 554 For explanation visit https://postmaster.gmx.net/en/error-messages?c=hi
after-dot | refused | message | - | keep | header-policy | MicrosoftDocs/OfficeDocs-Exchange #1230 | 550 5.7.512 Access denied, message must be RFC 5322 section 3.6.2 compliant
after-dot | refused | message | - | keep | too-big | support.google.com/a/answer/3726730 | 552-5.2.3 Your message exceeded Google's message size limits. / 552 5.2.3 Please visit https://support.google.com/mail/?p=MaxSizeError
mail | refused | message | - | keep | too-big | RFC 1870 section 6.1 | 552 5.3.4 Message size exceeds fixed limit
after-dot | refused | message | - | keep | too-big | muquit/mailsend #164 | 552 Message size exceeds maximum value
after-dot | refused | message | - | keep | line-too-long | jens-maus/yam #673 (IONOS) | 501 Syntax error - line too long
after-dot | refused | message | - | keep | line-too-long | jens-maus/yam #673 (T-Online) | 500 5.6.1 Line too long. / Zeile zu lang.
after-dot | refused | message | - | keep | line-too-long | diladele/websafety #2319 | 500 5.0.0 Line too long
after-dot | refused | message | - | keep | line-too-long | digitalfox/pydici #96 | 550 maximum allowed line length is 998 octets, got 1283
after-dot | refused | message | - | keep | line-too-long | zou-yu/worker-mailer #23 | 550 MIME boundary length exceeded (see RFC 2046).
after-dot | refused | message | - | keep | dangerous-content | gophish/gophish #2921 | 552-5.7.0 This message was blocked because its content presents a potential / 552-5.7.0 security issue. Please visit / 552 5.7.0 https://support.google.com/mail/?p=BlockedMessage
after-dot | refused | message | - | keep | dangerous-content | kgretzky/evilginx2 #480 | 552 Message rejected for spam or virus content
after-dot | refused | message | - | keep | not-authenticated | hmailserver/hmailserver #491 | 550-5.7.26 Your email has been blocked because the sender is unauthenticated. / 550-5.7.26 Gmail requires all senders to authenticate with either SPF or DKIM.
after-dot | refused | message | - | keep | taken-for-spam | root-io/vmail #89 | 550-5.7.1 [192.0.2.1      12] Our system has detected that this message is / 550-5.7.1 likely unsolicited mail. To reduce the amount of spam sent to Gmail, / 550 5.7.1 this message has been blocked.
after-dot | refused | message | - | keep | taken-for-spam | strato.de/faq, Fehlermeldungen bei E-Mails | 550 5.7.1 Refused by local policy. No SPAM please!
after-dot | refused | message | - | keep | taken-for-spam | jeremydumais/CPP-SMTPClient-library #46 | 550 5.7.1 [CS] Message blocked.
after-dot | refused | message | - | keep | taken-for-spam | bytecamp.net/de/faq | 571 5.7.1 message classified as spam
after-dot | refused | message | - | keep | mail-loop | learn.microsoft.com, non-delivery reports in Exchange Online | 554 5.4.14 Hop count exceeded - possible mail loop
after-dot | later | message | - | keep | - | support.google.com/a/answer/3726730 | 451 4.3.0 Mail server temporarily rejected message.
after-dot | later | message | - | keep | - | comservice-ffo.de, SMTP-Fehlermeldungen | 451 Requested action aborted: local error in processing
mail | later | message | - | keep | - | muquit/mailsend #15 | 452 4.3.1 Insufficient system storage
after-dot | later | message | - | keep | - | OpenSMTPD/OpenSMTPD #1144 | 503 5.5.1 bad sequence of commands
after-dot | refused | message | - | keep | - | RFC 5321 section 4.2.1: an unknown 5xx | 550 5.0.0 something new
after-dot | later | message | - | keep | - | RFC 5321 section 4.2.1: an unknown 4xx | 455 something new
after-dot | later | message | - | keep | - | Mailu/Mailu #1742; vstakhov/rmilter #88 | 451 4.7.1 Try again later
recipients | refused | recipient | - | keep | recipient-unknown | goneo.de/hilfe, Fehlermeldungen | 550 <no@example.org>: Recipient address rejected: User unknown
recipients | refused | recipient | - | keep | recipient-unknown | ionos.de/hilfe, Fehlermeldungen bei unzustellbarer E-Mail | 550 Requested action not taken: mailbox unavailable
recipients | refused | recipient | - | keep | recipient-unknown | strato.de/faq #2420 | 550 sorry, no mailbox here by that name
recipients | refused | recipient | - | keep | recipient-unknown | support.google.com/a/answer/3726730 | 550-5.1.1 The email account that you tried to reach does not exist. Please try / 550-5.1.1 double-checking the recipient's email address for typos
recipients | refused | recipient | - | keep | recipient-unknown | support.google.com/a/answer/3726730 | 550 5.2.1 The email account that you tried to reach is disabled.
recipients | refused | recipient | - | keep | - | zone-eu/zone-mta #214 | 550 5.4.1 Recipient address rejected: Access denied. AS(201806281)
recipients | refused | recipient | - | keep | - | support.google.com/a/answer/3726730 | 553 5.1.2 We weren't able to find the recipient domain.
recipients | later | recipient | 300 | keep | greylisted | bytecamp.net/de/faq | 450 4.2.0 <a@example.org>: Recipient address rejected: Greylisted
recipients | later | recipient | 300 | keep | greylisted | linagora/james-project #4478 | 451 4.7.1 Greylisting in action, please come back in 00:05:00
recipients | later | recipient | 900 | keep | recipient-busy | zone-eu/zone-mta #110 | 450-4.2.1 The user you are trying to contact is receiving mail at a rate that / 450-4.2.1 prevents additional messages from being delivered.
recipients | later | recipient | 900 | keep | recipient-busy | learn.microsoft.com, non-delivery reports in Exchange Online | 432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded
recipients | later | recipient | 3600 | keep | mailbox-full | docker-mailserver/docker-mailserver #1508 | 552 5.2.2 <user@example.org> Quota exceeded (mailbox for user is full)
recipients | later | recipient | 3600 | keep | mailbox-full | support.google.com/a/answer/3726730 | 452-4.2.2 The email account that you tried to reach is over quota. / 452 4.2.2 Please direct the recipient to https://support.google.com/mail/?p=OverQuotaTemp
recipients | later | recipient | 3600 | keep | mailbox-full | ionos.de/hilfe, Fehlermeldungen bei unzustellbarer E-Mail | 550 Quota Exceeded
recipients | later | recipient | 3600 | keep | mailbox-full | RFC 5321 section 4.2.3 | 552 Requested mail action aborted: exceeded storage allocation
recipients | later | recipient | 3600 | keep | mailbox-full | voku/PHPMailer-BMH #23 | 550 5.2.5 Folder full
recipients | later | recipient | 3600 | keep | mailbox-full | bytecamp.net/de/faq | 422 4.2.2 Quota limit exceeded
recipients | later | recipient | - | keep | - | RFC 5321 section 4.2.3, 552 without words | 552 5.2.2 over limit
recipients | later | recipient | 30 | keep | too-many-recipients | support.google.com/a/answer/3726730 | 452 4.5.3 Your message has too many recipients.
recipients | later | recipient | 900 | keep | relay-denied | onesystems.ch, Fehlermeldungen | 554 5.7.1 <a@example.org>: Relay access denied
recipients | refused | message | - | keep | sender-listed | mailserver2/mailserver #90 | 554 5.7.1 Service unavailable; Sender address [user@example.org] blocked using dbl.spamhaus.org; Error: open resolver
recipients | hold | relay | 1800 | keep | our-address-blocked | anonaddy/anonaddy #533 | 554 5.7.1 Service unavailable; Helo command [nas.example.org] blocked using dbl.spamhaus.org
greeting | hold | relay | 1800 | keep | our-address-blocked | timmehosting.de, T-Online | 554 IP=192.0.2.1 - None/bad reputation. Ask your postmaster for help or to contact <postmaster@example.org> for reset. (NOWL)
recipients | hold | relay | 1800 | keep | our-address-blocked | Mailu/Mailu #3013 | 451 4.7.651 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation.
recipients | later | account | 300 | keep | too-fast | knadh/listmonk #1300 | 450 Too many recipient attempts
recipients | later | account | 300 | keep | too-fast | Purelymail/purelymail-issues #262 | 450 4.3.2 Please wait to send more emails, or contact support for a rate limit increase
mail | later | relay | 60 | fewer | too-many-sessions | sisimai/p5-sisimai #466 | 452 4.3.2 Connection rate limit exceeded.
recipients | later | recipient | - | keep | - | jstedfast/MailKit #1502 | 451 4.7.500 Access denied, please try again later.
after-dot | later | message | - | keep | - | gophish/gophish #521 | 422 try again in 15 seconds
`;

function readRow(line: string): ReplyRow {
  const [phase = '', verdict = '', scope = '', wait = '', session = '', rule = '', source = '', reply = ''] =
    line.split(' | ');
  return {
    phase: phase as Phase, // the words of the rows above; a wrong one fails its test
    verdict: verdict as Judgement['verdict'],
    scope: scope as Scope,
    waitSeconds: wait === '-' ? undefined : wait === 'hour' ? untilTheHour : Number(wait),
    session: session as Judgement['session'],
    rule: rule === '-' ? '' : rule,
    source,
    reply,
  };
}

export const replyTable: readonly ReplyRow[] = rows.trim().split('\n').map(readRow);
