// One chart: a heading with what it shows in words, a legend that reads the value under the pointer, and the drawing.

// The package's own file, served by the collector: there is no build that could resolve its name.
// oxlint-disable-next-line import/no-absolute-path, import/default
import uPlot from '/vendor/uPlot.esm.js';
import { el } from './dom.js';

/**
 * @typedef {{ label: string, colour: string, kind: 'bars' | 'line' | 'steps', dash?: number[], mirrored?: boolean }} Line
 * @typedef {{ title: string, lines: readonly Line[], format: (value: number) => string, empty: string, least: number,
 *   steps?: number[] }} Spec `least`: top of the scale when all values are small; `steps`: distances the scale's lines may have
 */

const height = 190;
const bars = uPlot.paths.bars?.({ size: [0.75, 26], align: 1 });
const steps = uPlot.paths.stepped?.({ align: 1 });
const timeFormat = new Intl.DateTimeFormat('en-GB', { weekday: 'short', hour: '2-digit', minute: '2-digit' });

/** @param {Spec} spec */
export function createChart(spec) {
  const summary = el('p', { class: 'said' });
  const readouts = spec.lines.map(() => el('b', {}));
  const when = el('span', { class: 'muted at' });
  const legend = el(
    'p',
    { class: 'legend', 'aria-hidden': 'true' },
    ...spec.lines.map((line, index) =>
      el(
        'span',
        { class: 'key ' + line.colour },
        el('i', { class: line.dash ? 'dashed' : line.kind }),
        line.label,
        ' ',
        readouts[index],
      ),
    ),
    when,
  );
  const plot = el('div', { class: 'plot', role: 'img' });
  const nothing = el('p', { class: 'nothing muted' }, spec.empty);
  const node = el(
    'figure',
    { class: 'chart' },
    el('figcaption', {}, el('h3', {}, spec.title), summary),
    legend,
    plot,
    nothing,
  );
  /** @type {uPlot | undefined} */
  let drawn;
  /** @type {uPlot.AlignedData} */
  let data = [[]];

  function draw() {
    drawn?.destroy();
    drawn = undefined;
    const width = plot.clientWidth;
    if (width > 0 && !plot.hidden) drawn = new uPlot(options(spec, width, node, showValues), data, plot);
  }

  /** @param {uPlot} chart */
  function showValues(chart) {
    const index = chart.cursor.idx;
    const at = index === null || index === undefined ? undefined : chart.data[0][index];
    when.textContent = at === undefined ? '' : timeFormat.format(at * 1_000);
    for (const [line, readout] of readouts.entries()) {
      const value = at === undefined ? undefined : chart.data[line + 1]?.[index ?? 0];
      readout.textContent = value === undefined ? '' : value === null ? none(line) : spec.format(Math.abs(value));
    }
  }

  /** @param {number} line */
  const none = (line) => (spec.lines[line]?.kind === 'bars' ? spec.format(0) : '–');

  const resized = new ResizeObserver(() => {
    const width = plot.clientWidth;
    if (drawn === undefined) draw();
    else if (width > 0 && width !== drawn.width) drawn.setSize({ width, height });
  });
  resized.observe(plot);
  const theme = matchMedia('(prefers-color-scheme: dark)');
  theme.addEventListener('change', draw);

  return {
    node,
    /** @param {readonly number[]} times @param {readonly (readonly (number | null)[])[]} values @param {string} words */
    set(times, values, words) {
      const signed = values.map((line, index) => shape(line, spec.lines[index]));
      const isEmpty = values.every((line) => line.every((value) => value === null || value === 0));
      const told = values.some((line) => line.some((value) => value !== null));
      data = /** @type {uPlot.AlignedData} */ ([[...times], ...signed]);
      summary.textContent = words;
      plot.setAttribute('aria-label', spec.title + '. ' + words);
      nothing.hidden = told && !(isEmpty && spec.lines[0]?.kind === 'bars');
      plot.hidden = !nothing.hidden;
      legend.hidden = plot.hidden;
      if (plot.hidden || drawn === undefined || drawn.data[0].length !== times.length) draw();
      else drawn.setData(data);
    },
    close() {
      resized.disconnect();
      theme.removeEventListener('change', draw);
      drawn?.destroy();
    },
  };
}

/**
 * No bar at all where nothing happened; what goes out hangs below the line.
 * @param {readonly (number | null)[]} values
 * @param {Line | undefined} line
 */
function shape(values, line) {
  return values.map((value) => {
    if (value === null || (value === 0 && line?.kind === 'bars')) return null;
    return line?.mirrored ? -value : value;
  });
}

/**
 * @param {Spec} spec
 * @param {number} width
 * @param {HTMLElement} node where the colours are defined
 * @param {(chart: uPlot) => void} onCursor
 * @returns {uPlot.Options}
 */
function options(spec, width, node, onCursor) {
  const style = getComputedStyle(node);
  /** @param {string} name */
  const colour = (name) => style.getPropertyValue('--' + name).trim();
  const font = '12px ' + style.fontFamily;
  const mirrored = spec.lines.some((line) => line.mirrored);
  const axis = { stroke: colour('muted'), font, ticks: { show: false }, grid: { stroke: colour('line'), width: 1 } };
  return {
    width,
    height,
    legend: { show: false },
    padding: [8, 22, 0, 0],
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
    scales: {
      y: {
        range: (_chart, low, high) => {
          const top = Math.max(spec.least, (high ?? 0) * 1.08);
          return mirrored ? [Math.min(-spec.least, (low ?? 0) * 1.08), top] : [0, top];
        },
      },
    },
    axes: [
      { ...axis, grid: { show: false }, size: 28, space: 70, values: timeLabels },
      {
        ...axis,
        size: 62,
        space: 30,
        ...(spec.steps ? { incrs: spec.steps } : {}),
        values: (_chart, splits) => splits.map((value) => spec.format(Math.abs(value))),
      },
    ],
    series: [
      {},
      ...spec.lines.map((line) => ({
        stroke: colour(line.colour),
        width: line.kind === 'bars' ? 0 : 2,
        ...(line.kind === 'line' ? {} : { fill: colour(line.colour + (line.kind === 'bars' ? '' : '-soft')) }),
        ...(line.dash ? { dash: line.dash } : {}),
        ...(line.kind === 'bars' && bars ? { paths: bars } : line.kind === 'steps' && steps ? { paths: steps } : {}),
        points: { show: line.kind === 'line' && !line.dash, size: 5, fill: colour(line.colour) },
        spanGaps: line.kind === 'line',
      })),
    ],
    hooks: { setCursor: [onCursor] },
  };
}

const hourFormat = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
const dayFormat = new Intl.DateTimeFormat('en-GB', { weekday: 'short', day: 'numeric' });

/** @param {uPlot} _chart @param {number[]} splits */
function timeLabels(_chart, splits) {
  return splits.map((at) => {
    const date = new Date(at * 1_000);
    return (date.getHours() === 0 && date.getMinutes() === 0 ? dayFormat : hourFormat).format(date);
  });
}
