// A test of one of the failures that checkers of block lists are known for; see test/mutants/probe-failures.ts.
import { test } from 'node:test';
import type { TestContext } from 'node:test';

export function failure(id: string, what: string, run: (t: TestContext) => void | Promise<void>): void {
  void test(id + ': ' + what, run);
}
