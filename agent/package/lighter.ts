// What the bundle does with the modules of others so that the agent stays small on a NAS: what is never used is not loaded,
// what is rarely used is loaded when it is. Nothing here changes what a module does. Measured by `npm run bench:agent`.
import { relative } from 'node:path';
import type { Plugin } from 'esbuild';

type Late = {
  /** File that asks for the module, and what it writes to do so. */
  readonly importer: RegExp;
  readonly path: RegExp;
  /** Export of the module that takes its place; the module itself by default. */
  readonly pick?: string;
};

/** Modules that stand at the top of files which use one function of them, or none. */
const late: readonly Late[] = [
  // HTTP, 6 MB: to send an attachment from an address, which nobody asks for; to reach a broker by WebSocket; DNS over HTTPS.
  { importer: /nodemailer\/dist\/esm\/shared\/index\.js$/, path: /^\.\.\/fetch\/index\.js$/, pick: 'default' },
  { importer: /mqtt\/build\/lib\/connect\/index\.js$/, path: /^\.\/ws$/ },
  { importer: /dns2\/index\.js$/, path: /^\.\/client\/(?:doh|google)$/ },
  { importer: /dns2\/index\.js$/, path: /^\.\/server$/ },
];

/** Each `late` module becomes a stand-in that loads it with the first call. */
export function createLateModules(): { readonly plugin: Plugin; readonly unused: () => readonly string[] } {
  const used = new Set<Late>();
  const plugin: Plugin = {
    name: 'late-modules',
    setup(build) {
      build.onResolve({ filter: /^\./ }, async ({ path, importer, resolveDir, kind, pluginData }) => {
        if (pluginData === inside) return undefined;
        const found = late.find((one) => one.importer.test(importer) && one.path.test(path));
        if (found === undefined) return undefined;
        used.add(found);
        const { path: real } = await build.resolve(path, { importer, resolveDir, kind, pluginData: inside });
        const name = relative(build.initialOptions.absWorkingDir ?? '', real); // it shows in the source map
        return { path: name, namespace: 'late', pluginData: { pick: found.pick, path, resolveDir } };
      });
      build.onLoad({ filter: /./, namespace: 'late' }, ({ pluginData }) => {
        const { pick, path, resolveDir } = pluginData as Readonly<Record<string, string>>; // set above
        const module = 'require(' + JSON.stringify(path) + ')' + (pick === undefined ? '' : '.' + pick);
        return { contents: standIn(module), resolveDir: resolveDir ?? '', loader: 'js' };
      });
    },
  };
  return {
    plugin,
    unused: () => late.filter((one) => !used.has(one)).map(({ importer, path }) => importer + ' ' + path),
  };
}

const inside = 'the module itself';

/** A function and an object at once, as what it stands for may be either. */
function standIn(real: string): string {
  return (
    'module.exports = new Proxy(function () {}, {' +
    ` apply: (_, self, given) => Reflect.apply(${real}, self, given),` +
    ` construct: (_, given) => Reflect.construct(${real}, given),` +
    ` get: (_, name) => name === '__esModule' ? undefined : (...given) => ${real}[name](...given) });`
  );
}

/**
 * Imports of Node's modules would stand at the top of the file, all of them, and be loaded at the start whatever is asked for.
 * So each is loaded by the first module that is run and wants it.
 */
export const lateBuiltins: Plugin = {
  name: 'late-builtins',
  setup(build) {
    build.onResolve({ filter: /^node:/ }, ({ path, kind }) =>
      kind === 'import-statement' ? { path, namespace: 'builtin' } : undefined,
    );
    build.onLoad({ filter: /./, namespace: 'builtin' }, ({ path }) => ({ contents: builtinModule(path) }));
  },
};

/** Cost memory by being there: their functions load them with the first call. */
const heavy: readonly string[] = ['node:http', 'node:https'];

/** What nobody imports falls away, as each export is a call without effects: to read some of them would load much. */
function builtinModule(path: string): string {
  const module = new Map(Object.entries(process.getBuiltinModule(path) ?? {}));
  const names = [...module.keys()].filter((name) => /^[a-z]\w*$/i.test(name) && name !== 'default');
  const value = (name: string): string => {
    const isPlainFunction = typeof module.get(name) === 'function' && /^[a-z]/.test(name);
    if (!heavy.includes(path) || !isPlainFunction) return `/* @__PURE__ */ pick(${JSON.stringify(name)})`;
    return `(...given) => pick(${JSON.stringify(name)})(...given)`;
  };
  return [
    `const all = () => process.getBuiltinModule(${JSON.stringify(path)});`,
    'const pick = (name) => all()[name];',
    ...names.map((name) => `const ${name}_ = ${value(name)}; export { ${name}_ as ${name} };`),
    heavy.includes(path)
      ? 'export default new Proxy({}, { get: (_, name) => pick(name) });'
      : 'export default /* @__PURE__ */ all();',
  ].join('\n');
}

/**
 * Packages that others use when they happen to be there, and here never are; and tables of East Asian charsets, half a megabyte
 * for an IMAP client that is only told that there is mail, and decodes none.
 */
export const withoutExtras: Plugin = {
  name: 'without-extras',
  setup(build) {
    build.onResolve({ filter: /^supports-color$/ }, ({ path }) => ({ path, namespace: 'extra' }));
    build.onResolve({ filter: /^\.\/tables\/[a-z0-9-]+\.json$/ }, ({ path, importer }) =>
      importer.includes('/iconv-lite/') ? { path, namespace: 'extra' } : undefined,
    );
    build.onLoad({ filter: /./, namespace: 'extra' }, () => ({ contents: 'module.exports = {};' }));
  },
};
