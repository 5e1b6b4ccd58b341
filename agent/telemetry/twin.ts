// Is there a second agent with our identity? The broker lets one of them in at a time; each throws the other out and sees on
// their common status topic that somebody else was born in the meantime.
// Promise: a restart, a line that breaks, a last will that comes late are no second agent.

export type TwinWatch = {
  /** Before a connection of ours. */
  readonly ours: (connection: string) => void;
  /** A birth or a last will was told on our topic; true when a second agent lives. */
  readonly heard: (connection: string) => boolean;
};

const maxRemembered = 100;
/** One could be a last will that a broker sent late; two were born while we live. */
const enough = 2;

export function createTwinWatch(): TwinWatch {
  const own = new Set<string>();
  const foreign = new Set<string>();
  /** The last connection of our own former life, whose state the broker has kept. */
  let former: string | undefined;
  return {
    ours(connection) {
      own.add(connection);
      const [oldest] = own;
      if (own.size > maxRemembered && oldest !== undefined) own.delete(oldest);
    },
    heard(connection) {
      if (own.has(connection)) return false;
      // While our first connection stands, nobody else has one.
      if (own.size === 1) former ??= connection;
      if (connection === former) return false;
      if (foreign.size < enough) foreign.add(connection);
      return foreign.size >= enough;
    },
  };
}
