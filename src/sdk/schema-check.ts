import { CommanderError, messageOf } from '../kernel/errors.ts'
import type { StandardIssue, StandardResult, StandardSchema } from './standard-schema.ts'

const issuesShownMax = 3

/**
 * Returns what the schema makes of `value` (it may fill in defaults or convert).
 * `subject` names the value in the error, for example `data of command "deposit" of account/42`.
 *
 * @throws CommanderError `schema_violation`, with all issues as `details`, when the value does not satisfy the schema
 * @throws CommanderError `invalid_module` when the schema throws, or is asynchronous: deciding must not wait for anything
 */
export function checkSchema<Output>(schema: StandardSchema<unknown, Output>, value: unknown, subject: string): Output {
  const result = validate(schema, value, subject)
  if (result.issues === undefined) return result.value
  const issues = result.issues.map((issue) => ({ path: pathOf(issue), message: issue.message }))
  const shown = issues
    .slice(0, issuesShownMax)
    .map(({ path, message }) => (path === '' ? message : `${path}: ${message}`))
  const more = issues.length > issuesShownMax ? ` (and ${issues.length - issuesShownMax} more)` : ''
  throw new CommanderError('schema_violation', `the ${subject} is wrong: ${shown.join('; ')}${more}`, {
    details: { issues },
  })
}

function validate<Output>(
  schema: StandardSchema<unknown, Output>,
  value: unknown,
  subject: string,
): StandardResult<Output> {
  let result: StandardResult<Output> | Promise<StandardResult<Output>>
  try {
    result = schema['~standard'].validate(value)
  } catch (error) {
    throw unusable(subject, `threw: ${messageOf(error)}`, error)
  }
  if (!(result instanceof Promise)) return result
  result.catch(() => {})
  throw unusable(subject, 'is asynchronous; use a synchronous one')
}

function unusable(subject: string, what: string, cause?: unknown): CommanderError {
  return new CommanderError('invalid_module', `the schema for the ${subject} ${what}`, { cause })
}

function pathOf(issue: StandardIssue): string {
  return (issue.path ?? []).map((step) => String(typeof step === 'object' ? step.key : step)).join('.')
}
