// The kinds of panels: a number, curves, states over time; and how limits and words are drawn.
import {
  BigValueColorMode,
  LegendDisplayMode,
  LegendPlacement,
  ReduceDataOptionsBuilder,
  TooltipDisplayMode,
  VisibilityMode,
  VizLegendOptionsBuilder,
  VizTooltipOptionsBuilder,
} from '@grafana/grafana-foundation-sdk/common';
import { MappingType, ThresholdsConfigBuilder, ThresholdsMode } from '@grafana/grafana-foundation-sdk/dashboard';
import type { Threshold, ValueMapping } from '@grafana/grafana-foundation-sdk/dashboard';
import * as stat from '@grafana/grafana-foundation-sdk/stat';
import * as statetimeline from '@grafana/grafana-foundation-sdk/statetimeline';
import * as timeseries from '@grafana/grafana-foundation-sdk/timeseries';
import { alertRules } from '#shared/alert-rules.ts';
import { datasource } from './query.ts';

export const perAgent = '$tag_tenant/$tag_agent';
export const everyAgent = ['tenant', 'agent'] as const;

export function number(title: string, unit: string, description: string) {
  return new stat.PanelBuilder()
    .title(title)
    .description(description)
    .datasource(datasource)
    .unit(unit)
    .noValue('no data')
    .colorMode(BigValueColorMode.Value)
    .reduceOptions(new ReduceDataOptionsBuilder().calcs(['lastNotNull']).values(false))
    .thresholds(steps([]))
    .height(4)
    .span(6);
}

export function curve(title: string, unit: string, description: string) {
  return new timeseries.PanelBuilder()
    .title(title)
    .description(description)
    .datasource(datasource)
    .unit(unit)
    .min(0)
    .noValue('no data')
    .lineWidth(1)
    .fillOpacity(15)
    .showPoints(VisibilityMode.Auto)
    .spanNulls(false)
    .legend(legend())
    .tooltip(new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi))
    .thresholds(steps([]))
    .height(8)
    .span(12);
}

export function states(title: string, description: string, words: readonly ValueMapping[]) {
  return new statetimeline.PanelBuilder()
    .title(title)
    .description(description)
    .datasource(datasource)
    .unit('short')
    .noValue('no data')
    .mappings([...words])
    .mergeValues(true)
    .spanNulls(false)
    .legend(legend())
    .thresholds(steps([]))
    .height(10)
    .span(24);
}

// The SDK hides legends by default.
const legend = () =>
  new VizLegendOptionsBuilder().showLegend(true).displayMode(LegendDisplayMode.List).placement(LegendPlacement.Bottom);

export function steps(limits: readonly number[]) {
  const all: Threshold[] = [{ value: null, color: 'green' }, ...limits.map((value) => ({ value, color: 'red' }))];
  return new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps(all);
}

/** Where the alert of this name fires. */
export function limitsOf(id: string): readonly number[] {
  const source = alertRules.find((rule) => rule.id === id)?.source;
  if (source?.kind !== 'reading') throw new Error('Cannot draw a limit: rule ' + id + ' has none');
  return [source.fire.value];
}

export function words(
  entries: readonly (readonly [value: number | string, text: string, color: string])[],
): readonly ValueMapping[] {
  const options = Object.fromEntries(
    entries.map(([value, text, color], index) => [String(value), { text, color, index }]),
  );
  return [{ type: MappingType.ValueToText, options }];
}
