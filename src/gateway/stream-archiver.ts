import { isDeepStrictEqual } from 'node:util'
import type { StreamArchived } from '../actions/action.ts'
import { eventCountOf, isRemoved, lengthOf, lsnOf, padded, revisionOf } from '../actions/entry-layout.ts'
import { pack, unpack } from '../actions/message-pack.ts'
import type { Environment } from '../kernel/environment.ts'
import { CommanderError } from '../kernel/errors.ts'
import { type Lsn, noLsn, revision } from '../kernel/identifiers.ts'
import { readingArchived, readObject, type StreamVault } from '../tables/archived-streams.ts'
import { digestOf, packStreamObject, type StreamEntry } from '../tables/stream-object.ts'
import type { Queries } from './queries.ts'

/** Bytes of entries that one object takes, and one `stream/archived` entry names. */
const objectBytes = 4_194_304
/** A snapshot is a part of the entry. */
const snapshotBytesMax = 262_144
/** Entries read before the event loop is given back: each may lie in a block of its own. */
const entriesPerTurn = 128

interface Gathered {
  readonly entries: readonly StreamEntry[]
  readonly upTo: number
  readonly lastLsn: Lsn
}

type Snapshot = NonNullable<StreamArchived['snapshot']>

/**
 * Copies events of a stream into the archive, an object at a time. What it makes is the action that says so; until that
 * is an entry, nothing has changed, and an object that nobody names is all that a crash can leave.
 */
export class StreamArchiver {
  readonly #environment: Environment
  readonly #queries: Queries
  readonly #vault: StreamVault | null

  constructor(environment: Environment, queries: Queries, vault: StreamVault | null) {
    this.#environment = environment
    this.#queries = queries
    this.#vault = vault
  }

  /**
   * The state of the aggregate, so that commands need none of the archived events.
   * @throws CommanderError `invalid_config` without an archive, `invalid_input` when the state cannot be saved
   */
  async snapshot(type: string, id: string): Promise<Snapshot> {
    if (this.#vault === null) throw noArchive()
    const { archived } = this.#queries
    const folded = await readingArchived(archived, () => this.#queries.fold(type, id))
    const bytes = Buffer.from(pack(folded.state))
    if (bytes.length > snapshotBytesMax || !isDeepStrictEqual(unpack(bytes, 0, bytes.length), folded.state)) {
      throw notSaved(`${type}/${id}`, bytes.length)
    }
    return { ...folded, revision: revision(folded.revision) }
  }

  /**
   * Puts the events from one revision on into one object, at most up to another, and reads it back.
   * @returns what says so; null when there is nothing to archive
   * @throws CommanderError `archive_unavailable`, `archive_corrupt`
   */
  async put(type: string, id: string, from: number, most: number): Promise<StreamArchived | null> {
    if (this.#vault === null) throw noArchive()
    const { entries, upTo, lastLsn } = await this.#gather(`${type}/${id}`, from, most)
    if (entries.length === 0) return null
    const object = await packStreamObject({ type, id }, from, upTo, entries, this.#vault.packing)
    await this.#vault.putBytes(object.name, object.bytes)
    const stored = digestOf(await readObject(this.#vault, { object: object.name }))
    if (stored !== object.digest) throw notKept(this.#vault, object.name)
    return {
      type: 'stream/archived',
      aggregate: { type, id },
      from: revision(from),
      upTo: revision(upTo),
      lastLsn,
      object: object.name,
      digest: object.digest,
      snapshot: null,
      atMs: this.#environment.clock.wallMs(),
    }
  }

  /** Whole entries only: what one command decided on stays together. */
  async #gather(key: string, from: number, most: number): Promise<Gathered> {
    const entries: StreamEntry[] = []
    let upTo = from - 1
    let lastLsn = noLsn
    let bytes = 0
    for (const entry of this.#queries.entries(key, from)) {
      const { buffer, offset } = entry
      if (isRemoved(buffer, offset) || revisionOf(buffer, offset) !== upTo) throw changed(key)
      const last = upTo + eventCountOf(buffer, offset)
      if (last > most || bytes >= objectBytes) break
      const own = Buffer.from(buffer.subarray(offset, offset + padded(lengthOf(buffer, offset))))
      entries.push({ buffer: own, offset: 0, position: entry.position })
      bytes += own.length
      upTo = last
      lastLsn = lsnOf(buffer, offset)
      if (entries.length % entriesPerTurn === 0) await this.#turn()
    }
    return { entries, upTo, lastLsn }
  }

  #turn(): Promise<void> {
    return new Promise((resolve) => this.#environment.scheduler.soon(resolve))
  }
}

const noArchive = (): CommanderError =>
  new CommanderError(
    'invalid_config',
    'this database has no archive to put events into; set archive.directory or archive.s3 in its config',
  )

const notSaved = (key: string, bytes: number): CommanderError =>
  new CommanderError(
    'invalid_input',
    `the state of ${key} (${bytes} bytes) cannot be saved as a snapshot, which must be plain data of at most ${snapshotBytesMax} bytes; its events are needed where they are`,
  )

const notKept = ({ location }: StreamVault, object: string): CommanderError =>
  new CommanderError(
    'archive_corrupt',
    `the archive ${location} gives back other bytes for ${object} than were put there; nothing was archived`,
  )

const changed = (key: string): CommanderError =>
  new CommanderError('stream_busy', `the events of ${key} were removed meanwhile; look again`)
