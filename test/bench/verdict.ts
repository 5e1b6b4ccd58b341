// A case of the benchmark: what was measured, against whom, and whether the bar holds. Pure.

export type Bar = {
  readonly kind: 'at-least' | 'at-most';
  readonly value: number;
};
/** As it is printed and written to the file. Numbers are null where nothing could be measured. */
export type Case = {
  readonly name: string;
  readonly unit: string;
  readonly ours: number | null;
  readonly peers: Readonly<Record<string, number>>;
  /** Ours by the peer's, or by the bar's value where the bar is a figure. */
  readonly ratio: number | null;
  /** `>= 1 x mpop`, `<= 30 MB`; empty where a figure is only told. */
  readonly bar: string;
  readonly holds: boolean;
  readonly note: string;
};
/** One repetition: rates measured one after the other, so that a busy machine slows both. */
export type Pair = { readonly ours: number; readonly peer: number };

/** The ratio is the median of the repetitions' ratios. */
export function against(options: {
  readonly name: string;
  readonly unit: string;
  readonly peer: string;
  readonly pairs: readonly Pair[];
  readonly atLeast: number;
  readonly note?: string;
}): Case {
  const { name, unit, peer, pairs, atLeast, note = '' } = options;
  const ratio = median(pairs.map(({ ours, peer }) => ours / peer));
  return {
    name,
    unit,
    ours: round(median(pairs.map(({ ours }) => ours))),
    peers: { [peer]: round(median(pairs.map((pair) => pair.peer))) },
    ratio: round(ratio),
    bar: '>= ' + atLeast + ' x ' + peer,
    holds: ratio >= atLeast,
    note,
  };
}

/** A figure of ours with a fixed bar; without one it is only told. `ours` null: it could not be measured, the bar is missed. */
export function figure(options: {
  readonly name: string;
  readonly unit: string;
  readonly ours: number | null;
  readonly bar?: Bar;
  readonly note?: string;
}): Case {
  const { name, unit, ours, bar, note = '' } = options;
  const sign = bar?.kind === 'at-least' ? '>= ' : '<= ';
  return {
    name,
    unit,
    ours: ours === null ? null : round(ours),
    peers: {},
    ratio: bar === undefined || ours === null || bar.value === 0 ? null : round(ours / bar.value),
    bar: bar === undefined ? '' : sign + round(bar.value) + ' ' + unit,
    holds: bar === undefined || (ours !== null && (bar.kind === 'at-least' ? ours >= bar.value : ours <= bar.value)),
    note,
  };
}

export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** By nearest rank; NaN of nothing. */
export function percentile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] ?? NaN;
}

/** Three digits are more than a benchmark knows. */
function round(value: number): number {
  return Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3));
}
