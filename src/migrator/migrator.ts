import type { MigrationStep, RewrittenCommand, RewrittenEvents } from '../actions/action.ts'
import { variantOf } from '../actions/entry-layout.ts'
import { assert } from '../kernel/assert.ts'
import type { Environment } from '../kernel/environment.ts'
import { CommanderError } from '../kernel/errors.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import { lsn } from '../kernel/identifiers.ts'
import type { Migration } from '../sdk/migration.ts'
import { obstaclesOf } from '../state/migration-switch.ts'
import type { MigrationState } from '../state/migrations.ts'
import type { RootState } from '../state/root.ts'
import type { KeyValueStore } from '../store/key-value-store.ts'
import { EventLogReader } from '../tables/event-log.ts'
import type { Follow } from './follow.ts'
import { type MigrationPlan, Planner } from './plan.ts'
import { packRewritten, rewriteCommand } from './rewriting.ts'
import {
  archivedStream,
  countStreams,
  type OpenCommand,
  parkedCommands,
  pendingCommands,
  readSlice,
} from './sources.ts'

export interface MigratorOptions {
  readonly environment: Environment
  readonly follow: Follow
  readonly store: KeyValueStore
  /** The largest draft that the journal takes. */
  readonly draftBytesMax: number
}

/** How far a migration is. */
export interface MigrationProgress {
  readonly phase: 'rewriting' | 'switching'
  /** Events of older versions are rewritten up to this position… */
  readonly copied: number
  /** …and have to be up to this one. */
  readonly goal: number
}

export interface MigrationResult {
  readonly aggregate: string
  readonly toVersion: number
  /** The entry that started the migration. */
  readonly migration: Lsn
  /** The entry with which everything was switched. */
  readonly switchedLsn: Lsn
  readonly entriesRewritten: number
}

const sliceBlocks = 16
/** A batch of what is rewritten: little beside what commands write meanwhile. */
const batchBytes = 131_072
/** Of a draft, for everything but what is rewritten. */
const draftRoomBytes = 4096
/** Batches that the store may be behind. */
const unstoredMax = 4
/** Rewritten commands lie in every process's memory until the switch. */
const commandBytesMax = 67_108_864

/**
 * Rewrites all streams of one type, as steps in the journal. Everything that it does follows from the state and the store,
 * so that it may end at any moment and be begun again.
 *
 * I1. What is rewritten is in the journal before it is in the store, so that a store built from the journal is the same.
 * I2. The switch is one entry, and void when anything of the old form is left that was not rewritten.
 */
export class Migrator {
  readonly #o: MigratorOptions
  readonly #log: EventLogReader

  constructor(options: MigratorOptions) {
    this.#o = options
    this.#log = new EventLogReader(options.store)
  }

  get state(): RootState {
    return this.#o.follow.state
  }

  /** @throws CommanderError `unknown_aggregate`, `invalid_input` when the type cannot be migrated so */
  async plan(migration: Migration, samplesMax: number): Promise<MigrationPlan> {
    const { follow, store } = this.#o
    await follow.ready()
    const type = migration.aggregate.name
    const streams = countStreams(store, type)
    this.#checkVersions(migration, streams)
    this.#assertNothingArchived(type)
    const planner = new Planner(migration, samplesMax)
    for (let after = 0; ; ) {
      const { entries, through } = readSlice(this.#log, type, after, sliceBlocks)
      for (const { buffer, offset, firstPosition, eventCount } of entries) {
        assertNotNewer(migration, variantOf(buffer, offset))
        planner.events(buffer, offset, firstPosition, eventCount)
      }
      if (through === after) break
      after = through
      await follow.pause(0)
    }
    for (const { command, status, buffer, offset } of this.#openCommands(migration))
      planner.command(command, buffer, offset, status)
    return planner.plan(streams)
  }

  /**
   * Rewrites, and switches. Goes on where an earlier run of the same migration ended.
   *
   * @throws CommanderError `invalid_input` when another migration is under way or an event cannot be rewritten,
   * `not_ready` when an application instance runs older code: what is rewritten stays
   */
  async migrate(migration: Migration, progressed: (progress: MigrationProgress) => void): Promise<MigrationResult> {
    const { follow } = this.#o
    await follow.ready()
    const state = await this.#begun(migration)
    while (state.switchedLsn === 0) {
      this.#assertUnderWay(state)
      await this.#copyEvents(migration, state, progressed)
      this.#assertNewCode(state)
      progressed({ phase: 'switching', copied: state.copied, goal: state.newestOld })
      if (await this.#copyCommands(migration, state)) await this.#switch(state)
    }
    const { type, toVersion, startedLsn, switchedLsn, rewritten } = state
    await follow.seen(switchedLsn)
    return { aggregate: type, toVersion, migration: startedLsn, switchedLsn, entriesRewritten: rewritten }
  }

  /** Drops the old form for good. @throws CommanderError `not_found`, `invalid_input` before the switch */
  finalise(type: string): Promise<MigrationState> {
    return this.#end(type, 'stream/migration-finalised', ({ switchedLsn }) => {
      if (switchedLsn !== 0) return
      const message = `the migration of "${type}" has not switched yet: go on with --apply, or give it up with --abandon`
      throw new CommanderError('invalid_input', message)
    })
  }

  /** Drops the new form; after the switch readers see the old one again. @throws CommanderError `not_found` */
  abandon(type: string): Promise<MigrationState> {
    return this.#end(type, 'stream/migration-abandoned', () => {})
  }

  async #end(
    type: string,
    action: 'stream/migration-finalised' | 'stream/migration-abandoned',
    check: (state: MigrationState) => void,
  ): Promise<MigrationState> {
    const { follow } = this.#o
    await follow.ready()
    const migration = this.state.migrations.byType.get(type)
    if (migration === undefined) throw new CommanderError('not_found', `no migration of "${type}" is under way`)
    check(migration)
    while (this.state.migrations.byType.get(type) === migration) {
      const at = await follow.say({ type: action, aggregateType: type, migration: migration.startedLsn })
      if (at !== null) await follow.seen(at)
    }
    return migration
  }

  async #begun(migration: Migration): Promise<MigrationState> {
    const { follow, store, environment } = this.#o
    const { aggregate, fromVersion, toVersion, digest } = migration
    const type = aggregate.name
    for (;;) {
      const known = this.state.migrations.byType.get(type)
      if (known !== undefined) {
        if (known.toVersion === toVersion && known.digest === digest) return known
        throw otherUnderWay(known, toVersion)
      }
      this.#checkVersions(migration, countStreams(store, type))
      const step: MigrationStep = { phase: 'started', fromVersion, digest, atMs: environment.clock.wallMs() }
      await follow.say({ type: 'stream/migrated', aggregateType: type, toVersion, migration: lsn(0), step })
    }
  }

  #checkVersions({ aggregate: { name }, toVersion }: Migration, streams: number): void {
    const { applications, migrations } = this.state
    const now = migrations.versions.get(name)?.version ?? 0
    if (!migrations.byType.has(name) && now >= toVersion) {
      const message = `the streams of "${name}" are at version ${now} already; migrate to a higher one`
      throw new CommanderError('invalid_input', message)
    }
    const types = new Set([...applications.byInstance.values()].flatMap(({ aggregateTypes }) => aggregateTypes))
    if (streams > 0 || types.has(name)) return
    const there = [...types].sort().join(', ') || 'none'
    throw new CommanderError(
      'unknown_aggregate',
      `there is no aggregate "${name}" in this database; there are: ${there}`,
    )
  }

  /** A type that is gone was abandoned, by somebody else. */
  #assertUnderWay(state: MigrationState): void {
    if (this.state.migrations.byType.get(state.type) === state) return
    throw new CommanderError('invalid_input', `the migration of "${state.type}" was abandoned meanwhile`)
  }

  /** Up to the last event of an older version by now; older code may append more meanwhile. */
  async #copyEvents(
    migration: Migration,
    state: MigrationState,
    progressed: (progress: MigrationProgress) => void,
  ): Promise<void> {
    const { follow, environment } = this.#o
    const said: Lsn[] = []
    const goal = state.newestOld
    while (state.copied < goal) {
      this.#assertUnderWay(state)
      const startedMs = environment.clock.monotonicMs()
      const batch = this.#nextBatch(migration, state)
      if (batch === null) {
        await follow.ready()
        await follow.pause(1)
        continue
      }
      const busyMs = environment.clock.monotonicMs() - startedMs
      const at = await this.#sayRewritten(state, batch.through, batch.events, [])
      if (at === null) continue
      said.push(at)
      progressed({ phase: 'rewriting', copied: state.copied, goal: state.newestOld })
      const due = said.length > unstoredMax ? (said.shift() as Lsn) : lsn(0)
      await follow.until(() => follow.stored >= due)
      await follow.pause(busyMs) // half of the time is left to others
    }
  }

  /** Null when the store has nothing more for now. */
  #nextBatch(
    migration: Migration,
    { type, toVersion, copied }: MigrationState,
  ): { readonly through: number; readonly events: readonly RewrittenEvents[] } | null {
    const { entries, through } = readSlice(this.#log, type, copied, sliceBlocks)
    if (through === copied) return null
    const events: RewrittenEvents[] = []
    let bytes = 0
    for (const { buffer, offset, firstPosition } of entries) {
      const version = variantOf(buffer, offset)
      assertNotNewer(migration, version)
      if (version >= toVersion) continue
      const packed = packRewritten(migration, buffer, offset, firstPosition)
      this.#assertFits(packed.length, `the events from position ${firstPosition} on`)
      if (events.length > 0 && bytes + packed.length > this.#batchBytes) return { through: firstPosition - 1, events }
      events.push([firstPosition, packed])
      bytes += packed.length
    }
    return { through, events }
  }

  get #batchBytes(): number {
    return Math.min(batchBytes, this.#o.draftBytesMax - draftRoomBytes)
  }

  #assertFits(bytes: number, what: string): void {
    const most = this.#o.draftBytesMax - draftRoomBytes
    if (bytes <= most) return
    throw new CommanderError('payload_too_large', `${what} have ${bytes} bytes when rewritten; at most ${most} fit`)
  }

  #sayRewritten(
    { type, toVersion, startedLsn, copied }: MigrationState,
    through: number,
    events: readonly RewrittenEvents[],
    commands: readonly RewrittenCommand[],
  ): Promise<Lsn | null> {
    const step: MigrationStep = { phase: 'rewritten', after: copied, through, events, commands }
    return this.#o.follow.say({ type: 'stream/migrated', aggregateType: type, toVersion, migration: startedLsn, step })
  }

  /** @returns whether none was left to rewrite */
  async #copyCommands(migration: Migration, state: MigrationState): Promise<boolean> {
    await this.#o.follow.ready()
    this.#assertNothingArchived(state.type)
    const left = [...this.#openCommands(migration)].filter(({ command }) => !state.commands.has(command))
    let total = [...state.commands.values()].reduce((sum, { bytes }) => sum + bytes, 0)
    let commands: RewrittenCommand[] = []
    let bytes = 0
    for (const { command, status, buffer, offset } of left) {
      const { received } = rewriteCommand(migration, command, buffer, offset, status)
      this.#assertFits(received.length, `the data of ${status} command ${command}`)
      total += received.length
      assertBounded(total, state.type)
      if (commands.length > 0 && bytes + received.length > this.#batchBytes) {
        await this.#sayRewritten(state, state.copied, [], commands)
        commands = []
        bytes = 0
      }
      commands.push([command, received])
      bytes += received.length
    }
    if (commands.length > 0) await this.#sayRewritten(state, state.copied, [], commands)
    return left.length === 0
  }

  #openCommands({ aggregate: { name }, toVersion }: Migration): OpenCommand[] {
    const pending = [...pendingCommands(this.state, name, toVersion)]
    return [...pending, ...parkedCommands(this.#o.store, name, toVersion)]
  }

  /** They would be read back in their old form, by code that need not know it any more. */
  #assertNothingArchived(type: string): void {
    const key = archivedStream(this.#o.store, type)
    if (key === null) return
    const message = `events of ${key} lie in the archive, and archived events are not rewritten: "${type}" cannot be migrated while there are any`
    throw new CommanderError('invalid_input', message)
  }

  #assertNewCode(state: MigrationState): void {
    const { instances } = obstaclesOf(this.state, state)
    if (instances.length > 0) throw oldCode(state, instances)
  }

  /** Void when something came up meanwhile: then that is done first. */
  async #switch(state: MigrationState): Promise<void> {
    const { type, toVersion, startedLsn } = state
    const { instances, events, commands } = obstaclesOf(this.state, state)
    if (instances.length > 0 || events !== null || commands.length > 0) return
    const step: MigrationStep = { phase: 'switched' }
    await this.#o.follow.say({ type: 'stream/migrated', aggregateType: type, toVersion, migration: startedLsn, step })
    assert(state.switchedLsn === 0 || state.commands.size === 0, 'a switch leaves no rewritten command behind')
  }
}

function assertNotNewer({ aggregate: { name }, toVersion }: Migration, version: number): void {
  if (version <= toVersion) return
  const message = `the streams of "${name}" have events of version ${version}, which is newer than ${toVersion}`
  throw new CommanderError('invalid_input', message)
}

function assertBounded(bytes: number, type: string): void {
  if (bytes <= commandBytesMax) return
  const message = `the pending and parked commands of "${type}" have more than ${commandBytesMax} bytes; retry or skip parked ones first`
  throw new CommanderError('invalid_input', message)
}

function otherUnderWay({ type, toVersion, startedLsn, switchedLsn }: MigrationState, wanted: number): CommanderError {
  const how =
    switchedLsn !== 0 ? 'is not finalised yet' : toVersion === wanted ? 'by other code is under way' : 'is under way'
  const message = `a migration of "${type}" to version ${toVersion} ${how} (entry ${startedLsn}); go on with that one, or end it with --finalise or --abandon`
  return new CommanderError('invalid_input', message)
}

function oldCode(
  { type, toVersion }: MigrationState,
  instances: readonly { readonly instance: string }[],
): CommanderError {
  const names = instances.map(({ instance }) => instance).join(', ')
  const message = `everything is rewritten, but ${names} runs code of before version ${toVersion} of "${type}": start the database with the new code, then give the same command again`
  return new CommanderError('not_ready', message, { retryable: false })
}
