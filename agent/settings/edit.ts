// One change of a YAML document. Promise: only the node at the path changes; a path that leads through an alias or a text is
// refused instead of being written over.
import { isCollection, isMap, isPair, isScalar, isSeq } from 'yaml';
import type { Document, YAMLMap } from 'yaml';
import type { Path } from '#shared/config-problems.ts';
import { UserError, describe } from '#shared/failure.ts';

export type Plain = string | number | boolean | null | readonly Plain[] | { readonly [name: string]: Plain };
export type Edit =
  /** Blocks on the way are made. `comment` is put above an option that was not there. */
  | { readonly kind: 'set'; readonly path: Path; readonly value: Plain; readonly comment?: string }
  /** At the end of a list, which is made when it is not there. */
  | { readonly kind: 'add'; readonly path: Path; readonly value: Plain }
  /** What is not there is removed already. A block that becomes empty by it goes too. */
  | { readonly kind: 'remove'; readonly path: Path }
  /** `text` goes into the file that the option names, or into a new file `secrets/name` beside the configuration. */
  | { readonly kind: 'secret'; readonly path: Path; readonly text: string; readonly name: string };
export type DocumentEdit = Exclude<Edit, { kind: 'secret' }>;

/** Throws UserError when the document has no place for it. */
export function applyEdit(file: string, document: Document, edit: DocumentEdit): void {
  try {
    if (edit.kind === 'remove') remove(document, edit.path);
    else if (edit.kind === 'add') add(document, edit.path, edit.value);
    else set(document, edit);
  } catch (error) {
    throw new UserError(
      'Cannot change option ' +
        edit.path.join('.') +
        ' in ' +
        file +
        ': ' +
        describe(error) +
        ', expected an option that stands there by itself; change it by hand',
      { cause: error },
    );
  }
}

function set(document: Document, edit: Extract<Edit, { kind: 'set' }>): void {
  const { path, value, comment } = edit;
  const there: unknown = document.getIn(path, true);
  // The node is kept, and with it the comment behind it and the way it is quoted.
  if (isScalar(there) && (value === null || typeof value !== 'object')) {
    there.value = value;
    return;
  }
  makeRoot(document);
  document.setIn(path, nodeOf(document, value));
  if (there !== undefined) return;
  const parent: unknown = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  if (isMap(parent)) dress(document, parent, String(path.at(-1)), path.length === 1, comment);
}

/** A new option of the top level stands apart from the one before when it is a block. */
function dress(document: Document, parent: YAMLMap, name: string, isTop: boolean, comment: string | undefined): void {
  const pair = parent.items.find((item) => isPair(item) && keyOf(item.key) === name);
  if (pair === undefined) return;
  const key = document.createNode(name);
  const first = parent.items[0] === pair;
  if (isTop && !first && (isCollection(pair.value) || comment !== undefined)) key.spaceBefore = true;
  if (comment !== undefined)
    key.commentBefore = comment
      .split('\n')
      .map((line) => ' ' + line)
      .join('\n');
  pair.key = key;
}

const keyOf = (key: unknown): unknown => (isScalar(key) ? key.value : key);

function add(document: Document, path: Path, value: Plain): void {
  const list: unknown = document.getIn(path, true);
  if (isSeq(list)) {
    // An empty one is written as [], and would take its first item into the same line.
    if (list.items.length === 0) list.flow = false;
    list.add(nodeOf(document, value));
    return;
  }
  if (list !== undefined && !(isScalar(list) && list.value === null)) throw new Error('it is no list');
  if (list !== undefined) document.deleteIn(path);
  makeRoot(document);
  set(document, { kind: 'set', path, value: [] });
  const made: unknown = document.getIn(path, true);
  if (!isSeq(made)) throw new Error('it cannot be made a list');
  made.flow = false;
  made.add(nodeOf(document, value));
}

function remove(document: Document, path: Path): void {
  if (!document.hasIn(path)) return;
  document.deleteIn(path);
  for (let length = path.length - 1; length > 0; length -= 1) {
    const parent: unknown = document.getIn(path.slice(0, length), true);
    if (!isCollection(parent) || parent.items.length > 0) return;
    // An item of a list goes with its number: those after it would move.
    if (typeof path[length - 1] === 'number') return;
    document.deleteIn(path.slice(0, length));
  }
}

function makeRoot(document: Document): void {
  if (document.contents === null) document.contents = document.createNode({});
}

/** Short ones in one line, as a person would type them: {file: PATH}, [a, b]. */
function nodeOf(document: Document, value: Plain): unknown {
  const node = document.createNode(value);
  flowShort(node);
  return node;
}

const maxFlow = 70;

function flowShort(node: unknown): void {
  if (!isCollection(node)) return;
  const values = node.items.map((item: unknown) => (isPair(item) ? item.value : item));
  const letters = values.reduce((sum: number, value) => sum + (isScalar(value) ? String(value.value).length : 0), 0);
  const isShort = values.every(isScalar) && letters + 2 * values.length <= maxFlow;
  if (isShort && (isSeq(node) || values.length === 1)) node.flow = true;
  for (const value of values) flowShort(value);
}
