// The failures for which relays and their queues are known (the numbers are those of the list that the project began with; 40, 41
// and 44 are about packages and libraries that are not ours), each with the test that guards it. send-failures.test.ts sees that
// none is missing.

export type Failure = {
  readonly what: string;
  /** Below test/, without `.test.ts`. */
  readonly file: string;
  /** How the test's name begins. */
  readonly title: string;
};

const replies = 'agent/send/failures/replies';
const sessions = 'agent/send/failures/sessions';
const gate = 'agent/send/failures/gate';
const rows: readonly (readonly [number: string, what: string, file: string, title: string])[] = [
  [
    '1',
    "a bare line feed ends a mail, and what follows is a mail of the sender's choice",
    'agent/send/submission/listener',
    'end of data: ',
  ],
  [
    '2',
    'bare line ends go out, and strict servers refuse them',
    'agent/smtp/data',
    'dots are doubled and line ends kept',
  ],
  [
    '3',
    'a dot at the cut of two packets ends the mail',
    'agent/send/submission/listener',
    'a lone dot that is doubled survives',
  ],
  [
    '4',
    'what was said before STARTTLS counts after it',
    'agent/send/submission/listener',
    'what was said in clear behind STARTTLS',
  ],
  ['5', 'letters outside ASCII go to a server that takes none', gate, '5 and 8: '],
  ['6', '8-bit mail goes to a server that takes none', gate, '6: '],
  ['7', 'lines over 998 bytes are refused by the relay', 'agent/send/submission/long-lines', 'lines of every length'],
  ['8', 'a domain goes out in Unicode', gate, '5 and 8: '],
  ['9', 'a header that the provider never takes is tried for days', replies, '9: '],
  ['10', 'no answer after the dot, and the mail is sent again at once', sessions, '10: '],
  ['11', 'a line that breaks early is tried in a loop', sessions, '11: '],
  ['12', 'one session that hangs stops all mail', sessions, '12: '],
  ['13', 'a session that rested and was closed counts as a failure', sessions, '13: '],
  ['14', 'more sessions at once than the provider allows', replies, '14: '],
  ['15', 'too many connections', replies, '15: '],
  ['16', 'too many logins', replies, '16: '],
  ['17', 'sessions end without QUIT', sessions, '17: '],
  ['18', 'the answer to QUIT makes the client send again', replies, '18: '],
  ['19', 'one refused recipient keeps the mail from all', replies, '19: '],
  ['20', 'a limit passes for a mailbox that does not exist', replies, '20: '],
  ['21', 'a mail over SIZE is tried for days', replies, '21: '],
  ['22', 'AUTH is not offered, and the mail goes without', sessions, '22: '],
  ['23', 'STARTTLS is stripped, and the password goes in clear', sessions, '23: '],
  ['24', 'a wrong password bounces all mail, or locks the account', replies, '24: '],
  ['25', 'passwords are switched off at the provider, and all mail bounces', replies, '25: '],
  ['26', 'the login may not send as the sender', replies, '26: '],
  ['27', 'the provider writes another From', 'agent/send/submission/preflight', 'each rule finds'],
  ['29', 'the hourly limit of IONOS passes for a mailbox', replies, '29: '],
  ['30', 'the quota of T-Online bounces the mail', replies, '30: '],
  ['31', 'the daily cap of Exchange Online, and full Sent Items', replies, '31: '],
  ['32', 'the limits of Gmail', replies, '32: '],
  ['33', 'the reason stands in the last line, and the first is kept', replies, '33: '],
  ['35', 'greylisting bounces the mail', replies, '35: '],
  ['36', 'a full disk is told with 5xx', 'agent/send/submission/accept', 'the client sees the 452'],
  ['37', 'half a file is sent after a crash', 'agent/send/queue/recover', 'half a file in temp/'],
  ['39', 'an error is ignored, and the mail is lost', 'agent/send/submission/accept', 'accept() answers 452'],
  ['42', 'bounces go round until the disk is full', 'agent/send/failures/bounces', '42: '],
  [
    '43',
    'half a mail is kept when the client leaves',
    'agent/send/submission/accept',
    'accept() keeps nothing when the mail breaks off',
  ],
  ['45', 'Bcc is seen by all', 'agent/send/send.live', 'Bcc recipients get the mail'],
  ['47', 'one refused connection stops all mail for minutes', sessions, '47: '],
  ['48', 'a name that is not known counts against the mail', sessions, '48: '],
];

export const failures: ReadonlyMap<string, Failure> = new Map(
  rows.map(([number, what, file, title]) => [number, { what, file, title }]),
);
