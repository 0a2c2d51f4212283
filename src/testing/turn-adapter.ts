/** After so many turns whatever else the process has to do gets one too: a test runner's messages, a signal. */
const breathEvery = 1_000
let turns = 0

/**
 * Resolves after every promise that can go on has gone on. The order in which promises go on follows from the order in
 * which they were made, so a simulation that awaits this between two events is as deterministic as the events are.
 *
 * A tick runs once the queue of promises is empty, as `setImmediate` does, without asking the operating system.
 *
 * @param isDeep streams are in use, which go on from tick to tick: `setImmediate` comes when there is no further tick.
 */
export function turn(isDeep = false): Promise<void> {
  const isBreath = ++turns % breathEvery === 0 || isDeep
  return new Promise((resolve) => (isBreath ? setImmediate(resolve) : process.nextTick(resolve)))
}
