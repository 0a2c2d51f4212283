import { hash32 } from '../kernel/hash.ts'
import type { CommandContext } from '../sdk/aggregate-types.ts'

const noMetadata: Readonly<Record<string, string>> = Object.freeze({})

/**
 * The context of one decision. Everything in it follows from the command, so that deciding it again gives the same
 * events. Random numbers: splitmix32 (public domain), seeded by the command's LSN and aggregate.
 */
export class DecideContext implements CommandContext {
  readonly command: CommandContext['command']
  readonly aggregate: CommandContext['aggregate']
  #seed: number

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
    this.#seed = 0
  }

  /** A getter, so that it can be taken out of the context, and costs nothing where nobody does. */
  get random(): () => number {
    return () => this.#next() / 4294967296
  }

  get uuid(): () => string {
    return () => this.#uuid()
  }

  #uuid(): string {
    const words = [this.#next(), this.#next(), this.#next(), this.#next()] as const
    const bytes = Buffer.alloc(16)
    for (let i = 0; i < 4; i++) bytes.writeUInt32BE(words[i] as number, i * 4)
    bytes[6] = ((bytes[6] as number) & 0x0f) | 0x40
    bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80
    const hex = bytes.toString('hex')
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
  }

  #next(): number {
    if (this.#seed === 0) this.#seed = hash32(`${this.command.lsn} ${this.aggregate.type}/${this.aggregate.id}`) || 1
    this.#seed = (this.#seed + 0x9e3779b9) | 0
    let t = this.#seed ^ (this.#seed >>> 16)
    t = Math.imul(t, 0x21f0aaad)
    t ^= t >>> 15
    t = Math.imul(t, 0x735a2d97)
    return (t ^ (t >>> 15)) >>> 0
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
