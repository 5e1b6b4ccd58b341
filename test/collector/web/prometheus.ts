// An independent reader of Prometheus' text exposition format 0.0.4, strict where real ones are lax. For tests.

export type Sample = {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
};
export type Family = { readonly help: string; readonly type: string; readonly samples: readonly Sample[] };

export function parsePrometheus(text: string): ReadonlyMap<string, Family> {
  if (!text.endsWith('\n')) throw new Error('the last line has no end');
  const families = new Map<string, { help: string; type: string; samples: Sample[] }>();
  const seen = new Set<string>();
  let current = '';
  for (const line of text.slice(0, -1).split('\n')) {
    const head = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.*)$/.exec(line);
    if (head !== null) {
      const [, kind, name = '', rest = ''] = head;
      if (kind === 'HELP') {
        if (families.has(name)) throw new Error('second HELP of ' + name);
        families.set(name, { help: rest, type: '', samples: [] });
        current = name;
      } else {
        const family = families.get(name);
        if (family === undefined || current !== name || family.samples.length > 0)
          throw new Error('TYPE out of place: ' + line);
        if (!['counter', 'gauge'].includes(rest)) throw new Error('unknown type: ' + line);
        family.type = rest;
      }
      continue;
    }
    const sample = parseSample(line);
    if (sample.name !== current) throw new Error('sample outside its family: ' + line);
    const key = sample.name + JSON.stringify(Object.entries(sample.labels).toSorted(([a], [b]) => (a < b ? -1 : 1)));
    if (seen.has(key)) throw new Error('the same series twice: ' + line);
    seen.add(key);
    families.get(current)?.samples.push(sample);
  }
  return families;
}

function parseSample(line: string): Sample {
  const start = /^([a-zA-Z_:][a-zA-Z0-9_:]*)\{/.exec(line);
  if (start === null) throw new Error('no sample: ' + line);
  const labels: Record<string, string> = {};
  let at = start[0].length;
  while (line[at] !== '}') {
    const name = /^[a-zA-Z_][a-zA-Z0-9_]*(?==")/.exec(line.slice(at))?.[0];
    if (name === undefined || Object.hasOwn(labels, name)) throw new Error('bad label at ' + at + ': ' + line);
    at += name.length + 2;
    let value = '';
    for (; line[at] !== '"'; at += 1) {
      if (at >= line.length) throw new Error('label without end: ' + line);
      if (line[at] !== '\\') {
        value += line[at];
        continue;
      }
      at += 1;
      const escaped = { '\\': '\\', '"': '"', n: '\n' }[line[at] ?? ''];
      if (escaped === undefined) throw new Error('bad escape at ' + at + ': ' + line);
      value += escaped;
    }
    labels[name] = value;
    at += 1;
    if (line[at] === ',') at += 1;
    else if (line[at] !== '}') throw new Error('bad end of label at ' + at + ': ' + line);
  }
  const value = /^\} (-?[0-9.]+(?:e[+-]?[0-9]+)?)$/.exec(line.slice(at))?.[1];
  if (value === undefined) throw new Error('bad value: ' + line);
  return { name: start[1] ?? '', labels, value: Number(value) };
}
