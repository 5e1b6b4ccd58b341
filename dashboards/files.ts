// All files that Grafana reads, by their path below provisioning/. JSON is YAML too: no quoting to get wrong. A `$` is
// expanded in these files (not in the dashboard itself), so secrets come from the environment of Grafana.
import { buildDashboard, datasourceName, datasourceUid } from './dashboard.ts';

export function buildFiles(): ReadonlyMap<string, string> {
  return new Map([
    ['datasources/mailferry.yaml', text(datasources)],
    ['dashboards/mailferry.yaml', text(providers)],
    ['json/mailferry.json', text(buildDashboard())],
  ]);
}

const datasources = {
  apiVersion: 1,
  prune: true,
  datasources: [
    {
      name: datasourceName,
      uid: datasourceUid,
      type: 'influxdb',
      access: 'proxy',
      url: '${MAILFERRY_INFLUX_URL}',
      user: '${MAILFERRY_INFLUX_USER}',
      // timeInterval: the lowest step, the pace at which agents report.
      jsonData: { version: 'InfluxQL', dbName: '${MAILFERRY_INFLUX_DATABASE}', httpMode: 'POST', timeInterval: '10s' },
      secureJsonData: { password: '${MAILFERRY_INFLUX_PASSWORD}' },
      editable: false,
    },
  ],
};

const providers = {
  apiVersion: 1,
  providers: [
    {
      name: 'mailferry',
      orgId: 1,
      folder: 'mailferry',
      folderUid: 'mailferry',
      type: 'file',
      disableDeletion: false,
      updateIntervalSeconds: 30,
      allowUiUpdates: false,
      options: { path: '${MAILFERRY_DASHBOARDS}' },
    },
  ],
};

function text(value: unknown): string {
  return JSON.stringify(value, null, 2) + '\n';
}
