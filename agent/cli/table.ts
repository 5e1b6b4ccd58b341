// Text for people: aligned columns, durations and sizes in words, no colours, no control characters from outside.

/** Columns as wide as their widest cell; the last one is not padded. `right`: columns of numbers. */
export function alignColumns(rows: readonly (readonly string[])[], right: readonly number[] = []): readonly string[] {
  const widths: number[] = [];
  for (const row of rows)
    for (const [index, cell] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, clean(cell).length);
  return rows.map((row) =>
    row
      .map((cell, index) => {
        const text = clean(cell);
        if (right.includes(index)) return text.padStart(widths[index] ?? 0);
        return text.padEnd(widths[index] ?? 0);
      })
      .join('  ')
      .trimEnd(),
  );
}

/** Replies of strangers end up on a terminal: an escape sequence must not. */
export function clean(text: string): string {
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ');
}

export function showDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 120) return whole + ' s';
  const minutes = Math.floor(whole / 60);
  if (minutes < 120) return minutes + ' min';
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? hours + ' h ' + (minutes % 60) + ' min' : Math.floor(hours / 24) + ' d ' + (hours % 24) + ' h';
}

export function showSize(bytes: number): string {
  if (bytes < 1_024) return bytes + ' B';
  return bytes < 1_048_576 ? (bytes / 1_024).toFixed(1) + ' KiB' : (bytes / 1_048_576).toFixed(1) + ' MiB';
}

/** "8 s ago", "in 3 min", or "never" for 0. */
export function showTime(at: number, now: number): string {
  if (at === 0) return 'never';
  return at <= now ? showDuration((now - at) / 1_000) + ' ago' : 'in ' + showDuration((at - now) / 1_000);
}

/** "1 mail", "3 mails". */
export function count(number: number, one: string, many: string = one + 's'): string {
  return number + ' ' + (number === 1 ? one : many);
}
