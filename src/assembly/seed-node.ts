import type { Transport } from '../ipc/channel.ts'
import { CommanderError, isCommanderError, messageOf } from '../kernel/errors.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import { type MetadataStore, metadataKeys } from '../replication/metadata-store.ts'
import { decodeNode, type NodeRecord } from '../replication/node-record.ts'
import { takeSeed } from '../replication/seed-client.ts'
import type { SeedSink, SeedSource } from '../replication/seed-protocol.ts'
import type { StreamArchive } from '../replication/stream-archive.ts'
import type { StreamMeta } from '../replication/stream-meta.ts'
import { decodeStreamMeta } from '../replication/stream-meta-codec.ts'
import type { KeyValueStore } from '../store/key-value-store.ts'
import { readPosition, readRoot } from '../tables/meta.ts'
import { databaseStream } from './database-stream.ts'
import { discard } from './stream-cache.ts'
import type { Surroundings } from './surroundings.ts'

/** A store that comes from another node, under another name until it is known to be what is wanted. */
export interface IncomingStore extends SeedSink {
  /** As it came, for reading; nothing more is written. */
  open(): Promise<KeyValueStore>
  /** In the place of the store that is here. Nobody may have that open. */
  install(): Promise<void>
  abandon(): Promise<void>
}

export interface SeedFiles {
  /** Of the store of this node, which goes on being written. */
  copy(): Promise<SeedSource>
  receive(): Promise<IncomingStore>
}

export interface SeedSettings {
  readonly metadata: MetadataStore
  readonly clusterTransport: Transport
  /** The id of this node. */
  readonly nodeId: string
  readonly archive: StreamArchive | null
  readonly files: SeedFiles
}

/** By the id of a node why it did not give its store, when it was asked last. */
type Failures = Map<string, string>

/** So long other nodes are waited for. */
const patienceMs = 60_000
const againMs = 1000

/**
 * What a node does whose store ends before what is left of the stream: it takes the store of a node that is there, and goes on from that.
 *
 * - N1: this node is known to others by then, as one that needs everything: so what it gets does not fall behind while it comes. It is
 *   looked at all the same, since whoever trims may not have heard.
 * - N2: the store is replaced only while no other process has it open: before the journal writer is ready none is started.
 * - N3: local segments do not outlive the store that they were written beside.
 */
export class NodeSeeding {
  readonly #surroundings: Surroundings
  readonly #o: SeedSettings

  constructor(surroundings: Surroundings, settings: SeedSettings) {
    this.#surroundings = surroundings
    this.#o = settings
  }

  /**
   * Before the journal writer starts: a node that has nothing takes what others have rather than the archive from its beginning, and one that the
   * archive does not reach has no other choice.
   */
  async beforeStart(): Promise<void> {
    const meta = await this.#record()
    if (meta === null) return
    const root = await this.#root()
    if (root >= meta.trimLsn) return
    const { archive } = this.#o
    // Its local segments may reach further than its store: whoever opens them will know.
    if (archive === null && root > 0) return
    const isReached = archive !== null && (await reaches(archive, root, meta))
    if (isReached && root > 0) return
    try {
      await this.take()
    } catch (error) {
      if (!isReached || !isCommanderError(error) || error.code !== 'log_trimmed') throw error
      const { log } = this.#surroundings.environment
      const said = { archive: archive?.location, error: error.message }
      log.warn(said, 'no other node gave its store: everything is read from the archive')
    }
  }

  /** @throws CommanderError `log_trimmed`: nobody has what is missing here, or other processes have the store open */
  async take(): Promise<void> {
    const { environment, transport, addresses } = this.#surroundings
    if (await isServed(transport, addresses.applier)) throw inUse() // N2
    const untilMs = environment.clock.monotonicMs() + patienceMs
    const failures: Failures = new Map()
    for (;;) {
      for (const node of await this.#nodes()) if (await this.#takeFrom(node, failures)) return
      if (environment.clock.monotonicMs() >= untilMs) throw failures.size === 0 ? nobodyHasIt() : nobodyGaveIt(failures)
      await new Promise<void>((resolve) => environment.scheduler.after(againMs, resolve))
    }
  }

  async #takeFrom(node: NodeRecord, failures: Failures): Promise<boolean> {
    const { environment, journalId } = this.#surroundings
    const { clusterTransport: transport, files } = this.#o
    const coming = await files.receive()
    try {
      // It is asked again and again: each cause is said once.
      if (!failures.has(node.id))
        environment.log.info({ node: node.id, address: node.address }, 'this node takes the store of another one')
      const id = Buffer.from(journalId).toString('hex')
      const { scheduler } = environment
      const wish = { transport, scheduler, address: node.address, stream: databaseStream, journalId: id, sink: coming }
      const { bytes } = await takeSeed(wish)
      const store = await coming.open()
      const { applied } = readPosition(store)
      const root = rootOf(store)
      await store.close()
      const meta = await this.#record()
      if (meta !== null && root < meta.trimLsn) throw fellBehind(root, meta.trimLsn) // N1
      // They are of the former store: what they hold behind what that had applied may be of no stream at all (N3).
      discard(this.#surroundings.openStorage())
      await coming.install()
      environment.log.info({ node: node.id, bytes, root, applied }, 'this node has the store of another one')
      return true
    } catch (error) {
      await coming.abandon()
      if (isCommanderError(error) && error.code === 'store_failed') throw error
      const reason = messageOf(error)
      if (failures.get(node.id) !== reason)
        environment.log.warn({ node: node.id, error: reason }, `the store of node ${node.id} was not taken: ${reason}`)
      failures.set(node.id, reason)
      return false
    }
  }

  /** Those that have what is needed; the one that leads has more to do than others. */
  async #nodes(): Promise<readonly NodeRecord[]> {
    const meta = await this.#record()
    const values = await this.#asked(() => this.#o.metadata.list(metadataKeys.nodes))
    const nodes = values.flatMap(({ value }) => decodeNode(value) ?? [])
    const able = nodes.filter(({ id, keepAfter }) => id !== this.#o.nodeId && keepAfter >= (meta?.trimLsn ?? 0))
    return able.sort((a, b) => Number(a.id === meta?.leader?.id) - Number(b.id === meta?.leader?.id))
  }

  async #record(): Promise<StreamMeta | null> {
    const value = await this.#asked(() => this.#o.metadata.get(metadataKeys.stream(databaseStream)))
    return value === null ? null : decodeStreamMeta(value.value)
  }

  /** Nothing goes on without the metadata store: it is waited for. */
  async #asked<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
    for (;;)
      try {
        return await ask()
      } catch (error) {
        if (!isCommanderError(error) || error.code !== 'metadata_unavailable') throw error
        const { scheduler, log } = this.#surroundings.environment
        log.warn({ error: error.message }, 'the metadata store does not answer; asking again')
        await new Promise<void>((resolve) => scheduler.after(againMs, resolve))
      }
  }

  async #root(): Promise<Lsn> {
    const store = this.#surroundings.openStore('read')
    const root = rootOf(store)
    await store.close()
    return root
  }
}

const rootOf = (store: KeyValueStore): Lsn => readRoot(store, { lookup: () => undefined, keepsPayloads: false }).lsn

async function reaches(archive: StreamArchive, after: Lsn, meta: StreamMeta): Promise<boolean> {
  try {
    for await (const _ of archive.read(after, meta)) break
    return true
  } catch (error) {
    // One that is down may have it: whoever reads waits for it.
    if (isCommanderError(error) && error.code === 'archive_unavailable') return true
    if (isCommanderError(error) && error.code === 'log_trimmed') return false
    throw error
  }
}

function isServed(transport: Transport, address: string): Promise<boolean> {
  return new Promise((resolve) =>
    transport.connect(address, (channel) => ({
      frame: () => {},
      opened: () => {
        channel.close()
        resolve(true)
      },
      closed: () => resolve(false),
    })),
  )
}

const inUse = (): CommanderError =>
  new CommanderError(
    'log_trimmed',
    'the journal servers have given up entries that this node lacks, and its processes have the store open: stop the node and start it ' +
      'again, then it takes the store of another one',
  )

const nobodyHasIt = (): CommanderError =>
  new CommanderError(
    'log_trimmed',
    'the journal servers have given up entries that this node lacks, and no other node was there to take the store of: start another node ' +
      'first, or restore a backup of the database here',
  )

function nobodyGaveIt(failures: Failures): CommanderError {
  const asked = [...failures].map(([node, reason]) => `node ${node} (${reason})`).join(', ')
  const message =
    'the journal servers have given up entries that this node lacks, and no other node gave this one its store; asked were ' +
    `${asked}. Mend that, and start this node again`
  return new CommanderError('log_trimmed', message, { details: { nodes: Object.fromEntries(failures) } })
}

const fellBehind = (root: Lsn, trimLsn: Lsn): CommanderError =>
  new CommanderError('log_trimmed', `what came begins behind LSN ${root}, and by now the stream behind ${trimLsn}`)
