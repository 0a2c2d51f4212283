/** What a machine comes to by one event: pure, so that the same events give the same state and the same effects. */
export interface Step<State, Effect> {
  readonly state: State
  /** To be carried out in this order, before the next event. */
  readonly effects: readonly Effect[]
}

/** Runs the parts of a step one after another, each on the state that the former one left. */
export function inTurn<State, Effect>(
  state: State,
  ...parts: readonly ((state: State) => Step<State, Effect>)[]
): Step<State, Effect> {
  const effects: Effect[] = []
  let current = state
  for (const part of parts) {
    const step = part(current)
    current = step.state
    effects.push(...step.effects)
  }
  return { state: current, effects }
}
