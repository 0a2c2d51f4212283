import type { Operation } from './operation.ts'

/** An operation that code waits for. */
export interface OpenOperation {
  readonly operation: Operation
  readonly resolve: (value: never) => void
  readonly reject: (error: Error) => void
  /** Its beginning is in the history. */
  isRecorded: boolean
}
