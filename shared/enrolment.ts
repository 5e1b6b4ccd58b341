// Enrolment: how an agent and a collector that have never met come to trust each other. A person carries one code from the
// collector to the agent; it holds where the collector is, how its authority is recognised, and a secret for one use.
//
// The agent makes its own password, writes it to its disk, logs in as enrolUserOf() with the code's secret, and says it in
// an EnrolRequest on its `enrol` topic; the collector answers on `enrolled`. Promise: whoever asks twice with the same
// password (the answer was lost) gets the same answer; with another one, none.
import { createHash, randomBytes } from 'node:crypto';
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { UserError } from './failure.ts';
import { findProblems } from './config-problems.ts';
import { namePattern } from './topics.ts';

const codeVersion = 1;
const mark = 'MF';
const checkBytes = 4;
const maxCodeLength = 2_000;

export const urlPattern = '^(?:mqtts?|wss?)://[^/\\s]+(?:/[^\\s]*)?$';
/** 128 bits and more, as base64url. */
export const secretPattern = '^[A-Za-z0-9_-]{22,64}$';
const fingerprintPattern = '^[0-9a-f]{64}$';

const codeSchema = Type.Object(
  {
    tenant: Type.String({ pattern: namePattern }),
    agent: Type.String({ pattern: namePattern }),
    /** Seconds since 1970, by the collector's clock, which alone decides. */
    expires: Type.Integer({ minimum: 0 }),
    /** Addresses of the broker, in the order in which they are to be tried. */
    urls: Type.Array(Type.String({ pattern: urlPattern, maxLength: 300 }), { minItems: 1, maxItems: 4 }),
    /** SHA-256 of the authority's certificate (DER), hexadecimal; absent when a public authority has signed. */
    fingerprint: Type.Optional(Type.String({ pattern: fingerprintPattern })),
    /** For one use. */
    secret: Type.String({ pattern: secretPattern }),
  },
  { additionalProperties: false },
);
export type EnrolmentCode = Static<typeof codeSchema>;

/** 128 bits and more that nobody can guess. */
export function newSecret(): string {
  return randomBytes(24).toString('base64url');
}

export function encodeCode(code: EnrolmentCode): string {
  const body = Buffer.from(JSON.stringify(code));
  return mark + codeVersion + Buffer.concat([checksum(body), body]).toString('base64url');
}

/**
 * White space anywhere is ignored: mail programs and terminals break long words. Whether it has expired is not looked at.
 * Throws UserError in words for the person who pasted it; the code itself is not repeated, since it is a secret.
 */
export function decodeCode(text: string): EnrolmentCode {
  const code = text.replaceAll(/\s+/g, '');
  const refuse = (found: string, remedy: string): UserError =>
    new UserError('Cannot read the enrolment code: ' + found + ', expected ' + remedy);
  const whole = 'the whole text that `mailferry-collector enrol` printed; copy it again';
  if (code === '') throw refuse('nothing was given', whole);
  const found = /^MF([0-9])([A-Za-z0-9_-]*)$/.exec(code);
  if (found === null || code.length > maxCodeLength) throw refuse('this is no code', whole);
  if (Number(found[1]) !== codeVersion)
    throw refuse('it is of kind ' + found[1], 'kind ' + codeVersion + '; update the agent');
  const bytes = Buffer.from(found[2] ?? '', 'base64url');
  const body = bytes.subarray(checkBytes);
  if (bytes.length <= checkBytes || !checksum(body).equals(bytes.subarray(0, checkBytes)))
    throw refuse(code.length + ' characters of it came, and some are missing or wrong', whole);
  const value: unknown = JSON.parse(body.toString('utf8')); // the checksum is right: encodeCode() wrote it
  const [problem] = findProblems(codeSchema, value);
  if (problem !== undefined) throw refuse(problem.path.join('.') + ' is ' + problem.found, problem.expected);
  return value as EnrolmentCode; // checked against this very schema
}

function checksum(body: Uint8Array): Buffer {
  return createHash('sha256').update(body).digest().subarray(0, checkBytes);
}

/** As in the code: SHA-256 of a certificate's DER. */
export function fingerprintOf(der: Uint8Array): string {
  return createHash('sha256').update(der).digest('hex');
}
