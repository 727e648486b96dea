/** Time from outside, so that tests need none. */
export interface Clock {
  /** Milliseconds that never go backwards. */
  now(): number;
  date(): Date;
}

export const systemClock: Clock = { now: () => performance.now(), date: () => new Date() };

/** The rate is that of the last ten seconds: it forgets a slow start, and does not jump with every step. */
const WINDOW_MS = 10_000;

/** A stage's speedometer: hand it each step, it says steps per second and seconds left, as soon as two steps tell. */
export function progressMeter(clock: Clock): (step: number, total: number) => { rate?: number; secondsLeft?: number } {
  let marks: { time: number; step: number }[] = [];
  return (step, total) => {
    const time = clock.now();
    // The last mark before the window stays, so that a stage slower than the window still has a rate.
    const first = marks.findIndex((mark) => mark.time >= time - WINDOW_MS);
    if (first > 1) marks = marks.slice(first - 1);
    marks.push({ time, step });
    const oldest = marks[0]!;
    const seconds = (time - oldest.time) / 1000;
    const rate = (step - oldest.step) / seconds;
    if (!(rate > 0) || !Number.isFinite(rate)) return {};
    return { rate, secondsLeft: Math.max(0, total - step) / rate };
  };
}
