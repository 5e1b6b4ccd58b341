// Chance that comes out the same in every run (xorshift, 32 bits).

export type Random = { readonly below: (limit: number) => number; readonly pick: <T>(list: readonly [T, ...T[]]) => T };

export function createRandom(seed: number): Random {
  let state = (seed | 0) === 0 ? 1 : seed | 0;
  const below = (limit: number): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
  return { below, pick: (list) => list[below(list.length)] ?? list[0] };
}
