// What a person, and a monitoring tool that shows the first line, reads of a check.
import type { Checked } from '../control/answers.ts';
import { clean, count } from './table.ts';

const words: Readonly<Record<string, string>> = {
  ok: 'OK',
  info: 'OK',
  warning: 'WARNING',
  critical: 'CRITICAL',
  unknown: 'UNKNOWN',
};
const order = ['critical', 'warning', 'unknown', 'info', 'ok'];

/** As monitoring plugins end (Monitoring Plugins Development Guidelines): 0 well, 1 warning, 2 critical, 3 not known. */
export function exitCodeOf({ level }: Pick<Checked, 'level'>): 0 | 1 | 2 | 3 {
  if (level === 'ok' || level === 'info') return 0;
  if (level === 'warning') return 1;
  return level === 'critical' ? 2 : 3;
}

export function renderChecked(checked: Checked): readonly string[] {
  const { findings, level, what } = checked;
  const bad = findings.filter((one) => one.level !== 'ok' && one.level !== 'info');
  const [first] = bad.toSorted((a, b) => order.indexOf(a.level) - order.indexOf(b.level));
  const sum =
    first === undefined
      ? count(findings.length, 'finding') + ', all well'
      : bad.length +
        ' of ' +
        count(findings.length, 'finding') +
        ': ' +
        first.target +
        ' ' +
        first.check +
        ': ' +
        first.text;
  const lines = [what.toUpperCase() + ' ' + (words[level] ?? 'UNKNOWN') + ' - ' + sum];
  for (const finding of findings.toSorted((a, b) => order.indexOf(a.level) - order.indexOf(b.level))) {
    const mark = finding.level === 'info' ? 'info' : (words[finding.level] ?? finding.level);
    lines.push('  ' + mark.padEnd(8) + ' ' + finding.target + ' ' + finding.check + ': ' + finding.text);
    if (finding.remedy !== undefined) lines.push('           -> ' + finding.remedy);
  }
  return lines.map(clean);
}
