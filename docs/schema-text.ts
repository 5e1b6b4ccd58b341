// docs/mailferry-*.schema.json: the schemas as JSON Schema (draft 7), for editors that check and complete YAML while it is typed.
import type { TSchema } from 'typebox';

/** The keywords that our schemas use; `help` and `hidden` are ours alone. */
type Node = Readonly<Record<string, unknown>> & {
  readonly anyOf?: readonly Node[];
  readonly properties?: Readonly<Record<string, Node>>;
  readonly patternProperties?: Readonly<Record<string, Node>>;
  readonly required?: readonly string[];
  readonly items?: Node;
  readonly description?: string;
  readonly help?: string;
};

const plain = [
  'type',
  'const',
  'minItems',
  'maxItems',
  'minLength',
  'maxLength',
  'pattern',
  'minimum',
  'maximum',
  'default',
  'additionalProperties',
] as const;

export function buildSchema(title: string, schema: TSchema): string {
  const head = { $schema: 'http://json-schema.org/draft-07/schema#', title };
  return JSON.stringify({ ...head, ...translate(schema as unknown as Node) }, undefined, 2) + '\n'; // TypeBox's schemas are JSON Schema
}

function translate(node: Node): Record<string, unknown> {
  const { anyOf, properties, patternProperties, required, items } = node;
  const description = node.help ?? node.description;
  const all = (nodes: Readonly<Record<string, Node>>) =>
    Object.fromEntries(Object.entries(nodes).map(([name, child]) => [name, translate(child)]));
  // What has a default need not be written.
  const needed = (required ?? []).filter((name) => !('default' in (properties?.[name] ?? {})));
  return {
    ...(description === undefined ? {} : { description }),
    ...Object.fromEntries(plain.flatMap((key) => (node[key] === undefined ? [] : [[key, node[key]]]))),
    ...(anyOf && { anyOf: anyOf.map(translate) }),
    ...(properties && { properties: all(properties) }),
    ...(patternProperties && { patternProperties: all(patternProperties) }),
    ...(needed.length > 0 && { required: needed }),
    ...(items && { items: translate(items) }),
  };
}
