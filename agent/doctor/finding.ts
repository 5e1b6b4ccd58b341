// What one look has found: well, worth knowing, or wrong with what was expected and what helps.

export type Level = 'ok' | 'note' | 'warning' | 'error';

/** Of one thing; `option` begins at that thing: ['password'] of an account. */
export type Trial = {
  readonly level: Level;
  readonly option: readonly (string | number)[];
  readonly found: string;
  /** These two are empty when all is well. */
  readonly expected: string;
  readonly remedy: string;
};

export type Finding = {
  /** What was looked at: `mailbox info`. */
  readonly check: string;
  readonly level: Level;
  /** File, line and option; empty when it is no option's doing. */
  readonly place: string;
  readonly found: string;
  readonly expected: string;
  readonly remedy: string;
};

export const well = (found: string): Trial => ({ level: 'ok', option: [], found, expected: '', remedy: '' });
export const noted = (found: string, remedy = ''): Trial => ({
  level: 'note',
  option: [],
  found,
  expected: '',
  remedy,
});

export type Fault = {
  readonly option?: Trial['option'];
  readonly found: string;
  readonly expected: string;
  readonly remedy: string;
};
export const wrong = (fault: Fault): Trial => ({ option: [], ...fault, level: 'error' });
export const doubtful = (fault: Fault): Trial => ({ option: [], ...fault, level: 'warning' });
