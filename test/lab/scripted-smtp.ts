// An SMTP or LMTP server (RFC 5321, 2033, 3207, 4954) whose good behaviour can be replaced step by step.
import { sentBytes, startLineServer } from './line-server.ts';
import type { Action, Connection, LineServer } from './line-server.ts';

export type SmtpStep = {
  /** `connect` before the greeting; `body` after the final dot; else the command in upper case (`AUTH` once, at its end). */
  readonly verb: string;
  /** What stands after the command: `FROM:<a@example.org> SIZE=3`. For `body` of LMTP: the recipient. */
  readonly argument: string;
  readonly connection: number;
  readonly secure: boolean;
  /** How often this verb was seen before, over all connections. */
  readonly before: number;
  readonly from: string;
  readonly recipients: readonly string[];
  /** What a good server would say. */
  readonly good: string;
};

export type TakenMail = {
  readonly from: string;
  readonly recipients: readonly string[];
  /** As it came, leading dots undoubled, without the end line. */
  readonly bytes: Buffer;
  readonly connection: number;
};

export type ScriptedSmtp = LineServer & {
  /** Mails whose final dot was answered 2xx, to at least one recipient. */
  readonly mails: readonly TakenMail[];
  /** Every command line in order, over all connections; what follows AUTH is left out. */
  readonly commands: readonly string[];
};

export type ScriptedSmtpOptions = {
  readonly protocol?: 'smtp' | 'lmtp';
  readonly port?: number;
  /** When given, AUTH PLAIN and LOGIN are offered, and XOAUTH2 when there is a token; MAIL is refused without. */
  readonly login?: { readonly user: string; readonly password: string; readonly token?: string };
  /** Offers STARTTLS. */
  readonly tls?: { readonly key: string; readonly cert: string };
  readonly capabilities?: readonly string[];
  /** Undefined: behave well. For `DATA` and `body` the first digit of the text decides whether the mail goes on or counts. */
  readonly script?: (step: SmtpStep) => Action | undefined;
};

type Session = { from: string | undefined; recipients: string[]; open: boolean };

export async function startScriptedSmtp(options: ScriptedSmtpOptions): Promise<ScriptedSmtp> {
  const mails: TakenMail[] = [];
  const commands: string[] = [];
  const seen = new Map<string, number>();

  /** Undefined when the connection is over, else the first digit of what was said. */
  async function step(
    connection: Connection,
    session: Session,
    verb: string,
    argument: string,
    good: string,
  ): Promise<string | undefined> {
    const before = seen.get(verb) ?? 0;
    seen.set(verb, before + 1);
    const { from = '', recipients } = session;
    const facts = {
      verb,
      argument,
      connection: connection.serial,
      secure: connection.secure(),
      before,
      from,
      recipients,
      good,
    };
    const action = options.script?.(facts) ?? good;
    return (await connection.act(action)) ? sentBytes(action).toString('latin1', 0, 1) : undefined;
  }

  async function takeBody(connection: Connection, session: Session): Promise<boolean> {
    const stuffed = await connection.data();
    if (stuffed === undefined) return false;
    const { from = '', recipients } = session;
    const taken: string[] = [];
    // LMTP answers once for each recipient (RFC 2033 section 4.2), SMTP once for all.
    for (const recipient of options.protocol === 'lmtp' ? recipients : ['']) {
      const digit = await step(connection, session, 'body', recipient, '250 2.0.0 taken\r\n');
      if (digit === undefined) return false;
      if (digit === '2') taken.push(...(recipient === '' ? recipients : [recipient]));
    }
    if (taken.length > 0) {
      mails.push({ from, recipients: taken, bytes: unstuffed(stuffed), connection: connection.serial });
    }
    session.from = undefined;
    session.recipients = [];
    return true;
  }

  async function serve(connection: Connection): Promise<void> {
    const session: Session = { from: undefined, recipients: [], open: options.login === undefined };
    if ((await step(connection, session, 'connect', '', '220 scripted ready\r\n')) === undefined) return;
    for (let line = await connection.line(); line !== undefined; line = await connection.line()) {
      const [, word = '', argument = ''] = /^(\S*) ?(.*)$/s.exec(line) ?? [];
      const verb = word.toUpperCase();
      commands.push(verb === 'AUTH' ? 'AUTH ' + (argument.split(' ')[0] ?? '') : line);
      const good =
        verb === 'AUTH'
          ? await authenticate(connection, session, options, argument)
          : answer({ options, session, verb, argument, secure: connection.secure() });
      const digit = await step(connection, session, verb, argument, good);
      if (digit === undefined || verb === 'QUIT') return;
      apply(session, verb, argument, digit);
      if (verb === 'STARTTLS' && digit === '2' && options.tls !== undefined) {
        await connection.startTls(options.tls);
        Object.assign(session, { from: undefined, recipients: [], open: options.login === undefined });
      }
      if (verb === 'DATA' && digit === '3' && !(await takeBody(connection, session))) return;
    }
  }

  const server = await startLineServer({ serve, ...(options.port === undefined ? {} : { port: options.port }) });
  return { ...server, mails, commands };
}

function answer(request: {
  readonly options: ScriptedSmtpOptions;
  readonly session: Session;
  readonly verb: string;
  readonly argument: string;
  readonly secure: boolean;
}): string {
  const { options, session, verb, secure } = request;
  switch (verb) {
    case 'HELO':
      return options.protocol === 'lmtp' ? '500 5.5.1 LHLO here\r\n' : '250 scripted\r\n';
    case 'EHLO':
    case 'LHLO': {
      if ((verb === 'LHLO') !== (options.protocol === 'lmtp')) return '500 5.5.1 the other protocol\r\n';
      const basic = options.capabilities ?? [
        'PIPELINING',
        'SIZE 104857600',
        '8BITMIME',
        'ENHANCEDSTATUSCODES',
        'SMTPUTF8',
      ];
      const more = [
        ...(options.tls !== undefined && !secure ? ['STARTTLS'] : []),
        ...(options.login === undefined
          ? []
          : ['AUTH PLAIN LOGIN' + (options.login.token === undefined ? '' : ' XOAUTH2')]),
      ];
      const all = ['scripted', ...basic, ...more];
      return all.map((text, index) => '250' + (index === all.length - 1 ? ' ' : '-') + text + '\r\n').join('');
    }
    case 'STARTTLS':
      return options.tls === undefined || secure ? '502 5.5.1 no TLS here\r\n' : '220 2.0.0 begin TLS\r\n';
    case 'MAIL':
      if (!session.open) return '530 5.7.0 log in first\r\n';
      return session.from === undefined ? '250 2.1.0 sender taken\r\n' : '503 5.5.1 nested MAIL\r\n';
    case 'RCPT':
      return session.from === undefined ? '503 5.5.1 MAIL first\r\n' : '250 2.1.5 recipient taken\r\n';
    case 'DATA':
      return session.recipients.length === 0 ? '503 5.5.1 RCPT first\r\n' : '354 go on\r\n';
    case 'RSET':
    case 'NOOP':
      return '250 2.0.0 well\r\n';
    case 'QUIT':
      return '221 2.0.0 bye\r\n';
    default:
      return '500 5.5.1 unknown command\r\n';
  }
}

/** Changes the session the way the client must believe it changed, whatever a script made of the answer. */
function apply(session: Session, verb: string, argument: string, digit: string): void {
  const address = /<([^>]*)>/.exec(argument)?.[1] ?? '';
  if (verb === 'MAIL' && digit === '2') session.from = Buffer.from(address, 'latin1').toString('utf8');
  if (verb === 'RCPT' && digit === '2') session.recipients.push(Buffer.from(address, 'latin1').toString('utf8'));
  if (verb === 'RSET' || verb === 'EHLO' || verb === 'LHLO') {
    session.from = undefined;
    session.recipients = [];
  }
}

async function authenticate(
  connection: Connection,
  session: Session,
  options: ScriptedSmtpOptions,
  argument: string,
): Promise<string> {
  const { login } = options;
  if (login === undefined) return '502 5.5.1 no AUTH here\r\n';
  const [mechanism = '', initial] = argument.split(' ');
  const ask = async (prompt: string): Promise<string> => {
    await connection.act('334 ' + prompt + '\r\n');
    return (await connection.line()) ?? '';
  };
  const decode = (text: string): string => Buffer.from(text, 'base64').toString('utf8');
  let given: readonly string[] = [];
  if (mechanism.toUpperCase() === 'PLAIN')
    given = decode(initial ?? (await ask('')))
      .split('\0')
      .slice(1);
  else if (mechanism.toUpperCase() === 'LOGIN') {
    given = [decode(initial ?? (await ask('VXNlcm5hbWU6'))), decode(await ask('UGFzc3dvcmQ6'))];
  } else if (mechanism.toUpperCase() === 'XOAUTH2' && login.token !== undefined) {
    const [, user, token] =
      /^user=([^\u0001]*)\u0001auth=Bearer ([^\u0001]*)\u0001\u0001$/.exec(decode(initial ?? (await ask('')))) ?? [];
    session.open = user === login.user && token === login.token;
    if (session.open) return '235 2.7.0 welcome\r\n';
    await ask(Buffer.from('{"status":"401","schemes":"bearer"}').toString('base64'));
    return '535 5.7.8 wrong token\r\n';
  } else return '504 5.5.4 unknown mechanism\r\n';
  session.open = given[0] === login.user && given[1] === login.password;
  return session.open ? '235 2.7.0 welcome\r\n' : '535 5.7.8 wrong user or password\r\n';
}

/** Takes off the end line and the doubled dots (RFC 5321 section 4.5.2). */
function unstuffed(stuffed: Buffer): Buffer {
  const text = '\r\n' + stuffed.subarray(0, -3).toString('latin1');
  return Buffer.from(text.replaceAll('\r\n..', '\r\n.').slice(2), 'latin1');
}
