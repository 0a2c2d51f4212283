import { checkSchema } from '../sdk/schema-check.ts'
import type { AnyWorkflow } from '../sdk/workflow-types.ts'
import type { Failure } from './failure.ts'
import { recordedValue } from './recorded-value.ts'

/** How the code of a run ended. */
export type RunOutcome =
  | { readonly kind: 'completed'; readonly result: unknown }
  | { readonly kind: 'failed' | 'cancelled'; readonly error: Failure }
  | { readonly kind: 'continued'; readonly input: unknown }
  /** It threw what it must not throw, or does not match its history: a person must look. */
  | { readonly kind: 'broken'; readonly error: Failure; readonly operation: string | null }

/** What the code of a workflow has returned. @throws CommanderError `schema_violation` */
export function returned({ name, output }: AnyWorkflow, result: unknown): RunOutcome {
  const checked = output === undefined ? result : checkSchema(output, result, `output of workflow "${name}"`)
  const recorded = recordedValue(checked)
  if ('value' in recorded) return { kind: 'completed', result: recorded.value }
  const error = { code: 'result_invalid', message: `the result of workflow ${name} ${recorded.problem}` }
  return { kind: 'broken', error, operation: null }
}
