// The last lines of the log, for the page: DSM keeps the whole log where a person without a shell does not come. Bounded.
import { isRecord, parseJson } from '#shared/json.ts';
import type { LogLine } from './work.ts';

export type LogTail = {
  /** One line as pino writes it. */
  readonly add: (line: string) => void;
  /** The newest first. */
  readonly lines: () => readonly LogLine[];
};

const maxLines = 400;
const maxLineLength = 1_000;

export function createLogTail(): LogTail {
  const kept: string[] = [];
  return {
    add(line) {
      kept.push(line.length > maxLineLength ? line.slice(0, maxLineLength) : line);
      if (kept.length > maxLines) kept.shift();
    },
    lines: () => kept.toReversed().map(read),
  };
}

/** A line that was cut is no JSON any more: shown as it is. */
function read(line: string): LogLine {
  const value = parseJson(line);
  if (!isRecord(value)) return { at: 0, level: '', text: line.trim() };
  const { time, level, msg, name: _name, room, ...rest } = value;
  const fields = Object.entries(rest).map(
    ([name, field]) => name + '=' + (typeof field === 'string' ? field : JSON.stringify(field)),
  );
  const text = [typeof room === 'string' ? room + ':' : '', typeof msg === 'string' ? msg : '', ...fields].filter(
    (part) => part !== '',
  );
  return { at: Date.parse(String(time)) || 0, level: String(level), text: text.join(' ') };
}
