// Node 22 warns at each start that its SQLite is experimental. Whoever runs the programs can do nothing about that.

/** To be called before anything that warns is loaded. Other warnings stay. */
export function hideKnownWarnings(): void {
  const emit = process.emitWarning.bind(process) as (...args: readonly unknown[]) => void; // it has three overloads
  process.emitWarning = (warning: string | Error, ...rest: readonly unknown[]): void => {
    if (String(warning).startsWith('SQLite is an experimental feature')) return;
    emit(warning, ...rest);
  };
}
