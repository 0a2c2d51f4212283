import { portionOf } from '../actions/entry-portion.ts'
import { databaseStream } from '../assembly/database-stream.ts'
import { fileSurroundings } from '../assembly/file-surroundings-adapter.ts'
import { journalOptionsOf } from '../assembly/journal-settings.ts'
import { recoverJournal } from '../assembly/recover-journal.ts'
import type { Surroundings } from '../assembly/surroundings.ts'
import type { JournalOptions } from '../journal/options.ts'
import { JournalReader } from '../journal/reader.ts'
import { digest16 } from '../kernel/checksum.ts'
import { CommanderError, isCommanderError } from '../kernel/errors.ts'
import type { Lsn } from '../kernel/identifiers.ts'
import { lockDatabase } from '../observability/process-lock-adapter.ts'
import { StoreReplay } from '../projection-applier/store-replay.ts'
import { ClusterRegistry } from '../replication/cluster-registry.ts'
import { openMetadataStore } from '../replication/open-metadata-store-adapter.ts'
import { createStreamBehind } from '../replication/stream-creation.ts'
import { readClusterPlace, writeClusterPlace } from '../store/cluster-place-adapter.ts'
import { readIdentity } from '../store/identity-adapter.ts'
import { exitCodes, UsageError } from './exit-code.ts'
import { type Flags, readSettings } from './settings.ts'
import { list } from './table.ts'
import { controlClient } from './target.ts'
import type { Terminal } from './terminal.ts'

/**
 * Makes a cluster of a database that keeps its journal alone: its store is brought to the end of the journal, and the stream of the
 * cluster begins behind that. What is before is in the store, which further nodes take when they come. Repeated, it goes on where it was cut
 * off, until a node has led.
 */
export async function begin(terminal: Terminal, flags: Flags): Promise<number> {
  const { config } = await readSettings(flags)
  const { dataDir, replication } = config
  const { metadata, tls } = replication
  if (metadata === null) throw new UsageError('say by --metadata where the cluster is to be')
  const identity = readIdentity(dataDir)
  if (identity === undefined) throw nothingThere(dataDir)
  const { databaseId } = identity
  const locks = [lockDatabase(dataDir, 'database'), lockDatabase(dataDir, 'journal-writer')]
  try {
    const place = readClusterPlace(dataDir)
    if (place !== null && place.nodeId !== null) throw isNode(dataDir, place.metadata)
    const { environment, transport } = controlClient(dataDir)
    const store = await openMetadataStore(metadata, environment)
    try {
      await joinAsFirst(new ClusterRegistry(store, environment), databaseId, metadata)
      const failed = (error: Error): never => {
        throw error
      }
      const surroundings = fileSurroundings({ environment, transport, dataDir, databaseId, failed })
      const tail = await applyAll(surroundings, journalOptionsOf(config))
      // Of whatever is before: it only has to be the same for all.
      const tailDigest = digest16(Buffer.from(`${databaseId} ${tail}`)).toString('hex')
      await createStreamBehind(store, environment, databaseStream, { tail, tailDigest })
      writeClusterPlace(dataDir, { clusterId: databaseId, metadata, nodeId: null, tls })
      await terminal.out(said(flags, { clusterId: databaseId, metadata, dataDir, afterLsn: tail }))
      return exitCodes.done
    } finally {
      await store.close()
    }
  } finally {
    for (const lock of locks) lock.release()
  }
}

const readBytes = 4_194_304

/** The whole journal is in the store, and the state that all processes start from is that of its end. */
async function applyAll(surroundings: Surroundings, options: JournalOptions): Promise<Lsn> {
  const { journal, storage } = await recoverJournal(surroundings, options)
  const tail = journal.writtenLsn
  await new Promise<void>((resolve, reject) => journal.close((error) => (error === null ? resolve() : reject(error))))
  const store = surroundings.openStore('write')
  const replay = new StoreReplay(store)
  const reader = new JournalReader(storage, replay.next)
  try {
    while (replay.next <= tail)
      for (const batch of reader.read(readBytes, tail)) {
        const portion = portionOf(batch, replay.next, tail)
        if (portion !== null) await replay.apply(portion)
      }
    await replay.finish()
  } finally {
    reader.close()
    await store.close()
  }
  return tail
}

interface Begun {
  readonly clusterId: string
  readonly metadata: string
  readonly dataDir: string
  readonly afterLsn: Lsn
}

function said(flags: Flags, begun: Begun): string {
  if (flags['json'] === true) return `${JSON.stringify(begun)}\n`
  const { clusterId, metadata, dataDir, afterLsn } = begun
  return list([
    ['cluster', clusterId],
    ['metadata', metadata],
    ['begins', `behind LSN ${afterLsn}, what is before is in ${dataDir} alone until another node has taken it`],
    ['next', `start journal servers, then this node with --journal replicated --metadata ${metadata} --node-id NAME`],
  ])
}

/** The cluster has the id of the database. */
const joinAsFirst = (registry: ClusterRegistry, databaseId: string, metadata: string): Promise<string> =>
  registry.join(databaseId).catch((error: unknown) => {
    if (!isCommanderError(error) || error.code !== 'foreign_cluster') throw error
    const message =
      `${metadata} is of another cluster already, perhaps because its journal servers were started before: name an empty metadata store, ` +
      'and begin the cluster before anything of it is started; nothing was changed'
    throw new CommanderError('foreign_cluster', message, { cause: error, details: error.details })
  })

const nothingThere = (dataDir: string): CommanderError =>
  new CommanderError(
    'no_database',
    `there is no database in ${dataDir}: a cluster without one begins by itself when its first node is started`,
  )

const isNode = (dataDir: string, metadata: string): CommanderError =>
  new CommanderError(
    'already_exists',
    `${dataDir} is of a node of the cluster at ${metadata} already: nothing was changed`,
  )
