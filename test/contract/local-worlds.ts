import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { Epoch, Lsn } from '../../src/kernel/identifiers.ts'
import { createSystemEnvironment } from '../../src/kernel/system-environment.ts'
import { openFileStreams } from '../../src/replication/file-streams.ts'
import { LocalLog } from '../../src/replication/local-log.ts'
import { type LocalHost, LocalStreams } from '../../src/replication/local-streams.ts'
import { openMemoryStreams } from '../../src/replication/memory-streams.ts'
import type { SingleWriteJournal } from '../../src/replication/single-write-journal.ts'
import { CutMetadata } from './cut-metadata.ts'
import type { JournalWorld } from './single-write-journal-contract.ts'

const environment = createSystemEnvironment()
const leaseMs = 600

/** The log of all nodes, of which one hears of no end of a flush while it is cut off. */
class HeldLog extends LocalLog {
  readonly #shared: LocalLog
  #held = Promise.resolve()

  constructor(shared: LocalLog) {
    super(shared.log)
    this.#shared = shared
  }

  hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#held = promise
    return resolve
  }

  override async flush(stream: string, segmentEpoch: Epoch): Promise<Lsn> {
    await this.#held
    const flushed = await this.#shared.flush(stream, segmentEpoch)
    await this.#held
    return flushed
  }

  override changed(): Promise<void> {
    return this.#shared.changed()
  }

  override tell(): void {
    this.#shared.tell()
  }
}

export async function hostWorld(kind: 'memory' | 'files'): Promise<JournalWorld> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'local-streams-'))
  const host: LocalHost =
    kind === 'memory'
      ? await openMemoryStreams(environment)
      : await openFileStreams({ environment, directory, journal: { segmentBytes: 1 << 20, initZero: false } })
  const cuts = new Map<SingleWriteJournal, () => () => void>()
  const nodes: LocalStreams[] = []
  return {
    node: async (id) => {
      const metadata = new CutMetadata(host.openMetadata())
      const local = new HeldLog(host.local)
      const me = { id, incarnation: environment.random.uuid(), address: 'local' }
      const node = new LocalStreams({ environment, metadata, local, me, leaseMs })
      nodes.push(node)
      cuts.set(node, () => {
        metadata.cut()
        const letGo = local.hold()
        return () => {
          metadata.heal()
          letGo()
        }
      })
      return node
    },
    cutOff: (node) => (cuts.get(node) as () => () => void)(),
    close: (node) => (node as LocalStreams).close(),
    remove: async () => {
      for (const node of nodes) await node.close()
      await host.close()
      fs.rmSync(directory, { recursive: true })
    },
  }
}
