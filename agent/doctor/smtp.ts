// One login at a relay, and one look at the local server with every address that would be handed to it. Sends no mail.
import type { Clock } from '#shared/clock.ts';
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import { LoginError } from '../accounts/login-error.ts';
import type { LoginSecret } from '../accounts/secret.ts';
import { ConnectError } from '../net/socket.ts';
import type { Endpoint } from '../net/socket.ts';
import { ChannelError } from '../smtp/channel.ts';
import type { Channel } from '../smtp/channel.ts';
import { ConversationError, openConversation, showReply } from '../smtp/conversation.ts';
import { greet } from '../smtp/hello.ts';
import { askFor, conversationError, isDone } from '../smtp/session.ts';
import type { ConversationOptions, Progress } from '../smtp/session.ts';
import { trialOfConnect } from './connect.ts';
import { doubtful, well, wrong } from './finding.ts';
import type { Trial } from './finding.ts';

type Common = {
  readonly endpoint: Endpoint;
  /** Our name in EHLO or LHLO. */
  readonly name: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly timeoutMs?: number;
};
export type RelayTrial = Common & {
  readonly user: string;
  readonly auth: 'auto' | 'plain' | 'login' | 'xoauth2' | 'none';
  /** Throws LoginError when there is nothing to log in with. */
  readonly secret: (signal: AbortSignal) => Promise<LoginSecret>;
};
export type LocalTrial = Common & { readonly protocol: 'smtp' | 'lmtp'; readonly recipients: readonly string[] };

const relay = { server: 'an SMTP server', ports: '587 with tls: starttls, 465 with tls: implicit' };
const local = { server: 'the local mail server', ports: '25 for SMTP; LMTP has no standard one' };

const limitsOf = ({ timeoutMs = 20_000 }: Common) => ({
  connectMs: timeoutMs,
  greetingMs: timeoutMs,
  commandMs: timeoutMs,
});

export async function tryRelay(options: RelayTrial): Promise<Trial> {
  const { endpoint, user, auth, name, clock, log, signal } = options;
  const place = endpoint.host + ':' + endpoint.port;
  try {
    const secret = auth === 'none' ? undefined : await options.secret(signal);
    const login = secret && {
      user,
      ...(auth === 'none' ? {} : { auth }),
      ...(secret.kind === 'token' ? { token: secret.token } : { password: secret.password }),
    };
    const timeouts = limitsOf(options);
    const conversation = await openConversation({
      endpoint,
      protocol: 'smtp',
      name,
      ...(login && { login }),
      clock,
      log,
      signal,
      timeouts,
    });
    await conversation.quit();
    return well((login ? 'logged in at ' : 'greeted by ') + place);
  } catch (error) {
    if (error instanceof LoginError)
      return wrong({
        option: ['oauth'],
        found: error.message,
        expected: 'an access token',
        remedy: error.refused ? 'log in again: mailferry login ID' : 'check the line, then try again',
      });
    return trialOf(error, endpoint, relay);
  }
}

/** The first is about the server itself; then one for each recipient that is not taken, when there are any. */
export async function tryLocal(options: LocalTrial): Promise<{
  readonly server: Trial;
  readonly recipients: readonly { readonly address: string; readonly trial: Trial }[];
}> {
  const { endpoint, recipients } = options;
  const progress: Progress = { phase: 'connect', answered: () => [] };
  let channel: Channel | undefined;
  const asked: ConversationOptions = { ...options, timeouts: limitsOf(options) };
  try {
    const session = await greet(asked, progress, (next) => (channel = next));
    const ask = (command: string) => askFor(session.channel, command, session.timeouts.commandMs);
    progress.phase = 'mail';
    // With the empty sender, as reports have it: a server that wants a login says so here.
    const mail = await ask('MAIL FROM:<>');
    if (!isDone(mail)) {
      const answer = showReply(mail);
      const expected = 'mail to be taken from this machine without a login';
      const remedy =
        'allow local delivery without authentication (MailPlus: "Skip authentication for local network connections"; Mail Server: "Ignore authorization for LAN connections")';
      return {
        server: wrong({ option: ['port'], found: 'it refuses mail from here: ' + answer, expected, remedy }),
        recipients: [],
      };
    }
    progress.phase = 'recipients';
    const trials: { readonly address: string; readonly trial: Trial }[] = [];
    for (const address of recipients) {
      const reply = await ask('RCPT TO:<' + address + '>');
      if (!isDone(reply)) trials.push({ address, trial: trialOfRecipient(address, reply.code, showReply(reply)) });
    }
    await ask('RSET');
    await ask('QUIT').catch(() => {});
    const taken = recipients.length - trials.length;
    const server = well(
      'answers at ' +
        endpoint.host +
        ':' +
        endpoint.port +
        ', takes ' +
        taken +
        ' of ' +
        recipients.length +
        ' recipients',
    );
    return { server, recipients: trials };
  } catch (error) {
    return { server: trialOfLocal(conversationError(error, endpoint, progress), endpoint), recipients: [] };
  } finally {
    channel?.fail(new ChannelError('the look is over', 'closed'));
  }
}

function trialOfRecipient(address: string, code: number, answer: string): Trial {
  const found = 'the local server answers ' + answer + ' for ' + address;
  if (code < 500)
    return doubtful({
      found,
      expected: 'it to be taken',
      remedy: 'look again in some minutes; if it stays, see the log of the local server',
    });
  return wrong({
    found,
    expected: 'a mailbox or alias of the local server',
    remedy: 'make that mailbox or alias at the local server, or correct the address',
  });
}

/** What the NAS does to an address with too many wrong passwords looks like this: taken, and closed before a word. */
function trialOfLocal(error: unknown, endpoint: Endpoint): Trial {
  const own = /^(?:127\.|::1$|localhost$)/.test(endpoint.host);
  const cut = error instanceof ConversationError && error.phase === 'greeting' && error.reply === undefined;
  if (!own || !cut) return trialOf(error, endpoint, local);
  return wrong({
    option: ['port'],
    found: 'the local server takes the connection and closes it before its greeting',
    expected: 'a greeting (220)',
    remedy:
      'DSM may have blocked 127.0.0.1 after wrong passwords: Control Panel > Security > Protection (Auto Block) > Allow/Block List; else see the log of the mail server',
  });
}

function trialOf(error: unknown, endpoint: Endpoint, sought: typeof relay): Trial {
  if (!(error instanceof ConversationError))
    return wrong({ found: describe(error), expected: sought.server, remedy: 'check the options' });
  if (error.cause instanceof ConnectError) return trialOfConnect(error.cause, endpoint, sought);
  const answer = error.reply === undefined ? error.message : 'the server answered ' + showReply(error.reply);
  switch (error.phase) {
    case 'auth':
      return error.reply === undefined
        ? wrong({
            option: ['auth'],
            found: error.message,
            expected: 'a login that the server offers',
            remedy: 'check port and tls: many servers offer a login only under TLS; auth: none when it asks for none',
          })
        : wrong({
            option: ['password'],
            found: 'the login was refused: ' + answer,
            expected: 'the login to be accepted',
            remedy: "check user and password, and that sending by programs is allowed in the provider's settings",
          });
    case 'tls':
      return wrong({
        option: ['tls'],
        found: answer,
        expected: 'STARTTLS',
        remedy: 'take port 465 with tls: implicit, or tls: none when the server is this machine',
      });
    default:
      return wrong({
        option: ['port'],
        found: answer,
        expected: 'the greeting of ' + sought.server,
        remedy: 'check host and port (' + sought.ports + ') and tls',
      });
  }
}
