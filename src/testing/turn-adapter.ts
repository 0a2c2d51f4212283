/**
 * Resolves after every promise that can go on has gone on. The order in which promises go on follows from the order in
 * which they were made, so a simulation that awaits this between two events is as deterministic as the events are.
 */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
