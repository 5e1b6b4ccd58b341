// Numbers and states in words. Pure: no document, no clock of its own.

const whole = new Intl.NumberFormat('en');
const oneDigit = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });

/** @param {number} value */
export function count(value) {
  return whole.format(Math.round(value));
}

/** @param {number} value */
export function decimal(value) {
  return Math.abs(value) >= 100 ? count(value) : oneDigit.format(value);
}

/**
 * @param {number} number
 * @param {string} one
 * @param {string} [many]
 */
export function plural(number, one, many = one + 's') {
  return count(number) + ' ' + (Math.round(number) === 1 ? one : many);
}

/**
 * A span as people say it: at most two units, the second only while it matters.
 * @param {number} seconds
 */
export function duration(seconds) {
  const value = Math.max(0, seconds);
  if (value < 10) return oneDigit.format(value) + ' s';
  const total = Math.round(value);
  if (total < 60) return total + ' s';
  if (total < 3_600) return Math.floor(total / 60) + ' min';
  if (total < 86_400) return two(total, 3_600, 'h', 60, 'min');
  return two(total, 86_400, 'd', 3_600, 'h');
}

/**
 * @param {number} total
 * @param {number} bigSize
 * @param {string} big
 * @param {number} smallSize
 * @param {string} small
 */
function two(total, bigSize, big, smallSize, small) {
  const rest = Math.floor((total % bigSize) / smallSize);
  const head = Math.floor(total / bigSize) + ' ' + big;
  return rest === 0 ? head : head + ' ' + rest + ' ' + small;
}

/** @param {number} ms age in milliseconds */
export function ago(ms) {
  if (ms < 3_000) return 'just now';
  const seconds = ms / 1_000;
  return (seconds < 60 ? Math.floor(seconds) + ' s' : duration(seconds)) + ' ago';
}

/** @param {number} value */
export function bytes(value) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let size = value;
  let unit = 0;
  while (size >= 1_000 && unit < units.length - 1) {
    size /= 1_000;
    unit += 1;
  }
  return decimal(size) + ' ' + units[unit];
}

/** @typedef {'good' | 'warn' | 'bad' | 'idle'} Tone */
/** @typedef {{ readonly word: string, readonly tone: Tone, readonly icon: string, readonly meaning: string }} Look */

/** @type {Readonly<Record<string, Look>>} */
export const agentLooks = {
  online: { word: 'online', tone: 'good', icon: 'dot', meaning: 'It reports.' },
  stale: {
    word: 'stale',
    tone: 'warn',
    icon: 'half',
    meaning: 'It has not reported for a while, or not since the collector started.',
  },
  offline: {
    word: 'offline',
    tone: 'bad',
    icon: 'ring',
    meaning: 'It is not connected. The figures are the last ones it sent.',
  },
};

/** @type {Readonly<Record<string, Look>>} */
export const dnsblLooks = {
  listed: { word: 'listed', tone: 'bad', icon: 'cross', meaning: 'Receivers that use this list may refuse mail.' },
  refused: {
    word: 'refused',
    tone: 'warn',
    icon: 'bar',
    meaning: 'The list does not answer this resolver; nothing is known.',
  },
  error: { word: 'error', tone: 'warn', icon: 'mark', meaning: 'The question failed; nothing is known.' },
  'zone-unhealthy': {
    word: 'zone unhealthy',
    tone: 'warn',
    icon: 'mark',
    meaning: 'The list gives wrong answers to test questions and is not believed.',
  },
  clean: { word: 'clean', tone: 'good', icon: 'check', meaning: 'Not on the list.' },
};

/** @type {Readonly<Record<string, Look>>} */
export const severityLooks = {
  critical: { word: 'Critical', tone: 'bad', icon: 'cross', meaning: '' },
  warning: { word: 'Warning', tone: 'warn', icon: 'mark', meaning: '' },
  info: { word: 'Note', tone: 'idle', icon: 'dot', meaning: '' },
};

/** @type {Look} */
export const unknownLook = {
  word: 'unknown',
  tone: 'warn',
  icon: 'mark',
  meaning: 'This page does not know the word.',
};

/** How loud a row is: 0 needs a person, 2 is well.
 * @param {import('./live.js').AgentItem} item */
export function rank(item) {
  if (item.hold !== '' || item.state === 'offline' || item.failing.count > 0 || item.failing.relays.length > 0)
    return 0;
  const doubts = item.dnsbl.listed + item.held + item.quarantine;
  return item.state === 'stale' || doubts > 0 || item.queue.oldestSeconds > 900 ? 1 : 2;
}
