import type { IdempotencyKey, QueueFields } from '../actions/action.ts'
import { actionCodes } from '../actions/action-codes.ts'
import { aggregateTypeOf, parseAggregateKey } from '../actions/aggregate-key.ts'
import { payloadOf } from '../actions/decode.ts'
import {
  codeOf,
  entryFlags,
  entryHeaderBytes,
  entryOffsets,
  envelopeBytesOf,
  flagsOf,
  isWellFormed,
  keyBytesOf,
  keyOf,
  lengthOf,
  nameOf,
  payloadStart,
} from '../actions/entry-layout.ts'
import { CommanderError, messageOf } from '../kernel/errors.ts'
import { hash32 } from '../kernel/hash.ts'
import { limits } from '../kernel/limits.ts'
import type { AnyAggregate } from '../sdk/aggregate-types.ts'
import type { Application } from '../sdk/application.ts'
import type { AnyQueue } from '../sdk/queue.ts'
import { checkSchema } from '../sdk/schema-check.ts'
import type { RootState } from '../state/root.ts'
import { partitionOf } from '../workflows/partition.ts'
import { hostedDefinitions } from '../workflows/workflow-aggregate.ts'
import { internalCommands, isWorkflowType, workflowNameOf } from '../workflows/workflow-names.ts'
import { checkEnvelope, type Envelope } from './check-envelope.ts'
import type { Rewriting } from './rewrite-draft.ts'
import { wrongId } from './wrong-id.ts'

export interface AdmissionLimits {
  /** Bytes of one command's data. */
  readonly payloadBytes: number
  /** Commands received and not yet terminal, in the whole database. */
  readonly pendingCommands: number
  readonly pendingPerAggregate: number
  readonly pendingBytes: number
}

export const defaultAdmissionLimits: AdmissionLimits = {
  payloadBytes: limits.payloadBytesDefault,
  pendingCommands: limits.pendingCommandsDefault,
  pendingPerAggregate: limits.pendingPerAggregateDefault,
  pendingBytes: limits.pendingBytesDefault,
}

interface KnownAggregate {
  readonly definition: AnyAggregate
  readonly commands: ReadonlySet<string>
}

/** Data that its schema has changed (defaults, conversions); the draft has to be written anew with it. */
export interface Changed {
  readonly data: unknown
}

/**
 * Looks at every draft before it may enter the journal: whether it is one, whether somebody knows the command, whether
 * it is too large, whether its data is what the schema says, and whether there is room for it.
 */
export class Admission {
  readonly #aggregates: ReadonlyMap<string, KnownAggregate>
  readonly #limits: AdmissionLimits
  #admittedVersion = 0
  #admittedQueue: AnyQueue | null = null

  constructor(applications: readonly Application[], admissionLimits: Partial<AdmissionLimits> = {}) {
    this.#limits = { ...defaultAdmissionLimits, ...admissionLimits }
    this.#aggregates = new Map(
      applications.flatMap((application) =>
        hostedDefinitions(application).map((definition) => [
          definition.name,
          { definition, commands: new Set(publicCommands(definition)) },
        ]),
      ),
    )
  }

  get limits(): AdmissionLimits {
    return this.#limits
  }

  /** Version of the definition that the call admitted last belongs to. Not written into the draft: a client may send it again. */
  get admittedVersion(): number {
    return this.#admittedVersion
  }

  aggregate(type: string): AnyAggregate {
    const known = this.#aggregates.get(type)
    if (known !== undefined) return known.definition
    throw unknownType(type, [...this.#aggregates.keys()])
  }

  /**
   * Checks the draft at `o` and completes its header (hash, flags). Returns what its schema changed, or null.
   * @throws CommanderError for each way in which it cannot be admitted.
   */
  admit(state: RootState, drafted: number, b: Buffer, o: number): Changed | null {
    if (
      !isWellFormed(b, o, b.length) ||
      codeOf(b, o) !== actionCodes['command/received'] ||
      b[o + entryOffsets.version] !== 1
    ) {
      throw new CommanderError('protocol_violation', 'the call is not a well-formed command')
    }
    const key = keyOf(b, o)
    const slash = key.indexOf('/')
    if (slash < 1) {
      const message = `${JSON.stringify(key.slice(0, keyShownMax))} is not a type, a slash and an id`
      throw new CommanderError('invalid_input', message)
    }
    const type = key.slice(0, slash)
    const idBytes = keyBytesOf(b, o) - slash - 1
    if (idBytes < 1 || idBytes > limits.aggregateIdBytesMax || !key.isWellFormed())
      throw new CommanderError(
        'invalid_input',
        wrongId(type, key.slice(slash + 1)) ?? `the type of ${key} is malformed`,
      )
    const known = this.#aggregates.get(type)
    if (known === undefined) this.aggregate(type)
    const command = nameOf(b, o)
    if (known?.commands.has(command) !== true) throw unknownCommand(type, command, known?.commands)
    const switched = state.migrations.versions.get(type)
    if (switched !== undefined && known.definition.version < switched.version)
      throw outdated(type, known.definition.version, switched.version)
    const payloadBytes = o + lengthOf(b, o) - payloadStart(b, o)
    if (payloadBytes > this.#limits.payloadBytes) throw tooLarge(key, command, payloadBytes, this.#limits.payloadBytes)
    this.#checkRoom(state, drafted, key)
    if (command === startCommand && isWorkflowType(type)) checkActive(state)
    b.writeUInt32LE(hash32(key), o + entryOffsets.hash)
    b.writeUInt16LE(flagsOf(b, o) & (entryFlags.idempotencyKey | entryFlags.writtenIsEnough), o + entryOffsets.flags)
    this.#admittedVersion = known.definition.version
    this.#admittedQueue = known.definition.queues?.[command] ?? null
    const schema = known.definition.schemas?.commands?.[command]
    if (schema === undefined) return null
    return { data: checkSchema(schema, dataOf(b, o), `data of command "${command}" of ${key}`) }
  }

  /** Checks what the call says beside its header, and returns its idempotency key, if it has one. */
  keyOf(b: Buffer, o: number): IdempotencyKey | null {
    const hasKey = (flagsOf(b, o) & entryFlags.idempotencyKey) !== 0
    if (!hasKey && envelopeBytesOf(b, o) === 0) return null
    return checkEnvelope(b, o, hasKey).idempotencyKey ?? null
  }

  /**
   * What the draft must say instead: what its schema changed, how long the aggregate's keys are remembered, and in which
   * partition of its queue it waits. Notes in its header that it waits anywhere.
   */
  rewriting(b: Buffer, o: number, changed: Changed | null, key: IdempotencyKey | null): Rewriting | null {
    const isBare = envelopeBytesOf(b, o) === 0
    if (isBare && this.#admittedQueue === null) return changed
    const envelope = isBare ? {} : checkEnvelope(b, o, key !== null)
    if (envelope.partition !== undefined) throw new CommanderError('protocol_violation', 'a call names no partition')
    const queueing = this.#queueing(b, o, envelope, changed)
    if (queueing !== null) noteQueueing(b, o)
    const ttl = this.#ttlOf(b, o, key)
    if (ttl === null && queueing?.partition === undefined) return changed
    return { ...changed, envelope: { ...envelope, ...ttl, ...queueing } }
  }

  /** null: the key has its time already. */
  #ttlOf(b: Buffer, o: number, key: IdempotencyKey | null): Pick<Envelope, 'idempotencyKey'> | null {
    if (key === null) return null
    const { idempotencyTtlMs } = this.aggregate(aggregateTypeOf(keyOf(b, o)))
    return key.ttlMs === idempotencyTtlMs ? null : { idempotencyKey: { ...key, ttlMs: idempotencyTtlMs } }
  }

  /** null: it is started as soon as it can be. */
  #queueing(b: Buffer, o: number, { priority, delayMs }: Envelope, changed: Changed | null): QueueFields | null {
    const queue = this.#admittedQueue
    if (queue === null && priority === undefined && delayMs === undefined) return null
    const { type, id } = parseAggregateKey(keyOf(b, o))
    const command = nameOf(b, o)
    if (delayMs !== undefined && delayMs > 0 && isWorkflowType(type) && command !== startCommand)
      throw notPutOff(command, type, id, delayMs)
    if (queue === null) {
      if (priority !== undefined && priority > 0) throw withoutQueue(command, type, priority)
      return {}
    }
    const data = changed === null ? dataOf(b, o) : changed.data
    if (!isWorkflowType(type)) return { partition: partitionOf(queue, data, id, `${command} of ${type}`) }
    const { input } = (data ?? {}) as { readonly input?: unknown }
    return { partition: partitionOf(queue, data, id, `workflow ${workflowNameOf(type)}`, input) }
  }

  #checkRoom({ commands }: RootState, drafted: number, key: string): void {
    const { pendingCommands, pendingBytes, pendingPerAggregate } = this.#limits
    if (commands.byLsn.size + drafted >= pendingCommands) {
      throw overloaded(
        `${commands.byLsn.size + drafted} commands are pending; limits.pendingCommands is ${pendingCommands}`,
      )
    }
    if (commands.pendingBytes >= pendingBytes) {
      throw overloaded(`${commands.pendingBytes} bytes of commands are pending; limits.pendingBytes is ${pendingBytes}`)
    }
    const pending = commands.byAggregate.get(key)?.commands.length ?? 0
    if (pending >= pendingPerAggregate) {
      throw overloaded(
        `${pending} commands are pending on ${key}; limits.pendingPerAggregate is ${pendingPerAggregate}`,
      )
    }
  }
}

const noteQueueing = (b: Buffer, o: number): number =>
  b.writeUInt16LE(flagsOf(b, o) | entryFlags.queues, o + entryOffsets.flags)

const noApplication =
  'none, as the database was started without an application: name its module by --app, or as one of applications in the config'

function unknownType(type: string, known: readonly string[]): CommanderError {
  const isWorkflow = isWorkflowType(type)
  const alike = known.filter((name) => isWorkflowType(name) === isWorkflow)
  const name = isWorkflow ? workflowNameOf(type) : type
  const listed = (isWorkflow ? alike.map(workflowNameOf) : alike).join(', ')
  const names = listed !== '' ? listed : known.length > 0 ? 'none' : noApplication
  return isWorkflow
    ? new CommanderError('unknown_workflow', `no application defines workflow "${name}"; there are: ${names}`)
    : new CommanderError('unknown_aggregate', `no application defines aggregate "${name}"; there are: ${names}`)
}

const startCommand = 'start'
const keyShownMax = 64

function withoutQueue(command: string, type: string, priority: number): CommanderError {
  const message = `priority is ${priority}, but ${command} of ${type} has no queue in which it could go before others: leave it out, or define a queue`
  return new CommanderError('invalid_input', message)
}

/** Whatever comes behind it waits as well: its timers, and that it is cancelled. */
function notPutOff(command: string, type: string, id: string, delayMs: number): CommanderError {
  const message = `delayMs is ${delayMs}, but of a workflow only the start can be put off: ${command} would hold back all that comes to ${workflowNameOf(type)}/${id} meanwhile; send it later`
  return new CommanderError('invalid_input', message)
}

/** Those that sleep or wait do not count: they take no memory. */
function checkActive({ activations }: RootState): void {
  const { size } = activations.byKey
  if (size >= limits.activeWorkflowsMax)
    throw overloaded(`${size} workflows have something to do, and no more than ${limits.activeWorkflowsMax} may`)
}

/** What others than the database itself may send. */
function publicCommands({ name, decide }: AnyAggregate): string[] {
  const commands = Object.keys(decide)
  return isWorkflowType(name) ? commands.filter((command) => !internalCommands.has(command)) : commands
}

function dataOf(b: Buffer, o: number): unknown {
  try {
    return payloadOf(b, o)
  } catch (error) {
    throw notMessagePack(error)
  }
}

const notMessagePack = (error: unknown): CommanderError =>
  new CommanderError('invalid_input', `the data of the command is no MessagePack: ${messageOf(error)}`)

const overloaded = (why: string): CommanderError =>
  new CommanderError('overloaded', `${why}: try again later`, { details: { retryAfterMs: 1000 } })

const outdated = (type: string, version: number, switched: number): CommanderError =>
  new CommanderError(
    'not_ready',
    `the streams of "${type}" were migrated to version ${switched}, but this database runs its version ${version}: start it again with the new code`,
  )

const unknownCommand = (type: string, command: string, known: ReadonlySet<string> | undefined): CommanderError =>
  new CommanderError(
    'unknown_command',
    `aggregate "${type}" has no command "${command}"; it has: ${[...(known ?? [])].join(', ')}`,
  )

const tooLarge = (key: string, command: string, bytes: number, most: number): CommanderError =>
  new CommanderError(
    'payload_too_large',
    `the data of ${command} on ${key} has ${bytes} bytes; limits.payloadBytes is ${most}`,
  )

/** Bytes of a draft beside key, name, envelope and payload. */
export const draftOverheadBytes: number = entryHeaderBytes
