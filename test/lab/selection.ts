// Which test files a run takes, and in which order.

/**
 * `unit`: only files that need no servers. `filters`: beginnings or parts of paths; without any, all files.
 * Long ones first, so that none runs alone at the end.
 */
export function selectFiles(
  files: readonly string[],
  options: { readonly unit: boolean; readonly filters: readonly string[] },
): readonly string[] {
  const filters = options.filters.map((filter) => filter.replace(/^\.\//, ''));
  return files
    .filter((file) => file.endsWith('.test.ts') && !(options.unit && isLive(file)))
    .filter((file) => filters.length === 0 || filters.some((filter) => file.includes(filter)))
    .sort((a, b) => weight(a) - weight(b) || (a < b ? -1 : 1));
}

export function isLive(file: string): boolean {
  return file.endsWith('.live.test.ts');
}

function weight(file: string): number {
  if (!isLive(file)) return 2;
  return /^test\/(?:flow|faults)\//.test(file) ? 0 : 1;
}
