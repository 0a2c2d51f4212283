import { hash32 } from '../kernel/hash.ts'
import { SeededNumbers } from '../kernel/seeded-numbers.ts'
import type { CommandContext } from '../sdk/aggregate-types.ts'

const noMetadata: Readonly<Record<string, string>> = Object.freeze({})

/**
 * The context of one decision. Everything in it follows from the command, so that deciding it again gives the same
 * events. Random numbers are seeded by the command's LSN and aggregate.
 */
export class DecideContext implements CommandContext {
  readonly command: CommandContext['command']
  readonly aggregate: CommandContext['aggregate']
  #numbers: SeededNumbers | null = null

  constructor(
    at: number,
    type: string,
    receivedAtMs: number,
    metadata: Readonly<Record<string, string>> | null,
    aggregateType: string,
    aggregateId: string,
    revision: number,
  ) {
    this.command = new CommandDescription(at, type, receivedAtMs, metadata ?? noMetadata)
    this.aggregate = { type: aggregateType, id: aggregateId, revision }
  }

  /** A getter, so that it can be taken out of the context, and costs nothing where nobody does. */
  get random(): () => number {
    return () => this.#seeded().fraction()
  }

  get uuid(): () => string {
    return () => this.#seeded().uuid()
  }

  #seeded(): SeededNumbers {
    this.#numbers ??= new SeededNumbers(hash32(`${this.command.lsn} ${this.aggregate.type}/${this.aggregate.id}`) || 1)
    return this.#numbers
  }
}

/**
 * Of a command on a workflow, whose time is that of what happened to it: when it was decided, not when it was received. It
 * may have been pending for hours, and what the code waits for then it waits for from then on. The event says it.
 */
export class WorkflowDecideContext extends DecideContext {
  readonly nowMs: number

  constructor(
    at: number,
    type: string,
    receivedAtMs: number,
    metadata: Readonly<Record<string, string>> | null,
    aggregateType: string,
    aggregateId: string,
    revision: number,
    nowMs: number,
  ) {
    super(at, type, receivedAtMs, metadata, aggregateType, aggregateId, revision)
    this.nowMs = nowMs
  }
}

/** Formats what is asked for, and only then: most decisions look at none of it. */
class CommandDescription {
  readonly lsn: number
  readonly type: string
  readonly metadata: Readonly<Record<string, string>>
  readonly #receivedAtMs: number

  constructor(at: number, type: string, receivedAtMs: number, metadata: Readonly<Record<string, string>>) {
    this.lsn = at
    this.type = type
    this.metadata = metadata
    this.#receivedAtMs = receivedAtMs
  }

  get id(): string {
    return String(this.lsn)
  }

  get receivedAt(): string {
    return new Date(this.#receivedAtMs).toISOString()
  }
}
