// What travels over the local socket: one JSON value a line, a request then its answer. Both ends bound what they read.
import { isRecord, parseJson } from '#shared/json.ts';

export const maxRequestBytes = 64 * 1024;
export const maxAnswerBytes = 8 * 1024 * 1024;

export type Request = { readonly command: string; readonly arguments: unknown };
/** request: not understood; command: no such command; failed: understood, and it cannot be done. */
export type Refusal = 'request' | 'command' | 'failed';
export type Answer =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly refusal: Refusal; readonly message: string };

export function encodeRequest(request: Request): string {
  return JSON.stringify(request) + '\n';
}

/** Undefined when the line is no request. */
export function decodeRequest(line: string): Request | undefined {
  const value = parseJson(line);
  if (!isRecord(value) || typeof value['command'] !== 'string') return undefined;
  return { command: value['command'], arguments: value['arguments'] ?? {} };
}

export function encodeAnswer(answer: Answer): string {
  const text = JSON.stringify(answer.ok ? { ok: true, value: answer.value ?? null } : answer) + '\n';
  if (Buffer.byteLength(text) <= maxAnswerBytes) return text;
  return encodeAnswer(refuse('failed', 'Cannot answer: more than ' + maxAnswerBytes + ' bytes, expected less'));
}

export function decodeAnswer(line: string): Answer | undefined {
  const value = parseJson(line);
  if (!isRecord(value)) return undefined;
  if (value['ok'] === true) return { ok: true, value: value['value'] };
  const { refusal, message } = value;
  if (value['ok'] !== false || typeof message !== 'string') return undefined;
  return refuse(refusal === 'request' || refusal === 'command' ? refusal : 'failed', message);
}

export function refuse(refusal: Refusal, message: string): Answer {
  return { ok: false, refusal, message };
}
