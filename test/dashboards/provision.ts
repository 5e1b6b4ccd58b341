// Reads provisioning files as Grafana's file loader does: values (not keys) are expanded from the environment, `$$` is a
// dollar, and what it requires must be there. An unset variable is an empty text for Grafana; here it is an error.
import assert from 'node:assert/strict';
import { isRecord } from '#shared/json.ts';

type Provisioned = {
  readonly datasources: readonly {
    readonly name: string;
    readonly uid: string;
    readonly type: string;
    readonly access: string;
    readonly url: string;
    readonly user: string;
    readonly jsonData: Readonly<Record<'version' | 'dbName' | 'httpMode' | 'timeInterval', string>>;
    readonly secureJsonData: { readonly password: string };
  }[];
  readonly providers: readonly {
    readonly name: string;
    readonly type: string;
    readonly folder: string;
    readonly folderUid: string;
    readonly options: { readonly path: string };
  }[];
};

export function provision(read: (path: string) => unknown, environment: Readonly<Record<string, string>>): Provisioned {
  const sources = expand(read('datasources/mailferry.yaml'), environment);
  const dashboards = expand(read('dashboards/mailferry.yaml'), environment);
  for (const file of [sources, dashboards]) assert.ok(isRecord(file) && file['apiVersion'] === 1);
  const { datasources, providers } = { ...(sources as object), ...(dashboards as object) } as Provisioned; // checked below
  for (const source of datasources) {
    for (const text of [source.name, source.url]) assert.ok(text.length > 0);
    assert.match(source.uid, /^[A-Za-z0-9_-]{1,40}$/);
    assert.deepEqual([source.type, source.access, source.jsonData.version], ['influxdb', 'proxy', 'InfluxQL']);
    assert.ok(['GET', 'POST'].includes(source.jsonData.httpMode));
    assert.match(source.jsonData.timeInterval, /^[0-9]+(s|m)$/);
  }
  for (const provider of providers) {
    assert.equal(provider.type, 'file');
    for (const text of [provider.name, provider.folder, provider.options.path]) assert.ok(text.length > 0);
    assert.match(provider.folderUid, /^[A-Za-z0-9_-]{1,40}$/);
  }
  assert.equal(new Set(providers.map(({ name }) => name)).size, providers.length);
  return { datasources, providers };
}

function expand(value: unknown, environment: Readonly<Record<string, string>>): unknown {
  if (typeof value === 'string') {
    return value.replaceAll(
      /\$\$|\$\{([A-Za-z0-9_]+)\}|\$([A-Za-z0-9_]+)/g,
      (whole, braced?: string, bare?: string) => {
        if (whole === '$$') return '$';
        const name = braced ?? bare ?? '';
        return environment[name] ?? assert.fail('Cannot expand ' + whole + ': ' + name + ' is not set');
      },
    );
  }
  if (Array.isArray(value)) return value.map((item) => expand(item, environment));
  if (!isRecord(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, expand(child, environment)]));
}
