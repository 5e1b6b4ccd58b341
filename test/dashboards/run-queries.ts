// Runs every query of a dashboard against a real InfluxDB, substituted as Grafana substitutes. An unknown field, measurement
// or tag gives HTTP 200 and nothing at all: so data is required, and negative controls in the same run must be found bad.
import assert from 'node:assert/strict';

export type QueryRun = {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  /** Text of the dashboard file. */
  readonly dashboardJson: string;
  /** Milliseconds since 1970. */
  readonly from: number;
  readonly to: number;
  readonly tenants: readonly string[];
  readonly agents: readonly string[];
  /** Titles of panels that this data has nothing for. */
  readonly empty?: readonly string[];
};

type Dashboard = {
  readonly templating: {
    readonly list: readonly {
      readonly type: string;
      readonly name: string;
      readonly query?: unknown;
      readonly allValue?: string;
    }[];
  };
  readonly panels: readonly {
    readonly title: string;
    readonly targets: readonly { readonly refId: string; readonly query: string; readonly resultFormat: string }[];
  }[];
};
/** A choice in the drop-down lists at the top of the dashboard. */
type Choice = { readonly tenant: readonly string[]; readonly agent: readonly string[] };
type Answer = {
  readonly error: string | undefined;
  readonly series: readonly {
    readonly columns: readonly string[];
    readonly tags?: Readonly<Record<string, string>>;
    readonly values: readonly (readonly unknown[])[];
  }[];
};

/** Gives the number of queries that ran. */
export async function runEveryQuery(run: QueryRun): Promise<number> {
  const dashboard = JSON.parse(run.dashboardJson) as Dashboard; // the file that the project itself writes
  const all = ['$__all'] as const;
  const choices: readonly Choice[] = [
    { tenant: all, agent: all },
    ...run.tenants.map((tenant) => ({ tenant: [tenant], agent: all })),
    ...run.agents.map((agent) => ({ tenant: all, agent: [agent] })),
    { tenant: run.tenants.slice(0, 1), agent: run.agents.slice(0, 1) },
    { tenant: run.tenants, agent: run.agents },
  ];
  let count = 0;
  for (const choice of choices) {
    for (const variable of dashboard.templating.list.filter(({ type }) => type === 'query')) {
      assertData('variable ' + variable.name, await ask(run, substitute(String(variable.query), choice, run)), false);
      count += 1;
    }
    for (const panel of dashboard.panels.filter(({ title }) => run.empty?.includes(title) !== true)) {
      for (const { query, refId, resultFormat } of panel.targets) {
        const what = 'panel ' + panel.title + ' ' + refId;
        const answer = await ask(run, substitute(query, choice, run));
        assertData(what, answer, resultFormat === 'time_series');
        // A table shows the tags as columns.
        if (resultFormat === 'table')
          for (const { tags } of answer.series) assert.deepEqual(Object.keys(tags ?? {}), ['agent', 'tenant'], what);
        count += 1;
      }
    }
  }
  await assertControls(run, dashboard);
  return count;
}

/** A wrong query must be told from a right one, or this whole check is worth nothing. */
async function assertControls(run: QueryRun, dashboard: Dashboard): Promise<void> {
  const panel = dashboard.panels.find(({ title }) => run.empty?.includes(title) !== true);
  const right = substitute(panel?.targets[0]?.query ?? '', { tenant: ['$__all'], agent: ['$__all'] }, run);
  const wrong = {
    'a misspelt field': right.replace(/\("([a-z_]+)"/, '("$1x"'),
    'a misspelt measurement': right.replace(/FROM "([a-z_]+)"/, 'FROM "$1x"'),
    'a tag value in double quotes': right.replace('WHERE ', 'WHERE "tenant" = "acme" AND '),
    'a slash in a regular expression': right.replace('WHERE ', 'WHERE "tenant" =~ /a/b/ AND '),
  };
  assertData('the right query', await ask(run, right), true);
  for (const [what, query] of Object.entries(wrong)) {
    assert.notEqual(query, right, 'the control "' + what + '" changes nothing');
    const answer = await ask(run, query);
    assert.throws(
      () => assertData(what, answer, true),
      { name: 'AssertionError' },
      what + ' was taken for a good query',
    );
  }
}

function assertData(what: string, answer: Answer, timed: boolean): void {
  assert.equal(answer.error, undefined, what);
  assert.ok(answer.series.length > 0, what + ': no series');
  const rows = answer.series.flatMap(({ values }) => values);
  assert.ok(
    rows.some((row) => row.slice(1).some((value) => value !== null)),
    what + ': only empty values',
  );
  // A query without steps of time answers at its start; 1970 means that the time range did not reach the inner query.
  if (timed)
    assert.ok(
      rows.every(([at]) => typeof at === 'number' && at > 0),
      what + ': a row in 1970',
    );
}

export function substitute(query: string, choice: Choice, run: Pick<QueryRun, 'from' | 'to'>): string {
  const values: Readonly<Record<string, string>> = {
    'tenant:regex': toRegex(choice.tenant),
    'agent:regex': toRegex(choice.agent),
  };
  const text = query
    .replaceAll(/\$\{([a-z]+(?::[a-z]+)?)\}/g, (whole, name: string) => values[name] ?? whole)
    .replaceAll('$timeFilter', `time >= ${run.from}ms and time <= ${run.to}ms`)
    .replaceAll('$__interval', '10s');
  const left = /\$[{_a-zA-Z]/.exec(text);
  if (left !== null) throw new Error('Cannot substitute ' + text.slice(left.index, left.index + 30) + ' in ' + query);
  return text;
}

/** As Grafana's `regex` format does: All is the variable's own text, one value is escaped, several are an alternative. */
function toRegex(values: readonly string[]): string {
  if (values.includes('$__all')) return '.*';
  const escaped = values.map((value) => value.replaceAll(/[\\^$*+?.()|[\]{}/]/g, '\\$&'));
  return escaped.length === 1 ? (escaped[0] ?? '') : '(' + escaped.join('|') + ')';
}

async function ask(run: QueryRun, query: string): Promise<Answer> {
  const body = new URLSearchParams({ db: run.database, epoch: 'ms', q: query });
  const response = await fetch(`http://${run.host}:${run.port}/query`, {
    method: 'POST',
    body,
    signal: AbortSignal.timeout(10_000),
  });
  const answer = (await response.json()) as {
    readonly error?: string;
    readonly results?: readonly { readonly error?: string; readonly series?: Answer['series'] }[];
  }; // InfluxDB's documented shape
  return { error: answer.error ?? answer.results?.[0]?.error, series: answer.results?.[0]?.series ?? [] };
}
