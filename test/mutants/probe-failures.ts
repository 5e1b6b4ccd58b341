// The failures for which checkers of block lists and DNS clients are known (the numbers are those of the list that the project
// began with, which has no 14 and no 19). Each has a test named after it in test/agent/probe/failures, and each such test fails
// on a planted mutant: probe-failures.test.ts sees that none is missing, `npm run mutants:probe` runs them.

/** A test's name begins with the number; several tests of one failure add a letter. */
export const failures: Readonly<Record<string, string>> = {
  F1: 'the code for refused resolvers is counted as a listing',
  F2: 'SERVFAIL looks clean',
  F3: 'a list is used without a filter of its codes',
  F4: 'a list answers sometimes, by the resolver that is asked',
  F5: 'a refusal is shown as a listing, and its reason to nobody',
  F6: 'error codes list everybody',
  F7: 'an address that is listed does not show as listed, since nothing can be seen',
  F8: 'a good reputation is shown as "blacklisted"',
  F9: 'every address is listed at a parked domain',
  F10: 'a list whose domain lapsed lists the world for a day',
  F11: 'a bit that says "refused" lists everybody',
  F12: 'addresses are asked of lists of domains, and good codes count as bad ones',
  F13: 'the invented name of a self-test is no host name, and the list is marked as down',
  F15: 'a list of domains is tested with addresses, and is red for ever',
  F16: 'a list that holds 127.0.0.1 on purpose is red for ever',
  F17: 'a dead list is asked for months',
  F18: 'an unknown code refuses mail',
  F20: 'a listing of the line of the site is not told',
  F21: 'a stray answer ends the process',
  F22: 'a query never returns, and its socket stays',
  F23: 'a time-out is shorter or longer than it was set to',
  F24: 'a dynamic line on a policy list is an alarm, or is none although it sends directly',
};
