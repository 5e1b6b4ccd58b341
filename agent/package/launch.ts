// How the agent is started where memory is scarce: said to Node before it loads anything. The start script of the package for
// DSM and the Dockerfile hold the same words; a test compares them. Measured by `npm run bench:agent`, on Node 22.13.

/** Flags of Node. */
export const launchFlags: readonly string[] = [
  // Node 22 calls its SQLite an experiment with each start; we know.
  '--disable-warning=ExperimentalWarning',
  // The optimizing compiler, 6 MB of Node's program, is not brought into memory for what runs at the start.
  '--invocation-count-for-turbofan=100000',
  // The compiler between the interpreter and that one: 1 MB of code for rounds in which nothing happens.
  '--no-sparkplug',
  // One thread to collect garbage and to compile, not four.
  '--v8-pool-size=1',
];

/**
 * One arena of the allocator: each thread of its own keeps what others have freed, 6 MB after a large mail. What is free at the
 * end of it goes back to the system: 20 MB after a large mail.
 */
export const launchEnvironment: Readonly<Record<string, string>> = {
  MALLOC_ARENA_MAX: '1',
  MALLOC_TRIM_THRESHOLD_: '1048576',
};
