// The rules in force: the defaults with what the configuration changes.
import { alertRules } from '#shared/alert-rules.ts';
import type { AlertRule } from '#shared/alert-rules.ts';
import { nearest } from '#shared/config-problems.ts';
import type { Loaded } from '#shared/config.ts';
import type { AlertsConfig, CollectorConfig } from '../config.ts';

type Override = AlertsConfig['rules'][string];

export function rulesInForce(config: Pick<AlertsConfig, 'rules'>): readonly AlertRule[] {
  return alertRules.flatMap((rule) => {
    const override = config.rules[rule.id];
    if (override === undefined) return [rule];
    return override.enabled === false ? [] : [withOverride(rule, override)];
  });
}

function withOverride(rule: AlertRule, override: Override): AlertRule {
  const { source } = rule;
  const limits =
    source.kind === 'reading'
      ? {
          ...source,
          fire: { ...source.fire, value: override.fireAbove ?? source.fire.value },
          clear: { ...source.clear, value: override.clearBelow ?? source.clear.value },
        }
      : source;
  return {
    ...rule,
    source: limits,
    forSeconds: override.forSeconds ?? rule.forSeconds,
    clearSeconds: override.clearSeconds ?? rule.clearSeconds,
  };
}

/** Throws UserError: an unknown rule with its nearest name, a limit that the rule has not, limits the wrong way round. */
export function checkRuleOverrides(loaded: Loaded<CollectorConfig>): void {
  const names = alertRules.map(({ id }) => id);
  for (const [name, override] of Object.entries(loaded.value.alerts.rules)) {
    const path = ['alerts', 'rules', name] as const;
    const rule = alertRules.find(({ id }) => id === name);
    if (rule === undefined) {
      const near = nearest(name, names);
      throw loaded.refuse(
        path,
        'an unknown rule',
        near === undefined ? 'one of ' + names.join(', ') : near + ' (the nearest known rule)',
      );
    }
    for (const option of ['fireAbove', 'clearBelow'] as const) {
      const hasLimit = rule.source.kind === 'reading' && rule.source.fire.op === '>';
      if (override[option] !== undefined && !hasLimit) {
        throw loaded.refuse(
          [...path, option],
          'a limit',
          'no ' + option + ': rule ' + name + ' is about a state, not a number',
        );
      }
    }
    const [changed] = rulesInForce({ rules: { [name]: { ...override, enabled: true } } }).filter(
      ({ id }) => id === name,
    );
    if (changed?.source.kind !== 'reading' || changed.source.fire.op !== '>') continue;
    if (changed.source.clear.value > changed.source.fire.value) {
      throw loaded.refuse(
        path,
        'clearBelow ' + changed.source.clear.value + ' above fireAbove ' + changed.source.fire.value,
        'clearBelow at or below fireAbove, else the alert would never rest',
      );
    }
  }
}
