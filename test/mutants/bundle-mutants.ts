// Faults planted in how bundle, container and release are made, each guarded by one test.
import type { Mutant } from './agent-mutants.ts';

type Row = readonly [title: string, source: string, what: string, text: string, replacement: string];

const guards: readonly (readonly [tests: string, rows: readonly Row[]])[] = [
  [
    'test/agent/package/bundle.test.ts',
    [
      [
        'it asks for modules of Node alone',
        'agent/package/lighter.ts',
        'a package is left outside',
        '/^supports-color$/',
        '/^never$/',
      ],
      [
        'it is ASCII',
        'agent/package/bundle.ts',
        'letters are written as they are',
        "charset: 'ascii'",
        "charset: 'utf8'",
      ],
      [
        'it is ASCII',
        'agent/package/lighter.ts',
        'the map holds where packages lie',
        'path: name, namespace',
        'path: real, namespace',
      ],
      [
        'a package whose licence is not known',
        'agent/package/licences.ts',
        'every licence will do',
        'if (!isAccepted(licence))',
        'if (licence.length < 0)',
      ],
      [
        'of several licences one must be known',
        'agent/package/licences.ts',
        'each of several must be known',
        'choices.some(',
        'choices.every(',
      ],
      [
        'the folder of a package is found',
        'agent/package/licences.ts',
        'packages within packages are not seen',
        '/^(?:.*\\/)?node_modules',
        '/^node_modules',
      ],
    ],
  ],
  [
    'test/agent/package/changes.test.ts',
    [
      [
        'a version that the changelog does not tell of',
        'agent/package/changes.ts',
        'the first of two sections is taken',
        'found.length === 1 && ',
        '',
      ],
      [
        'the changes of a version are its section',
        'agent/package/changes.ts',
        'a version matches the beginning of another one',
        'section.split(/[\\s(]/, 1)[0] === version',
        'section.startsWith(version.slice(0, 3))',
      ],
    ],
  ],
  [
    'test/agent/package/release.live.test.ts',
    [
      [
        'the files of the container',
        'agent/package/container/Dockerfile',
        'it runs as root',
        'USER 1000:1000',
        'USER root',
      ],
      [
        'the files of the container',
        'agent/package/container/compose.yaml',
        'its root can be written',
        'read_only: true',
        'read_only: false',
      ],
      [
        'the files of the container',
        'agent/package/spk/files/target/bin/places',
        'DSM starts it otherwise',
        ' --no-sparkplug',
        '',
      ],
    ],
  ],
  [
    'test/agent/package/bundle.live.test.ts',
    [
      [
        'on the Node of these tests as well',
        'agent/package/lighter.ts',
        'HTTP is loaded at the start',
        "['node:http', 'node:https']",
        '[]',
      ],
    ],
  ],
];

export const bundleMutants: readonly Mutant[] = guards.flatMap(([tests, rows]) =>
  rows.map(([title, source, what, text, replacement]) => ({ tests, title, source, what, text, replacement })),
);
