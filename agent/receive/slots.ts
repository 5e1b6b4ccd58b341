// So many at once and no more.

export type Slots = { readonly take: () => Promise<void>; readonly free: () => void };

export function createSlots(count: number): Slots {
  let left = count;
  const waiting: (() => void)[] = [];
  return {
    take() {
      if (left > 0) {
        left -= 1;
        return Promise.resolve();
      }
      return new Promise((resolve) => void waiting.push(resolve));
    },
    free() {
      const next = waiting.shift();
      if (next === undefined) left += 1;
      else next();
    },
  };
}
