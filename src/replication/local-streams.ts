import type { Environment } from '../kernel/environment.ts'
import { CommanderError } from '../kernel/errors.ts'
import { LocalLog } from './local-log.ts'
import { LocalStream } from './local-stream.ts'
import { type MetadataStore, type MetadataValue, metadataKeys } from './metadata-store.ts'
import { noStream } from './replicated-stream.ts'
import type { RoleState } from './role-state.ts'
import type { ServerLog } from './server-log.ts'
import type { SingleWriteJournal, StreamReader, StreamWriter } from './single-write-journal.ts'
import { createStreamRecord, deleteStreamRecord } from './stream-creation.ts'
import { HandledReader, HandledWriter } from './stream-handles.ts'
import type { Peer } from './stream-meta.ts'
import type { RoleRunner } from './stream-role.ts'
import { StreamRoles } from './stream-roles.ts'

export interface LocalStreamsOptions {
  readonly environment: Environment
  readonly metadata: MetadataStore
  readonly local: LocalLog
  readonly me: Peer
  /** Default 2000. */
  readonly leaseMs?: number
}

const leaseMsDefault = 2000

/** Streams on the disk of one host, as one of the nodes of a process has them: each is written by one node at a time. */
export class LocalStreams implements SingleWriteJournal {
  readonly #o: LocalStreamsOptions
  readonly #roles: StreamRoles
  readonly #streams = new Map<string, LocalStream>()
  #isClosed = false

  constructor(options: LocalStreamsOptions) {
    this.#o = options
    const { environment, metadata: store, me, leaseMs = leaseMsDefault } = options
    this.#roles = new StreamRoles({ store, environment, me, leaseMs, runner: this.#runner() })
  }

  async createStream(stream: string): Promise<void> {
    const { metadata, environment } = this.#o
    const made = await createStreamRecord(metadata, environment, stream)
    if (made === null) throw new CommanderError('already_exists', `there is a stream ${stream} already`)
    this.#seen(stream, made)
  }

  async deleteStream(stream: string): Promise<void> {
    const { metadata, environment, local } = this.#o
    if ((await deleteStreamRecord(metadata, environment, stream)) === null) throw noStream(stream)
    this.#streams.get(stream)?.recordSeen(null)
    local.log.deleteStream(stream)
    local.tell()
  }

  async listStreams(): Promise<readonly string[]> {
    const found = await this.#o.metadata.list(metadataKeys.streams)
    return found.map(({ key }) => key.slice(metadataKeys.streams.length))
  }

  async openStreamReader(stream: string): Promise<StreamReader> {
    return new HandledReader(await this.#opened(stream), stream)
  }

  async openStreamWriter(stream: string): Promise<StreamWriter> {
    return new HandledWriter(await this.#opened(stream), stream, this.#o.local.log.batchBytesMax)
  }

  state(stream: string): RoleState {
    return this.#roles.state(stream)
  }

  observeState(stream: string): AsyncIterable<RoleState> {
    return this.#roles.observeState(stream)
  }

  async campaign(stream: string): Promise<void> {
    await this.#opened(stream)
    this.#roles.want(stream)
  }

  async resign(stream: string): Promise<void> {
    await this.#roles.resign(stream)
  }

  /** What is under way is indeterminate; leases end at once. The log is its owner's to close. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const stream of this.#streams.values())
      stream.stop(new CommanderError('not_leader', 'this node stops', { retryable: true }))
    await this.#roles.close()
  }

  #runner(): RoleRunner {
    return {
      campaign: (stream, record) => this.#stream(stream).campaign(record),
      recordSeen: (stream, record) => this.#streams.get(stream)?.recordSeen(record),
      resign: async (stream) => this.#streams.get(stream)?.resign(),
      // There is nowhere else to go.
      regroup: () => {},
      leads: (stream) => this.#streams.get(stream)?.leads === true,
    }
  }

  async #opened(stream: string): Promise<LocalStream> {
    const found = await this.#o.metadata.get(metadataKeys.stream(stream))
    if (found === null) throw noStream(stream)
    return this.#seen(stream, found)
  }

  #seen(stream: string, value: MetadataValue): LocalStream {
    const isNew = !this.#streams.has(stream)
    const opened = this.#stream(stream)
    this.#roles.recorded(stream, value)
    // The role may have seen it, or a later one, before anything was to be done with it here.
    if (isNew) opened.recordSeen(this.#roles.record(stream))
    return opened
  }

  #stream(stream: string): LocalStream {
    const known = this.#streams.get(stream)
    if (known !== undefined) return known
    const { environment, metadata, local, me } = this.#o
    const made = new LocalStream({ environment, metadata, local, stream, me, roles: () => this.#roles })
    this.#streams.set(stream, made)
    return made
  }
}

/** What the nodes of a process share: the log, and the records of its streams. */
export interface LocalHost {
  readonly local: LocalLog
  readonly openMetadata: () => MetadataStore
  /** @param id of the node; a node that is opened again is another incarnation */
  node(id: string, options?: { readonly leaseMs?: number }): LocalStreams
  close(): Promise<void>
}

export function localHost(
  environment: Environment,
  log: ServerLog,
  openMetadata: () => MetadataStore,
  closed: () => Promise<void>,
): LocalHost {
  const local = new LocalLog(log)
  const nodes: LocalStreams[] = []
  return {
    local,
    openMetadata,
    node: (id, options = {}) => {
      const me = { id, incarnation: environment.random.uuid(), address: 'local' }
      const node = new LocalStreams({ environment, metadata: openMetadata(), local, me, ...options })
      nodes.push(node)
      return node
    },
    close: async () => {
      for (const node of nodes) await node.close()
      await new Promise<void>((resolve, reject) => log.close((error) => (error === null ? resolve() : reject(error))))
      await closed()
    },
  }
}
