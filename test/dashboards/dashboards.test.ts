import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parse } from 'yaml';
import { alertRules } from '#shared/alert-rules.ts';
import { metrics } from '#shared/metrics.ts';
import { buildFiles } from '../../dashboards/files.ts';
import { provision } from './provision.ts';
import { substitute } from './run-queries.ts';

type Panel = {
  readonly id: number;
  readonly title: string;
  readonly description: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly datasource: { readonly uid: string };
  readonly fieldConfig: {
    readonly defaults: {
      readonly unit: string;
      readonly noValue: string;
      readonly custom?: { readonly thresholdsStyle?: { readonly mode: string } };
      readonly thresholds?: { readonly steps: readonly { readonly value: number | null }[] };
    };
    readonly overrides: readonly {
      readonly properties: readonly { readonly id: string; readonly value: unknown }[];
    }[];
  };
  readonly options: { readonly legend?: { readonly showLegend: boolean } };
  readonly targets: readonly {
    readonly query: string;
    readonly datasource: { readonly uid: string };
    readonly alias: string;
  }[];
};
type Dashboard = {
  readonly uid: string;
  readonly schemaVersion: number;
  readonly editable: boolean;
  readonly panels: readonly Panel[];
  readonly templating: {
    readonly list: readonly {
      readonly name: string;
      readonly refresh?: number;
      readonly allValue?: string;
      readonly includeAll?: boolean;
    }[];
  };
};

const files = buildFiles();
const read = (path: string): string => files.get(path) ?? assert.fail('no file ' + path);
const dashboard = JSON.parse(read('json/mailferry.json')) as Dashboard; // written by the code under test, checked below

test('the committed files are what the code writes', () => {
  for (const [path, text] of files) {
    assert.equal(
      readFileSync(new URL('../../dashboards/provisioning/' + path, import.meta.url), 'utf8'),
      text,
      path + ': run npm run dashboards',
    );
  }
});

test('uids are fit for Grafana', () => {
  for (const uid of [
    dashboard.uid,
    ...[...files.values()].flatMap((text) =>
      [...text.matchAll(/"(?:uid|folderUid)": "([^"$]+)"/g)].map((match) => match[1] ?? ''),
    ),
  ]) {
    assert.match(uid, /^[A-Za-z0-9_-]{1,40}$/);
  }
});

test('the dashboard is classic, of the schema of Grafana 12.2, and cannot be edited by accident', () => {
  assert.equal(dashboard.schemaVersion, 42);
  assert.equal(dashboard.editable, false);
});

/** Of the ids that Grafana knows; an unknown one shows a bare number. */
const units = ['short', 's', 'decbytes', 'percentunit', 'dateTimeFromNow'];

test('every panel has an id of its own, a title, a description, a unit and a word for "no data"', () => {
  assert.deepEqual(
    dashboard.panels.map(({ id }) => id),
    dashboard.panels.map((_, index) => index + 1),
  );
  for (const panel of dashboard.panels) {
    assert.ok(panel.title.length > 0 && panel.description.length > 20, panel.title);
    const { defaults, overrides } = panel.fieldConfig;
    const others = overrides.flatMap(({ properties }) => properties.filter(({ id }) => id === 'unit'));
    for (const unit of [defaults.unit, ...others.map(({ value }) => value)])
      assert.ok(units.includes(String(unit)), panel.title + ': ' + String(unit));
    assert.equal(panel.fieldConfig.defaults.noValue, 'no data', panel.title);
    if (panel.options.legend !== undefined) assert.equal(panel.options.legend.showLegend, true, panel.title);
  }
});

test('no panel lies over another or beyond the edge', () => {
  const cells = dashboard.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
    Array.from({ length: w * h }, (_, index) => x + (index % w) + ',' + (y + Math.floor(index / w))),
  );
  assert.equal(new Set(cells).size, cells.length);
  for (const { title, gridPos } of dashboard.panels) assert.ok(gridPos.x + gridPos.w <= 24, title);
});

test('the limit of an age is the one at which the alert fires, and is drawn where the description says so', () => {
  for (const [metric, rule, panels] of [
    ['queue', 'queue-old', 2],
    ['quarantine', 'quarantine-waits', 1],
  ] as const) {
    const source = alertRules.find(({ id }) => id === rule)?.source;
    const limit = source?.kind === 'reading' ? source.fire.value : assert.fail();
    const limited = dashboard.panels.filter(({ targets }) =>
      targets.some(({ query }) => query.includes('oldest_seconds') && query.includes('FROM "' + metric + '"')),
    );
    assert.equal(limited.length, panels);
    for (const { title, fieldConfig } of limited)
      assert.deepEqual(
        fieldConfig.defaults.thresholds?.steps.map(({ value }) => value),
        [null, limit],
        title,
      );
  }
  for (const { title, fieldConfig } of dashboard.panels.filter(({ description }) =>
    description.includes('the line is'),
  ))
    assert.equal(fieldConfig.defaults.custom?.thresholdsStyle?.mode, 'line', title);
});

test('every panel asks the data source of the variable, and so does every target', () => {
  for (const panel of dashboard.panels) {
    assert.equal(panel.datasource.uid, '${ds}');
    for (const target of panel.targets) assert.equal(target.datasource.uid, '${ds}');
  }
});

test('every query names only what the catalogue knows, and its legend only tags it groups by', () => {
  for (const { title, targets } of dashboard.panels) {
    for (const { query, alias } of targets) {
      const name = /FROM "([a-z_]+)"/.exec(query)?.[1] ?? '';
      const spec = Object.entries(metrics).find(([metric]) => metric === name)?.[1];
      assert.ok(spec !== undefined, title + ': measurement ' + name);
      const tags: readonly string[] = [...spec.tags, 'tenant', 'agent'];
      const field = /^SELECT [a-z]+\("([a-z_]+)"/.exec(query)?.[1] ?? '';
      assert.ok(Object.hasOwn(spec.fields, field), title + ': field ' + field);
      for (const [, tag] of query.matchAll(/"([a-z_]+)" (?:=~|=) /g))
        assert.ok(tags.includes(tag ?? ''), title + ': tag ' + tag);
      for (const [, tag] of alias.matchAll(/\$tag_([a-z]+)/g))
        assert.ok(query.slice(query.indexOf('GROUP BY')).includes('"' + tag + '"'), title + ': ' + alias);
    }
  }
});

test('variables are refreshed with the time range, and All is one short pattern', () => {
  for (const { name, refresh, allValue, includeAll } of dashboard.templating.list.filter(({ name }) => name !== 'ds')) {
    assert.deepEqual({ refresh, allValue, includeAll }, { refresh: 2, allValue: '.*', includeAll: true }, name);
  }
});

test('the provisioning files keep every secret out, and expand only variables that the README names', () => {
  const readme = readFileSync(new URL('../../dashboards/README.md', import.meta.url), 'utf8');
  for (const path of ['datasources/mailferry.yaml', 'dashboards/mailferry.yaml']) {
    const names = [...read(path).matchAll(/\$\{?([A-Za-z_]+)\}?/g)].map((match) => match[1] ?? '');
    assert.ok(names.length > 0);
    for (const name of names) assert.ok(readme.includes(name), path + ': ' + name);
    assert.ok(!/"password": "(?!\$\{)/.test(read(path)));
  }
});

test('the provisioning files give Grafana what it requires, also with odd characters in the environment', () => {
  const environment = {
    MAILFERRY_INFLUX_URL: 'http://127.0.0.1:8086',
    MAILFERRY_INFLUX_DATABASE: 'mail-ferry_1',
    MAILFERRY_INFLUX_USER: 'reader: "x"',
    MAILFERRY_INFLUX_PASSWORD: "a'b\\ # {c}: [d]",
    MAILFERRY_DASHBOARDS: '/var/lib/grafana/dashboards/mail ferry',
  };
  const { datasources, providers } = provision((path) => parse(read(path)) as unknown, environment);
  const [source] = datasources;
  assert.ok(source !== undefined && datasources.length === 1);
  assert.equal(source.secureJsonData.password, environment.MAILFERRY_INFLUX_PASSWORD);
  assert.equal(source.user, environment.MAILFERRY_INFLUX_USER);
  assert.equal(source.jsonData.dbName, environment.MAILFERRY_INFLUX_DATABASE);
  assert.equal(source.url, environment.MAILFERRY_INFLUX_URL);
  assert.equal(providers[0]?.options.path, environment.MAILFERRY_DASHBOARDS);
  assert.throws(() => provision((path) => parse(read(path)) as unknown, {}), /MAILFERRY_/);
  const current = JSON.stringify(dashboard.templating.list.find(({ name }) => name === 'ds'));
  assert.ok(current.includes('"value":"' + source.uid + '"'), 'the variable begins with our data source');
});

test('the dashboard file is the bare model, as the file provider wants it', () => {
  const model: unknown = JSON.parse(read('json/mailferry.json'));
  assert.ok(typeof model === 'object' && model !== null && 'title' in model && !('dashboard' in model));
  assert.ok(!('apiVersion' in model) && !('kind' in model) && !('id' in model));
  assert.ok(typeof model.title === 'string' && model.title.length > 0);
});

test('InfluxDB gets its database by jsonData, and long queries by POST', () => {
  const source = read('datasources/mailferry.yaml');
  assert.match(source, /"dbName": "\$\{MAILFERRY_INFLUX_DATABASE\}"/);
  assert.match(source, /"httpMode": "POST"/);
  assert.doesNotMatch(source, /"database":/);
});

test('no placement hides links or annotations', () => {
  assert.doesNotMatch(read('json/mailferry.json'), /inControlsMenu/);
});

test('substitute() does as Grafana does', () => {
  const range = { from: 1, to: 2 };
  const query = 'WHERE "tenant" =~ /^${tenant:regex}$/ AND $timeFilter GROUP BY time($__interval)';
  assert.equal(
    substitute(query, { tenant: ['a.b'], agent: [] }, range),
    'WHERE "tenant" =~ /^a\\.b$/ AND time >= 1ms and time <= 2ms GROUP BY time(10s)',
  );
  assert.match(substitute(query, { tenant: ['a', 'b'], agent: [] }, range), /\^\(a\|b\)\$/);
  assert.match(substitute(query, { tenant: ['$__all'], agent: [] }, range), /\^\.\*\$/);
  assert.throws(() => substitute('${unknown}', { tenant: [], agent: [] }, range), /Cannot substitute/);
});
