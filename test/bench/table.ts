// The cases as a table for people.
import type { Case } from './verdict.ts';

export function renderTable(cases: readonly Case[]): string {
  const head = ['case', 'unit', 'ours', 'peers', 'ratio', 'bar', 'holds', 'note'];
  const rows = cases.map((one) => [
    one.name,
    one.unit,
    one.ours === null ? '-' : String(one.ours),
    Object.entries(one.peers)
      .map(([name, value]) => name + ' ' + value)
      .join(', '),
    one.ratio === null ? '' : String(one.ratio),
    one.bar,
    one.bar === '' ? '' : one.holds ? 'yes' : 'NO',
    one.note,
  ]);
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => (row[column] ?? '').length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd() + '\n';
  return [head, widths.map((width) => '-'.repeat(width)), ...rows].map(line).join('');
}
