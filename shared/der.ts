// Just enough DER (X.690) to write a certificate: tag, length, content.

export type Der = Buffer;

export function sequence(...parts: readonly Der[]): Der {
  return wrap(0x30, Buffer.concat(parts));
}
export function set(...parts: readonly Der[]): Der {
  return wrap(0x31, Buffer.concat(parts));
}
/** Positive, big endian. */
export function integer(bytes: Uint8Array): Der {
  const first = bytes[0] ?? 0;
  return wrap(0x02, first >= 0x80 ? Buffer.concat([Buffer.of(0), bytes]) : Buffer.from(bytes));
}
export const boolean = (value: boolean): Der => wrap(0x01, Buffer.of(value ? 0xff : 0));
export const nothing = (): Der => wrap(0x05, Buffer.alloc(0));
export const octets = (content: Uint8Array): Der => wrap(0x04, content);
export const utf8 = (text: string): Der => wrap(0x0c, Buffer.from(text));
/** `unused`: bits at the end that do not count. */
export const bits = (content: Uint8Array, unused = 0): Der => wrap(0x03, Buffer.concat([Buffer.of(unused), content]));
/** Of the context: `[number]`, built of other elements or plain bytes. */
export const tagged = (number: number, content: Uint8Array, constructed: boolean): Der =>
  wrap((constructed ? 0xa0 : 0x80) + number, content);

/** `1.2.840...` */
export function oid(text: string): Der {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number);
  const bytes = [first * 40 + second, ...rest].flatMap((part) => {
    const groups = [part & 0x7f];
    for (let left = Math.floor(part / 128); left > 0; left = Math.floor(left / 128))
      groups.unshift((left & 0x7f) | 0x80);
    return groups;
  });
  return wrap(0x06, Buffer.from(bytes));
}

/** UTCTime up to 2049, GeneralizedTime after it (RFC 5280 section 4.1.2.5). Whole seconds. */
export function time(ms: number): Der {
  const digits = new Date(ms).toISOString().replaceAll(/\.\d+|[-:T]/g, '');
  return Number(digits.slice(0, 4)) < 2050
    ? wrap(0x17, Buffer.from(digits.slice(2), 'latin1'))
    : wrap(0x18, Buffer.from(digits, 'latin1'));
}

function wrap(tag: number, content: Uint8Array): Der {
  return Buffer.concat([Buffer.of(tag), lengthOf(content.length), content]);
}

function lengthOf(length: number): Buffer {
  if (length < 0x80) return Buffer.of(length);
  const bytes: number[] = [];
  for (let left = length; left > 0; left = Math.floor(left / 256)) bytes.unshift(left & 0xff);
  return Buffer.of(0x80 + bytes.length, ...bytes);
}
