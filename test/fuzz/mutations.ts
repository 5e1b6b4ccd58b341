// What real POP3 servers, lines and memory errors do to a valid answer. Each kind knows the grammar of the answer that it
// breaks: status word, line ends, entries of a listing, the end line, the stuffed dots.
export type Reply = {
  readonly verb: string;
  /** latin1: a character a byte. */
  readonly text: string;
  readonly end?: 'close' | 'reset' | 'hang';
  /** Kept back and sent in front of the next answer. */
  readonly later?: boolean;
};
export type Random = () => number;
export type Kind = {
  readonly name: string;
  /**
   * A client can see that something is wrong before it matters, so no mail may be lost. The others are lies that are valid
   * POP3: another size, another number, another text.
   */
  readonly visible: boolean;
  readonly apply: (reply: Reply, random: Random) => Reply;
};

export const below = (random: Random, limit: number): number => Math.floor(random() * limit);
export function pick<T>(random: Random, from: readonly [T, ...T[]]): T {
  return from[below(random, from.length)] ?? from[0];
}

const text =
  (change: (text: string, random: Random) => string): Kind['apply'] =>
  (reply, random) => ({ ...reply, text: change(reply.text, random) });
const cut =
  (end: 'close' | 'reset' | 'hang'): Kind['apply'] =>
  (reply, random) => ({ ...reply, text: reply.text.slice(0, below(random, reply.text.length + 1)), end });

const isData = (reply: string): boolean => reply.endsWith('\r\n.\r\n');
/** Without the CRLF that ends the last line. */
const linesOf = (reply: string): string[] => reply.split('\r\n').slice(0, -1);
const joined = (lines: readonly string[]): string => lines.map((line) => line + '\r\n').join('');

/** The place of one of the lines, from the second on where there is one. */
function someLine(lines: readonly string[], random: Random): number {
  return lines.length < 2 ? 0 : 1 + below(random, lines.length - 1);
}

const words = ['+ERR', '-OK', '+ok', 'OK', '+OKAY', '-ERROR', '', '+ ', '-err', ' +OK', '\0+OK', '+OK\t', '+'] as const;
const refusals = [
  '',
  ' [IN-USE] locked',
  ' [AUTH] no',
  ' [SYS/TEMP] later',
  ' [SYS/PERM] no',
  ' [LOGIN-DELAY] wait',
  ' Message 1 expunged',
] as const;
const junk = ['* OK IMAP', 'Autologout', '.', '', '+', '250 ok', '\0\0', 'x'.repeat(600)] as const;
const numbers = ['0', '-1', '1', '2', '99999999999', '2147483648', '1e3', '', '007'] as const;

export const kinds: readonly [Kind, ...Kind[]] = [
  { name: 'cut, closed', visible: true, apply: cut('close') },
  { name: 'cut, reset', visible: true, apply: cut('reset') },
  { name: 'cut, silent', visible: true, apply: cut('hang') },
  { name: 'closed after', visible: true, apply: (reply) => ({ ...reply, end: 'close' }) },
  { name: 'refused', visible: true, apply: text((_, random) => '-ERR' + pick(random, refusals) + '\r\n') },
  { name: 'status word', visible: true, apply: text((reply, random) => reply.replace(/^\S*/, pick(random, words))) },
  {
    name: 'end without CRLF',
    visible: true,
    apply: (reply) => ({ ...reply, text: reply.text.slice(0, -1), end: 'hang' }),
  },
  {
    name: 'end line of LF',
    visible: true,
    apply: (reply) => ({ ...reply, text: reply.text.replace(/\r\n\.\r\n$/, '\n.\n'), end: 'hang' }),
  },
  {
    name: 'end line without line before',
    visible: true,
    apply: (reply) => ({ ...reply, text: reply.text.replace(/\r\n\.\r\n$/, '.\r\n'), end: 'hang' }),
  },
  {
    name: 'lone dot inside',
    visible: true,
    apply: text((reply, random) => {
      if (!isData(reply)) return '.\r\n' + reply;
      const lines = linesOf(reply);
      const at = someLine(lines, random);
      // With a line behind it that looks like an answer nobody could see that the mail was cut.
      lines.splice(/^(?:\+OK|-ERR)(?: |$)/.test(lines[at] ?? '') ? lines.length - 1 : at, 0, '.');
      return joined(lines);
    }),
  },
  { name: 'end line twice', visible: true, apply: text((reply) => reply + '.\r\n') },
  { name: 'junk before', visible: true, apply: text((reply, random) => pick(random, junk) + '\r\n' + reply) },
  { name: 'junk after', visible: true, apply: text((reply, random) => reply + pick(random, junk) + '\r\n') },
  {
    name: 'autologout after',
    visible: true,
    apply: (reply) => ({ ...reply, text: reply.text + '-ERR Autologout\r\n', end: 'close' }),
  },
  {
    name: 'endless status',
    visible: true,
    apply: text((reply) => reply.slice(0, 3) + ' ' + 'x'.repeat(5_000) + reply.slice(3)),
  },
  { name: 'unasked +OK', visible: false, apply: text((reply) => reply + '+OK\r\n') },
  { name: 'swallowed', visible: false, apply: text(() => '') },
  { name: 'twice', visible: false, apply: text((reply) => reply + reply) },
  { name: 'in wrong order', visible: false, apply: (reply) => ({ ...reply, later: true }) },
  { name: 'tail missing', visible: false, apply: text((reply, random) => reply.slice(0, below(random, reply.length))) },
  { name: 'LF for CRLF', visible: false, apply: text((reply) => reply.replaceAll('\r\n', '\n')) },
  { name: 'CR for CRLF', visible: false, apply: text((reply) => reply.replaceAll('\r\n', '\r')) },
  {
    name: 'bytes changed',
    visible: false,
    apply: text((reply, random) => {
      const bytes = Buffer.from(reply, 'latin1');
      for (let n = 1 + below(random, 3); n > 0 && bytes.length > 0; n -= 1)
        bytes[below(random, bytes.length)] = below(random, 256);
      return bytes.toString('latin1');
    }),
  },
  {
    name: 'byte missing',
    visible: false,
    apply: text((reply, random) => {
      const at = below(random, reply.length);
      return reply.slice(0, at) + reply.slice(at + 1);
    }),
  },
  {
    name: 'byte added',
    visible: false,
    apply: text((reply, random) => {
      const at = below(random, reply.length + 1);
      return reply.slice(0, at) + pick(random, ['\0', '\r', '\n', '.', ' ', '\u00ff', '\r\n']) + reply.slice(at);
    }),
  },
  {
    name: 'line missing',
    visible: false,
    apply: text((reply, random) => {
      const lines = linesOf(reply);
      lines.splice(someLine(lines, random), 1);
      return joined(lines);
    }),
  },
  {
    name: 'line twice',
    visible: false,
    apply: text((reply, random) => {
      const lines = linesOf(reply);
      const at = someLine(lines, random);
      return joined([...lines.slice(0, at + 1), ...lines.slice(at)]);
    }),
  },
  {
    name: 'number changed',
    visible: false,
    apply: text((reply, random) => {
      const found = [...reply.matchAll(/\d+/g)];
      const one = found[below(random, found.length)];
      if (one === undefined) return reply;
      return reply.slice(0, one.index) + pick(random, numbers) + reply.slice(one.index + one[0].length);
    }),
  },
  {
    name: 'field missing',
    visible: false,
    apply: text((reply, random) => {
      const lines = linesOf(reply);
      const at = someLine(lines, random);
      lines[at] = (lines[at] ?? '').replace(/ ?\S*$/, '');
      return joined(lines);
    }),
  },
  {
    name: 'overlong entry',
    visible: false,
    apply: text((reply, random) => reply.replace(/\r\n\.\r\n$/, 'y'.repeat(100 + below(random, 900)) + '\r\n.\r\n')),
  },
  {
    name: 'entries added',
    visible: false,
    apply: text((reply, random) => {
      const extra = Array.from({ length: 1 + below(random, 40) }, (_, index) => 5 + index + ' more' + below(random, 9));
      return reply.replace(/\r\n\.\r\n$/, '\r\n' + joined(extra) + '.\r\n');
    }),
  },
  { name: 'dots not stuffed', visible: false, apply: text((reply) => reply.replaceAll('\r\n..', '\r\n.')) },
  { name: 'dots stuffed twice', visible: false, apply: text((reply) => reply.replaceAll('\r\n..', '\r\n...')) },
  {
    name: 'NUL bytes',
    visible: false,
    apply: text((reply, random) => reply.replaceAll(pick(random, ['e', 'o', ' ', '1']), '\0')),
  },
];
