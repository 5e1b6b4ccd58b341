// What a notice says: what happened, since when, what it means for mail, what to do, where to look.
import { createHash } from 'node:crypto';
import type { AlertRule } from '#shared/alert-rules.ts';
import type { AlertState, Transition } from './evaluate.ts';
import type { Notice } from './state.ts';

export type Message = {
  readonly kind: 'raised' | 'resolved';
  readonly severity: AlertRule['severity'];
  readonly title: string;
  /** Lines of the text without the title. */
  readonly lines: readonly string[];
  /** Short and the same for the raising and the resolving of one alert: a repeat shows the same. */
  readonly reference: string;
};

export function titleOf(rule: AlertRule, alert: Pick<AlertState, 'tenant' | 'agent' | 'tags'>): string {
  const values: Readonly<Record<string, string>> = { ...alert.tags, tenant: alert.tenant, agent: alert.agent };
  return rule.title.replaceAll(/\{([a-z_]+)\}/g, (whole, name: string) => values[name] ?? whole);
}

export function messageOf(notice: Notice, rule: AlertRule, link: string): Message {
  const { kind, alert, at } = notice.transition;
  const reference = createHash('sha256').update(notice.thread).digest('hex').slice(0, 12);
  const page = link + '/#/agent/' + encodeURIComponent(alert.tenant) + '/' + encodeURIComponent(alert.agent);
  const since = 'Since: ' + showTime(alert.since);
  const lines =
    kind === 'raised'
      ? [
          rule.meaning,
          '',
          since,
          ...(alert.detail === '' ? [] : ['Reason: ' + alert.detail]),
          'What to do: ' + rule.remedy,
          '',
          page,
        ]
      : [over[notice.transition.why], '', since, 'Until: ' + showTime(at), '', page];
  return {
    kind,
    severity: rule.severity,
    title: titleOf(rule, alert),
    lines: [...lines, 'Reference: ' + reference],
    reference,
  };
}

const over: Readonly<Record<Transition['why'], string>> = {
  condition: 'It is over.',
  gone: 'It is reported no more: it was probably removed from a configuration.',
  'rule-off': 'The rule was switched off in the configuration of the collector. Whether it is over is not known.',
};

function showTime(at: number): string {
  return new Date(at)
    .toISOString()
    .replace('T', ' ')
    .replace(/\.\d+Z$/, ' UTC');
}
