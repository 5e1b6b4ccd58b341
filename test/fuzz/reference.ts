// A second reading of a POP3 session, from its whole transcript and in the plainest way: what did the server say to each
// command? The client under test is judged by it.

export type Answer = {
  readonly command: string;
  /** missing: the stream ended before its end. bad: neither +OK nor -ERR. */
  readonly status: 'ok' | 'err' | 'bad' | 'missing';
  /** Of a complete multi-line answer, unstuffed. */
  readonly data?: string;
};

const withData = /^(?:CAPA|UIDL|LIST|RETR \d+|TOP .*)$/;

/** The answers after the greeting, one for each command, up to the first one that ends all order. */
export function readTranscript(commands: readonly string[], stream: string): readonly Answer[] {
  const answers: Answer[] = [];
  let at = stream.indexOf('\r\n') + 2;
  if (at < 2 || !/^\+OK(?: |\r\n)/.test(stream)) return [];
  for (const command of commands) {
    const end = stream.indexOf('\r\n', at);
    if (end < 0) return [...answers, { command, status: 'missing' }];
    const line = stream.slice(at, end);
    at = end + 2;
    if (line === '-ERR' || line.startsWith('-ERR ')) {
      answers.push({ command, status: 'err' });
      continue;
    }
    if (line !== '+OK' && !line.startsWith('+OK ')) return [...answers, { command, status: 'bad' }];
    if (!withData.test(command)) {
      answers.push({ command, status: 'ok' });
      continue;
    }
    // The CRLF of the status line may be the one before the end line.
    const dot = stream.indexOf('\r\n.\r\n', at - 2);
    if (dot < 0) return [...answers, { command, status: 'missing' }];
    const data = ('\r\n' + stream.slice(at, dot + 2)).replaceAll('\r\n.', '\r\n').slice(2);
    answers.push({ command, status: 'ok', data: dot < at ? '' : data });
    at = dot + 5;
  }
  return answers;
}

/** All UIDLs that the last complete listing before `command` gave to this message number. */
export function uidlsOf(answers: readonly Answer[], number: string): readonly string[] {
  const listing = answers.findLast(({ command, data }) => command === 'UIDL' && data !== undefined)?.data ?? '';
  return listing
    .split('\r\n')
    .map((line) => /^(\d{1,9}) ([^]+)$/.exec(line))
    .flatMap((found) => (found !== null && Number(found[1]) === Number(number) ? [found[2] ?? ''] : []));
}
