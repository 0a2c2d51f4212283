import { CommanderError } from '../kernel/errors.ts'
import { assertIntegerOption, assertKnownKeys, assertObject, describe } from './definition.ts'

export interface RateLimit {
  /** 1 to 1,000,000. */
  readonly limit: number
  /** In any time of so many milliseconds; 1 to 86,400,000. */
  readonly periodMs: number
}

/** Limits that hold over the whole database, whatever the number of instances; of each partition by itself. */
export interface QueueLimits {
  /** So many are under way at once at most; 1 to 100,000. Default: no limit. */
  readonly concurrency?: number
  /** So many are started at most, however long each takes. Default: no limit. */
  readonly rateLimit?: RateLimit
}

/** The queue of one command of an aggregate. */
export interface CommandQueue<Data> extends QueueLimits {
  /** The limits hold for those with the same key by themselves: 0 to 256 bytes. Default: all have the same. */
  readonly partitionKey?: (data: Data, id: string) => string
}

/** The queue in which a workflow waits to be started. It takes its slot until it ends. */
export interface WorkflowQueue<Input> extends QueueLimits {
  /** The limits hold for those with the same key by themselves: 0 to 256 bytes. Default: all have the same. */
  readonly partitionKey?: (input: Input) => string
}

/** Methods are compared bivariantly: the runtime calls it with data that has passed the schema. */
interface AnyPartitionKey {
  partitionKey(data: unknown, id: string): string
}

/** A checked queue. */
export interface AnyQueue extends QueueLimits {
  readonly partitionKey?: AnyPartitionKey['partitionKey']
}

const queueKeys: ReadonlySet<string> = new Set(['concurrency', 'rateLimit', 'partitionKey'])
const rateKeys: ReadonlySet<string> = new Set(['limit', 'periodMs'])
const concurrencyMax = 100_000
const limitMax = 1_000_000
const dayMs = 86_400_000

/** @throws CommanderError `invalid_module` */
export function queueOf(input: unknown, subject: string): AnyQueue {
  assertObject(input, subject)
  assertKnownKeys(input, queueKeys, subject)
  const { concurrency, rateLimit, partitionKey } = input
  if (concurrency === undefined && rateLimit === undefined) {
    const message = `${subject} has no limit: it must have concurrency, rateLimit or both`
    throw new CommanderError('invalid_module', message)
  }
  if (partitionKey !== undefined && typeof partitionKey !== 'function') {
    const message = `${subject}.partitionKey is ${describe(partitionKey)}, but must be a function`
    throw new CommanderError('invalid_module', message)
  }
  const most = (): number => assertIntegerOption(concurrency, 0, 1, concurrencyMax, `${subject}.concurrency`)
  return Object.freeze({
    ...(concurrency === undefined ? {} : { concurrency: most() }),
    ...(rateLimit === undefined ? {} : { rateLimit: rateLimitOf(rateLimit, `${subject}.rateLimit`) }),
    ...(partitionKey === undefined ? {} : { partitionKey: partitionKey as AnyPartitionKey['partitionKey'] }),
  })
}

function rateLimitOf(input: unknown, subject: string): RateLimit {
  assertObject(input, subject)
  assertKnownKeys(input, rateKeys, subject)
  const required = (key: 'limit' | 'periodMs', max: number): number =>
    assertIntegerOption(input[key] ?? null, 0, 1, max, `${subject}.${key}`)
  return Object.freeze({ limit: required('limit', limitMax), periodMs: required('periodMs', dayMs) })
}

/** Of some commands of an aggregate. @throws CommanderError `invalid_module` */
export function queuesOf(input: unknown, commands: object, subject: string): Readonly<Record<string, AnyQueue>> {
  assertObject(input, subject)
  assertKnownKeys(input, new Set(Object.keys(commands)), subject)
  const queues: Record<string, AnyQueue> = Object.create(null)
  for (const [command, queue] of Object.entries(input))
    if (queue !== undefined) queues[command] = queueOf(queue, `${subject}.${command}`)
  return Object.freeze(queues)
}
