// The table that says how long ago each agent reported: silence must be seen as an age, not as an absent line.
import type { Builder } from '@grafana/grafana-foundation-sdk/cog';
import { TableSortByFieldStateBuilder } from '@grafana/grafana-foundation-sdk/common';
import type { Panel } from '@grafana/grafana-foundation-sdk/dashboard';
import * as table from '@grafana/grafana-foundation-sdk/table';
import { datasource, target } from './query.ts';

const lastReport = 'Last report';

export function lastReports(): Builder<Panel> {
  return (
    new table.PanelBuilder()
      .title('Last report of each agent')
      .description('The longest silent first. An agent that reported nothing in the chosen time is not in the list')
      .datasource(datasource)
      .unit('s')
      .noValue('no data')
      .sortBy([new TableSortByFieldStateBuilder().displayName(lastReport).desc(false)])
      // Without steps of time and with one selector, InfluxDB answers with the time of the point itself.
      .withTarget(
        target('A', {
          metric: 'agent',
          field: 'uptime_seconds',
          select: 'last',
          by: ['tenant', 'agent'],
          alias: '',
          format: 'table',
        }),
      )
      .overrideByName('Time', [
        { id: 'displayName', value: lastReport },
        { id: 'unit', value: 'dateTimeFromNow' },
      ])
      .overrideByName('tenant', [{ id: 'displayName', value: 'Customer' }])
      .overrideByName('agent', [{ id: 'displayName', value: 'Agent' }])
      .overrideByName('last', [{ id: 'displayName', value: 'Running for (then)' }])
      .height(8)
      .span(24)
  );
}
