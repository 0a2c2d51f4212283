import { hasBrand } from '../kernel/brand.ts'
import { CommanderError } from '../kernel/errors.ts'
import { limits } from '../kernel/limits.ts'
import { assertIntegerOption, assertKnownKeys, assertObject, describe } from './definition.ts'
import { assertName } from './name.ts'
import { queueOf } from './queue.ts'
import { retryDefaults, retryOptionsOf } from './retry-options.ts'
import { isStandardSchema, type StandardSchema } from './standard-schema.ts'
import type { AnyWorkflow, RequestRetry, Workflow, WorkflowDefinition } from './workflow-types.ts'
import { workflowBrand } from './workflow-types.ts'

const definitionKeys: ReadonlySet<string> = new Set([
  'name',
  'version',
  'input',
  'output',
  'retry',
  'timeoutMs',
  'queue',
  'run',
])
const retryKeys: ReadonlySet<string> = new Set(['maxAttempts', 'initialDelayMs', 'maxDelayMs', 'onExhausted'])
const requestKeys: ReadonlySet<string> = new Set(['retry', 'timeoutMs', 'compensate'])
const tenYearsMs = 315_576_000_000
const dayMs = 86_400_000

const requestRetryDefaults: Required<RequestRetry> = { ...retryDefaults, onExhausted: 'park' }

/**
 * Defines a workflow: an ordinary asynchronous function that survives crashes, because everything that it asks of its
 * context is recorded (durable execution as in Temporal, https://docs.temporal.io, and Restate, https://docs.restate.dev).
 *
 * @throws CommanderError `invalid_module` when the definition is wrong
 * @example
 * const greet = defineWorkflow({
 *   name: 'greet',
 *   run: async (context, input: { name: string }) => {
 *     await context.sleep(1000)
 *     return context.request('greet', () => `hello ${input.name}`)
 *   },
 * })
 */
export function defineWorkflow<const Name extends string, Input, Output>(
  definition: WorkflowDefinition<Name, Input, Output>,
): Workflow<Name, Input, Output> {
  return normalise(definition) as Workflow<Name, Input, Output>
}

export function isWorkflow(value: unknown): value is AnyWorkflow {
  return hasBrand(value, workflowBrand)
}

function normalise(input: unknown): unknown {
  assertObject(input, 'the argument of defineWorkflow')
  assertName(input.name, 'the name of the workflow', limits.workflowNameBytesMax)
  const subject = `workflow "${input.name}"`
  assertKnownKeys(input, definitionKeys, subject)
  if (typeof input.run !== 'function') {
    const message = `${subject}: run is ${describe(input.run)}, but must be a function (context, input) => Promise`
    throw new CommanderError('invalid_module', message)
  }
  return Object.freeze({
    [workflowBrand]: true,
    name: input.name,
    version: assertIntegerOption(input.version, 1, 1, 0xffff, `${subject}: version`),
    ...schemaOf('input', input.input, subject),
    ...schemaOf('output', input.output, subject),
    retry: requestRetryOf(input.retry, requestRetryDefaults, `${subject}: retry`),
    timeoutMs:
      input.timeoutMs === undefined
        ? null
        : assertIntegerOption(input.timeoutMs, 0, 1, tenYearsMs, `${subject}: timeoutMs`),
    ...(input.queue === undefined ? {} : { queue: queueOf(input.queue, `${subject}: queue`) }),
    run: input.run,
  })
}

function schemaOf(key: 'input' | 'output', schema: unknown, subject: string): { [K in typeof key]?: StandardSchema } {
  if (schema === undefined) return {}
  if (isStandardSchema(schema)) return { [key]: schema }
  const message = `${subject}: ${key} is ${describe(schema)}, but must be a Standard Schema version 1 (zod, valibot…)`
  throw new CommanderError('invalid_module', message)
}

function requestRetryOf(input: unknown, defaults: Required<RequestRetry>, subject: string): Required<RequestRetry> {
  if (input === undefined) return defaults
  assertObject(input, subject)
  assertKnownKeys(input, retryKeys, subject)
  const { onExhausted = defaults.onExhausted } = input
  if (onExhausted !== 'park' && onExhausted !== 'fail') {
    const message = `${subject}.onExhausted is ${describe(onExhausted)}, but must be "park" or "fail"`
    throw new CommanderError('invalid_module', message)
  }
  return Object.freeze({ ...retryOptionsOf(input, defaults, subject), onExhausted })
}

/** What a request's options come to. */
export interface RequestPolicy {
  readonly retry: Required<RequestRetry>
  readonly timeoutMs: number | null
}

/** @throws CommanderError `invalid_module` */
export function requestPolicyOf(options: unknown, workflow: AnyWorkflow, name: string): RequestPolicy {
  if (options === undefined) return { retry: workflow.retry, timeoutMs: null }
  const subject = `request "${name}" of workflow "${workflow.name}"`
  assertObject(options, `${subject}: the options`)
  assertKnownKeys(options, requestKeys, subject)
  const { compensate, timeoutMs } = options
  if (compensate !== undefined && typeof compensate !== 'function')
    throw new CommanderError(
      'invalid_module',
      `${subject}: compensate is ${describe(compensate)}, but must be a function`,
    )
  return {
    retry: requestRetryOf(options.retry, workflow.retry, `${subject}: retry`),
    timeoutMs: timeoutMs === undefined ? null : assertIntegerOption(timeoutMs, 0, 1, dayMs, `${subject}: timeoutMs`),
  }
}
