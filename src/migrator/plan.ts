import { isDeepStrictEqual } from 'node:util'
import { variantOf } from '../actions/entry-layout.ts'
import { messageOf } from '../kernel/errors.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import type { DecidedEvent } from '../sdk/aggregate-types.ts'
import type { MigratedCommandContext, Migration } from '../sdk/migration.ts'
import { upcastEvent } from '../sdk/upcast-event.ts'
import { type MigrationFailure, type RewrittenEvent, rewriteCommand, rewriteEvents } from './rewriting.ts'

export interface EventCount {
  readonly type: string
  readonly version: number
  readonly count: number
}

export interface CommandCount {
  readonly command: string
  readonly status: MigratedCommandContext['status']
  readonly version: number
  readonly count: number
}

export interface MigrationSample {
  /** For example `account/42 revision 1`, or `parked command 17`. */
  readonly where: string
  readonly before: DecidedEvent | { readonly command: string; readonly data: unknown }
  readonly after: MigrationSample['before']
}

/** What a migration would do; nothing of it is done. */
export interface MigrationPlan {
  readonly aggregate: string
  readonly fromVersion: number
  readonly toVersion: number
  readonly streams: number
  readonly events: {
    readonly toRewrite: number
    /** Of the new version already: they stay as they are. */
    readonly current: number
    readonly byType: readonly EventCount[]
    /** Rewritten otherwise than the definition's `upcast` shows them until the switch: states and projections change. */
    readonly unlikeUpcast: number
    readonly dropped: number
  }
  readonly commands: { readonly toRewrite: number; readonly byName: readonly CommandCount[] }
  readonly samples: readonly MigrationSample[]
  readonly failures: { readonly count: number; readonly first: readonly MigrationFailure[] }
}

const failuresShown = 20
const separator = '\0'

/** Adds up what a migration would do, entry by entry. Memory is bounded by the number of event types. */
export class Planner {
  readonly #migration: Migration
  readonly #samplesMax: number
  readonly #events = new Map<string, number>()
  readonly #commands = new Map<string, number>()
  readonly #sampled = new Map<string, number>()
  readonly #samples: MigrationSample[] = []
  readonly #failures: MigrationFailure[] = []
  #failureCount = 0
  #toRewrite = 0
  #current = 0
  #unlikeUpcast = 0
  #dropped = 0
  #commandsToRewrite = 0

  /** @param samplesMax of each type of event or command */
  constructor(migration: Migration, samplesMax: number) {
    this.#migration = migration
    this.#samplesMax = samplesMax
  }

  /** An entry of the type that has events. */
  events(b: Buffer, o: number, firstPosition: number, eventCount: number): void {
    if (variantOf(b, o) >= this.#migration.toVersion) {
      this.#current += eventCount
      return
    }
    this.#toRewrite += eventCount
    const rewritten = rewriteEvents(this.#migration, b, o, firstPosition, (failure, type) => {
      count(this.#events, [type, variantOf(b, o)])
      this.#failed(failure)
    })
    for (const event of rewritten) this.#event(event)
  }

  command(command: Lsn, b: Buffer, o: number, status: MigratedCommandContext['status']): void {
    if (variantOf(b, o) >= this.#migration.toVersion) return
    this.#commandsToRewrite++
    try {
      const { before, after } = rewriteCommand(this.#migration, command, b, o, status)
      count(this.#commands, [before.command, status, variantOf(b, o)])
      this.#sample(`command ${before.command}`, { where: `${status} command ${command}`, before, after })
    } catch (error) {
      this.#failed({ where: `command ${command}`, message: messageOf(error) })
    }
  }

  plan(streams: number): MigrationPlan {
    const { aggregate, fromVersion, toVersion } = this.#migration
    return {
      aggregate: aggregate.name,
      fromVersion,
      toVersion,
      streams,
      events: {
        toRewrite: this.#toRewrite,
        current: this.#current,
        byType: counts(this.#events).map(([[type, version], n]) => ({ type, version: Number(version), count: n })),
        unlikeUpcast: this.#unlikeUpcast,
        dropped: this.#dropped,
      },
      commands: {
        toRewrite: this.#commandsToRewrite,
        byName: counts(this.#commands).map(([[command, status, version], n]) => ({
          command,
          status: status as CommandCount['status'],
          version: Number(version),
          count: n,
        })),
      },
      samples: this.#samples,
      failures: { count: this.#failureCount, first: this.#failures },
    }
  }

  #event({ aggregate, revision, version, before, after }: RewrittenEvent): void {
    count(this.#events, [before.type, version])
    if (after.type === 'stream/dropped') this.#dropped++
    if (this.#migration.event !== undefined && !this.#isLikeUpcast(before, after, version)) this.#unlikeUpcast++
    const where = `${aggregate.type}/${aggregate.id} revision ${revision}`
    this.#sample(`event ${before.type}`, { where, before, after })
  }

  #isLikeUpcast(before: DecidedEvent, after: DecidedEvent, version: number): boolean {
    try {
      const { type, data } = upcastEvent(this.#migration.aggregate, before, version)
      return type === after.type && isDeepStrictEqual(data, after.data)
    } catch {
      return false
    }
  }

  #sample(kind: string, sample: MigrationSample): void {
    const sampled = this.#sampled.get(kind) ?? 0
    if (sampled >= this.#samplesMax) return
    this.#sampled.set(kind, sampled + 1)
    this.#samples.push(sample)
  }

  #failed(failure: MigrationFailure): void {
    this.#failureCount++
    if (this.#failures.length < failuresShown) this.#failures.push(failure)
  }
}

function count(counts: Map<string, number>, parts: readonly (string | number)[]): void {
  const key = parts.join(separator)
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

const counts = (of: Map<string, number>): [[string, string, string], number][] =>
  [...of].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, n]) => [key.split(separator) as [string, string, string], n])
