// The text of a changed YAML document, as near to the old text as can be. The library writes a document in its own style
// (one blank before a comment, its own indent); so the old and the new document are both written in that style, and only the
// lines that differ between the two are taken over into the old text. Promise: the result says what the document says.
import { isDeepStrictEqual } from 'node:util';
import { parseDocument } from 'yaml';
import type { Document, ToStringOptions } from 'yaml';

export function mergeText(before: string, changed: Document): string {
  const ends = before.includes('\r\n') ? '\r\n' : '\n';
  const original = before.replaceAll('\r\n', '\n');
  const style = styleOf(original);
  const after = changed.toString(style);
  if (original.trim() === '') return after.replaceAll('\n', ends);
  const merged = takeOver(original, parseDocument(original).toString(style), after);
  const text = saysTheSame(merged, changed) ? merged : after;
  return text.replaceAll('\n', ends);
}

/** Of the styles that the library knows, the one that changes the fewest lines of the text. */
function styleOf(text: string): ToStringOptions {
  const styles = [2, 4, 3, 1].flatMap((indent) =>
    [true, false].flatMap((indentSeq) =>
      [false, true].map((flowCollectionPadding) => ({
        indent,
        indentSeq,
        flowCollectionPadding,
        lineWidth: 0,
        minContentWidth: 0,
      })),
    ),
  );
  const [first] = styles;
  if (text.trim() === '' || first === undefined) return first ?? {};
  const lines = text.split('\n');
  let best: { readonly style: ToStringOptions; readonly wrong: number } = { style: first, wrong: Infinity };
  for (const style of styles) {
    // Parsed anew: writing a document with comments may move them.
    const written = parseDocument(text).toString(style).split('\n');
    const wrong = written.filter((line, index) => line !== lines[index]).length + (written.length - lines.length) ** 2;
    if (wrong < best.wrong) best = { style, wrong };
    if (wrong === 0) break;
  }
  return best.style;
}

/**
 * The lines of `after`, those that are in `normal` too as they stand in `original`. `normal` is `original` in the library's
 * style: lines of the two that differ in blanks alone stand for each other.
 */
function takeOver(original: string, normal: string, after: string): string {
  const own = original.split('\n');
  const old = normal.split('\n');
  const fresh = after.split('\n');
  const typed = typedLines(own, old);
  return commonLines(old, fresh)
    .flatMap((from, index) => (from === undefined ? [fresh[index] ?? ''] : (typed[from] ?? [])))
    .join('\n');
}

/** For each line of `old` what was typed for it: one line, none for what the library puts in, more for what it takes out. */
function typedLines(own: readonly string[], old: readonly string[]): readonly (readonly string[])[] {
  const squeeze = (line: string): string => line.replaceAll(/\s+/g, '');
  const counterparts = commonLines(old.map(squeeze), own.map(squeeze));
  const typed: string[][] = old.map(() => []);
  let at = 0;
  for (const [index, line] of own.entries()) {
    at = counterparts[index] ?? at;
    typed[at]?.push(line);
  }
  return typed;
}

/** For each line of `fresh` the line of `old` that it is; undefined for a new one (longest common subsequence). */
function commonLines(old: readonly string[], fresh: readonly string[]): readonly (number | undefined)[] {
  const lengths = Array.from({ length: old.length + 1 }, () => new Uint32Array(fresh.length + 1));
  const at = (i: number, j: number): number => lengths[i]?.[j] ?? 0;
  for (let i = old.length - 1; i >= 0; i -= 1) {
    for (let j = fresh.length - 1; j >= 0; j -= 1) {
      const row = lengths[i];
      if (row !== undefined) row[j] = old[i] === fresh[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const found: (number | undefined)[] = Array.from({ length: fresh.length }, () => undefined);
  let [i, j] = [0, 0];
  while (i < old.length && j < fresh.length) {
    if (old[i] === fresh[j]) {
      found[j] = i;
      [i, j] = [i + 1, j + 1];
    } else if (at(i + 1, j) >= at(i, j + 1)) i += 1;
    else j += 1;
  }
  return found;
}

function saysTheSame(text: string, document: Document): boolean {
  const read = parseDocument(text);
  return read.errors.length === 0 && isDeepStrictEqual(read.toJS(), document.toJS());
}
