import { TerminalError } from '../sdk/workflow-errors.ts'
import type { Operation } from './operation.ts'

const code = 'non_determinism'

/** The code of a workflow does not match its history. Parks the workflow; trying again would come to the same. */
export class NonDeterminismError extends TerminalError {
  static readonly code: string = code

  /**
   * @param expected the operation that the history has next
   * @param waiting what the code waits for instead
   */
  constructor(expected: string, waiting: readonly Operation[], hasEnded: boolean) {
    const ids = waiting.map(({ id }) => id)
    super(code, messageOf(expected, ids, hasEnded), { expected, actual: hasEnded ? 'the end' : ids })
    this.name = 'NonDeterminismError'
  }
}

function messageOf(expected: string, actual: readonly string[], hasEnded: boolean): string {
  const found = hasEnded
    ? 'the code has ended'
    : actual.length === 0
      ? 'the code waits for nothing that is recorded'
      : `the code waits for ${actual.join(', ')}`
  const hint =
    !hasEnded && actual.length === 0
      ? 'it awaits something beside its context: use context.request for that'
      : 'bring the former code back, or guard the change with context.patched, and then retry the workflow'
  return `the code does not match the history of the workflow: expected ${expected}, but ${found}; ${hint}`
}
