// The time and the random numbers of a run. Both are given, so that a run that is repeated does the same again. (All
// runs start from the same memory: without a seed, all would have the same random numbers.)

const EngineDate = Date;
// Code that waits for a time ends, too.
const READS_PER_MILLISECOND = 100;

const state = { reads: 0, random: [0, 0, 0, 0] };

/** Return what the next times and random numbers come from, and go on from there again. */
export const saved = () => ({ reads: state.reads, random: [...state.random] });
export function restore({ reads, random }) {
  state.reads = reads;
  state.random = [...random];
}

/** Let time begin at `start` (milliseconds since 1970). It goes on by being read, so that it is the same again. */
export function useClock(start) {
  state.reads = 0;
  const now = () => start + Math.floor(state.reads++ / READS_PER_MILLISECOND);
  EngineDate.now = now;
  globalThis.Date = new Proxy(EngineDate, {
    construct: (target, values, newTarget) =>
      Reflect.construct(target, values.length > 0 ? values : [now()], newTarget),
    apply: () => new EngineDate(now()).toString(),
  });
}

/** Begin the random numbers anew. `seed` has 32 hexadecimal digits. (Chris Doty-Humphrey's generator sfc32.) */
export function useSeed(seed) {
  state.random = [0, 8, 16, 24].map((start) => Number.parseInt(seed.slice(start, start + 8), 16) | 0);
  const next = () => {
    let [a, b, c, count] = state.random;
    const sum = (((a + b) | 0) + count) | 0;
    count = (count + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    state.random = [a, b, c, count];
    return sum >>> 0;
  };
  for (let round = 0; round < 15; round += 1) next();
  Math.random = () => ((next() >>> 5) * 67_108_864 + (next() >>> 6)) / 9_007_199_254_740_992;
}
