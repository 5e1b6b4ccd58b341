// Building the document. Promise: what comes from outside becomes text or an attribute of a fixed name, never markup.

import { ago, unknownLook } from './words.js';

/** @typedef {Node | string | null | undefined} Child */

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Readonly<Record<string, string | undefined>>} attributes
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) node.setAttribute(name, value);
  for (const child of children) if (child !== null && child !== undefined) node.append(child);
  return node;
}

/**
 * @param {string} tag
 * @param {Readonly<Record<string, string>>} attributes
 * @param {...Node} children
 */
export function svg(tag, attributes, ...children) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Shapes differ, so that no state is told by colour alone. @type {Readonly<Record<string, string>>} */
const shapes = {
  dot: 'M8 3a5 5 0 1 0 0 10A5 5 0 0 0 8 3z',
  half: 'M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zm0 2v8a4 4 0 0 1 0-8z',
  ring: 'M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zm0 2.2a3.8 3.8 0 1 1 0 7.6 3.8 3.8 0 0 1 0-7.6z',
  check: 'M6.3 13.2 1.9 8.8l1.7-1.7 2.7 2.7 6.1-6.1 1.7 1.7z',
  cross: 'M4.1 2.5 8 6.4l3.9-3.9 1.6 1.6L9.6 8l3.9 3.9-1.6 1.6L8 9.6l-3.9 3.9-1.6-1.6L6.4 8 2.5 4.1z',
  bar: 'M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8zM4.4 7h7.2v2H4.4z',
  mark: 'M8 1.4 15.2 14H.8zM7.1 6v4h1.8V6zm0 5v1.6h1.8V11z',
};

/** @param {string} name */
export function icon(name) {
  const path = svg('path', { d: shapes[name] ?? shapes['dot'] ?? '', 'fill-rule': 'evenodd', fill: 'currentColor' });
  return svg('svg', { class: 'icon', viewBox: '0 0 16 16', width: '16', height: '16', 'aria-hidden': 'true' }, path);
}

/**
 * Shape, colour and word of a state.
 * @param {import('./words.js').Look | undefined} look
 * @param {string} [text] instead of the look's own word
 */
export function badge(look, text) {
  const { word, tone, icon: shape, meaning } = look ?? unknownLook;
  return el('span', { class: 'badge ' + tone, title: meaning === '' ? undefined : meaning }, icon(shape), text ?? word);
}

let serverOffsetMs = 0;

/** The collector's clock is the one that counts. @param {number} serverNow */
export function setServerTime(serverNow) {
  serverOffsetMs = serverNow - Date.now();
}
export function serverNow() {
  return Date.now() + serverOffsetMs;
}

const absolute = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });

/** Relative time that ages by itself, the absolute one as its title.
 * @param {string | null} iso */
export function timeAgo(iso) {
  if (iso === null) return el('span', { class: 'muted' }, 'never');
  const at = Date.parse(iso);
  return el('time', { datetime: iso, title: absolute.format(at), 'data-at': String(at) }, ago(serverNow() - at));
}

/** Lets all relative times age; call once a second. */
export function ageTimes() {
  const now = serverNow();
  for (const node of document.querySelectorAll('time[data-at]')) {
    const text = ago(now - Number(node.getAttribute('data-at')));
    if (node.textContent !== text) node.textContent = text;
  }
}

/** Replaces the children only when what they show has changed, so that selection and scrolling survive.
 * @param {Element} node
 * @param {unknown} facts
 * @param {() => readonly Child[]} build */
export function show(node, facts, build) {
  const key = JSON.stringify(facts);
  if (shown.get(node) === key) return;
  shown.set(node, key);
  node.replaceChildren(...build().filter((child) => child !== null && child !== undefined));
}
/** @type {WeakMap<Element, string>} */
const shown = new WeakMap();
