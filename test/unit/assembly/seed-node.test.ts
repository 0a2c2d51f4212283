import { beforeEach, describe, expect, it } from 'vitest'
import { type IncomingStore, NodeSeeding } from '../../../src/assembly/seed-node.ts'
import type { Surroundings } from '../../../src/assembly/surroundings.ts'
import { createMemoryTransport } from '../../../src/ipc/memory-transport.ts'
import { MemoryStorage } from '../../../src/journal/memory-storage.ts'
import { segmentName } from '../../../src/journal/segment-name.ts'
import { CommanderError } from '../../../src/kernel/errors.ts'
import { epoch, type Lsn, lsn } from '../../../src/kernel/identifiers.ts'
import { createSystemEnvironment } from '../../../src/kernel/system-environment.ts'
import { metadataKeys } from '../../../src/replication/metadata-store.ts'
import { encodeNode } from '../../../src/replication/node-record.ts'
import { SeedServer } from '../../../src/replication/seed-server.ts'
import type { StreamArchive } from '../../../src/replication/stream-archive.ts'
import { encodeStreamMeta } from '../../../src/replication/stream-meta-codec.ts'
import { emptyRoot } from '../../../src/state/root.ts'
import { encodeRoot } from '../../../src/state/snapshot.ts'
import type { KeyValueStore } from '../../../src/store/key-value-store.ts'
import { openMemoryStore } from '../../../src/store/memory-store.ts'
import { putRoot } from '../../../src/tables/meta.ts'
import { allTables } from '../../../src/tables/table-names.ts'
import { nodeRecord } from '../../fixtures/node-record.ts'

const environment = createSystemEnvironment()
const journalId = Buffer.alloc(16, 7)

async function storeAt(root: Lsn): Promise<KeyValueStore> {
  const store = openMemoryStore({ tables: allTables, environment })
  const state = emptyRoot({ lookup: () => undefined, keepsPayloads: false })
  state.lsn = root
  await new Promise<void>((resolve) =>
    store.write(
      (batch) => putRoot(batch, encodeRoot(state)),
      () => resolve(),
    ),
  )
  return { ...store, table: (name: string) => store.table(name), close: async () => {} } as KeyValueStore
}

/** A cluster whose stream is trimmed up to 100, and nodes whose stores are "s" and the LSN of their root. */
class World {
  readonly transport = createMemoryTransport(environment)
  readonly values = new Map<string, string>()
  readonly asked: string[] = []
  trimLsn = 100
  root = 0
  nowMs = 0
  installed: string | null = null
  /** Local segments, of the former store. */
  readonly storage = new MemoryStorage(environment)
  abandoned = 0
  archive: StreamArchive | null = null
  readonly warnings: string[] = []

  constructor() {
    this.record()
  }

  record(): void {
    const policy = { replicas: 1, ackQuorum: 1, topology: 'fanout' } as const
    const digest = '0'.repeat(32)
    const open = { epoch: epoch(1), base: lsn(this.trimLsn + 1), baseDigest: digest, group: ['s'], policy } as const
    const meta = {
      stream: 'database',
      epoch: epoch(1),
      leader: { id: 'leads', incarnation: 'i', address: 'leads' },
      nonce: '',
      trimLsn: lsn(this.trimLsn),
      segments: [{ ...open, state: 'open' as const }],
    }
    this.values.set(metadataKeys.stream('database'), encodeStreamMeta(meta))
  }

  /** Says that it is there, which it may not be. */
  register(id: string, root: number): void {
    this.values.set(metadataKeys.node(id), encodeNode(nodeRecord(id, { keepAfter: root, mayShareDevice: true })))
  }

  async node(id: string, root: number, asked = (): void => {}): Promise<void> {
    this.register(id, root)
    const copy = async () => {
      this.asked.push(id)
      asked()
      const bytes = Buffer.from(`s${root}`)
      return {
        bytes: bytes.length,
        chunks: (async function* () {
          yield bytes
        })(),
        remove: async () => {},
      }
    }
    const server = new SeedServer({ environment, stream: 'database', journalId: journalId.toString('hex'), copy })
    await this.transport.listen(id, (channel) => ({
      frame: (kind, body) => server.frame(channel, kind, body),
      closed: () => server.closed(channel),
    }))
  }

  seeding(): NodeSeeding {
    const after = (delayMs: number, run: () => void) => {
      // Only the pauses between two tries: nothing here waits for a silent node.
      if (delayMs === 1000) {
        this.nowMs += delayMs
        setImmediate(run)
      }
      return { cancel: () => {} }
    }
    const surroundings = {
      environment: {
        ...environment,
        log: { ...environment.log, warn: (_: object, message: string) => this.warnings.push(message) },
        scheduler: { after, soon: setImmediate },
        clock: { monotonicMs: () => this.nowMs, wallMs: () => 0 },
      },
      transport: this.transport,
      addresses: { applier: 'applier' },
      journalId,
      openStore: () => this.#own as KeyValueStore,
      openStorage: () => this.storage,
    }
    const read = (key: string) => ({ key, value: this.values.get(key) as string, revision: 1 })
    return new NodeSeeding(surroundings as unknown as Surroundings, {
      metadata: {
        get: async (key: string) => (this.values.has(key) ? read(key) : null),
        list: async (prefix: string) => [...this.values.keys()].filter((key) => key.startsWith(prefix)).map(read),
      } as never,
      clusterTransport: this.transport,
      nodeId: 'me',
      archive: this.archive,
      files: { copy: () => Promise.reject(new Error('not asked')), receive: async () => this.#incoming() },
    })
  }

  async beforeStart(): Promise<void> {
    this.#own = await storeAt(lsn(this.root))
    await this.seeding().beforeStart()
  }

  #own: KeyValueStore | null = null

  #incoming(): IncomingStore {
    let text = ''
    return {
      write: async (chunk) => {
        text += chunk.toString()
      },
      open: () => storeAt(lsn(Number(text.slice(1)))),
      install: async () => {
        this.installed = text
      },
      abandon: async () => {
        this.abandoned++
      },
    }
  }
}

let world: World
beforeEach(() => {
  world = new World()
})

describe('a node that starts', () => {
  it('keeps its store where the stream still has what comes next', async () => {
    await world.node('other', 120)
    world.root = 100
    await world.beforeStart()
    expect(world.asked).toEqual([])
  })

  it('takes the store of another node where it has nothing, rather of one that does not lead, and gives up its segments', async () => {
    await world.node('leads', 130)
    await world.node('other', 120)
    world.storage.createNow(segmentName(1, lsn(1)), 1 << 20)
    await world.beforeStart()
    expect([world.installed, world.asked]).toEqual(['s120', ['other']])
    expect(world.storage.list()).toEqual([])
  })

  it('asks the next one when one has too little by then, and again when the stream was trimmed meanwhile', async () => {
    await world.node('behind', 50)
    await world.node('other', 120, () => {
      world.trimLsn = 125
      world.record()
    })
    await world.node('leads', 130)
    await world.beforeStart()
    expect([world.installed, world.asked, world.abandoned]).toEqual(['s130', ['other', 'leads'], 1])
  })

  it('waits for another node, and says what is missing when none comes', async () => {
    await expect(world.beforeStart()).rejects.toMatchObject({ code: 'log_trimmed', message: /no other node was there/ })
    expect(world.nowMs).toBe(60_000)
  })

  it('says which nodes were asked and why none gave its store, each cause once, and advises no restore', async () => {
    const foreign = 'the certificate of certain at tls://h:1 is not accepted: it is of another authority'
    world.register('certain', 120)
    await world.transport.listen('certain', (channel) => {
      channel.close(new CommanderError('forbidden', foreign))
      return { frame: () => {}, closed: () => {} }
    })
    world.register('deaf', 120)
    const error = await world.beforeStart().then(
      () => null,
      (reason: CommanderError) => reason,
    )
    expect(error).toMatchObject({
      code: 'log_trimmed',
      details: { nodes: { certain: foreign, deaf: expect.stringContaining('nobody listens at deaf') } },
    })
    expect(error?.message).toContain(`asked were node certain (${foreign}), node deaf (nobody listens at deaf`)
    expect(error?.message).not.toMatch(/restore|no other node was there/)
    expect(world.warnings).toEqual([
      `the store of node certain was not taken: ${foreign}`,
      expect.stringContaining('the store of node deaf was not taken: nobody listens at deaf'),
    ])
    expect(world.nowMs).toBe(60_000)
  })

  it('never replaces a store that other processes have open', async () => {
    await world.node('other', 120)
    await world.transport.listen('applier', () => ({ frame: () => {}, closed: () => {} }))
    await expect(world.beforeStart()).rejects.toMatchObject({ code: 'log_trimmed', message: /have the store open/ })
    expect(world.asked).toEqual([])
  })

  it('leaves it to its local segments whether they reach, where there is no archive', async () => {
    await world.node('other', 120)
    world.root = 60
    await world.beforeStart()
    expect(world.asked).toEqual([])
  })

  describe('with an archive', () => {
    const archiveOf = (error: CommanderError | null): StreamArchive =>
      ({
        location: 'somewhere',
        read: async function* () {
          if (error !== null) throw error
          yield []
        },
      }) as unknown as StreamArchive

    it('reads on from what it has', async () => {
      await world.node('other', 120)
      for (const error of [null, new CommanderError('archive_unavailable', 'down')]) {
        world.archive = archiveOf(error)
        world.root = 60
        await world.beforeStart()
      }
      expect(world.asked).toEqual([])
    })

    it('takes the store of another node where the archive does not reach, or it has nothing', async () => {
      await world.node('other', 120)
      world.archive = archiveOf(new CommanderError('log_trimmed', 'it was begun later'))
      world.root = 60
      await world.beforeStart()
      world.archive = archiveOf(null)
      world.root = 0
      await world.beforeStart()
      expect(world.asked).toEqual(['other', 'other'])
    })

    it('reads everything from the archive where no other node is there', async () => {
      world.archive = archiveOf(null)
      await world.beforeStart()
      expect(world.installed).toBeNull()
    })
  })
})
