import { TerminalError } from '../sdk/workflow-errors.ts'
import type { Operation } from './operation.ts'

const code = 'non_determinism'

/** How the code ended, where it has. */
interface Ended {
  readonly kind: string
  readonly error?: { readonly message: string }
}

/** The code of a workflow does not match its history. Parks the workflow; trying again would come to the same. */
export class NonDeterminismError extends TerminalError {
  static readonly code: string = code
  /** What the history has next. */
  readonly expected: string
  /** What the code waits for instead, or how it has ended. */
  readonly actual: readonly string[] | string

  /**
   * @param expected the operation that the history has next
   * @param waiting what the code waits for instead
   * @param ended how the code has ended; null: it has not
   */
  constructor(expected: string, waiting: readonly Operation[], ended: Ended | null) {
    const actual = ended === null ? waiting.map(({ id }) => id) : endOf(ended)
    super(code, messageOf(expected, actual), { expected, actual })
    this.name = 'NonDeterminismError'
    this.expected = expected
    this.actual = actual
  }
}

/** In one line: it stands in a list of parked workflows. */
function endOf({ kind, error }: Ended): string {
  return error === undefined ? `the code has ended: ${kind}` : `the code has ended: ${kind}, ${error.message}`
}

function messageOf(expected: string, actual: readonly string[] | string): string {
  const found =
    typeof actual === 'string'
      ? actual
      : actual.length === 0
        ? 'the code waits for nothing that is recorded'
        : `the code waits for ${actual.join(', ')}`
  const hint =
    actual.length === 0
      ? 'it awaits something beside its context: use context.request for that, start the database again with it, and then retry the workflow'
      : 'bring the former code back, or guard the change with context.patched, start the database again with it, and then retry the workflow'
  return `the code does not match the history of the workflow: expected ${expected}, but ${found}; ${hint}`
}
