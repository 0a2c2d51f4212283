import type { LeaderAddress, Leadership } from '../ipc/leadership.ts'
import type { CommittedBatches } from '../journal-writer/committed-batches.ts'
import { JournalWriter } from '../journal-writer/journal-writer.ts'
import type { StandbySettings } from '../journal-writer/journal-writer-options.ts'
import type { StreamFeed } from '../journal-writer/stream-feed.ts'
import { CommanderError } from '../kernel/errors.ts'
import { type Lsn, nextLsn } from '../kernel/identifiers.ts'
import { ReplicatedJournal, type ReplicationLeader } from '../replication/replicated-journal.ts'
import { readAppliedFrame } from '../tables/applied-frame.ts'
import { readCheckpoint, readPosition, readRoot } from '../tables/meta.ts'
import { draftBytesMax } from './draft-bytes.ts'
import { batchReader } from './journal-replay.ts'
import { replayReferee } from './replay-referee.ts'
import type { JournalWriterSettings, RunningJournalWriter } from './start-journal-writer.ts'
import { type OpenCache, openStreamCache } from './stream-cache.ts'
import type { Surroundings } from './surroundings.ts'

export interface ReplicatedWriterSettings
  extends JournalWriterSettings,
    Pick<StandbySettings, 'readPoint' | 'replicationRefusal'> {
  readonly feed: StreamFeed
  /** As far as it is known when the writer starts: a node starts as one that follows. */
  readonly leadership: Leadership
}

export interface RunningReplicatedWriter extends RunningJournalWriter {
  /**
   * This node leads: resolves once the local segments have everything that was committed before, and the writer has said in
   * the journal that it leads. Drafts are taken when that is committed.
   *
   * @returns false where another node came to lead meanwhile: this one goes on following
   * @throws CommanderError `journal_corrupt`: the store has applied more than the stream holds
   */
  lead(port: ReplicationLeader, epoch: number, leader: LeaderAddress): Promise<boolean>
}

/** The journal writer of a node of a replicated journal: it follows until it is told to lead, and ends when it loses the lead. */
export async function startReplicatedWriter(
  surroundings: Surroundings,
  settings: ReplicatedWriterSettings,
): Promise<RunningReplicatedWriter> {
  const { environment, transport, addresses, openStorage, openStore, failed } = surroundings
  const {
    journal: options,
    flush,
    retention,
    feed,
    leadership,
    attestIntervalMs,
    readPoint,
    replicationRefusal,
  } = settings
  const store = openStore('read')
  const root = readRoot(store, { lookup: () => undefined, keepsPayloads: false })
  const { applied } = readPosition(store)
  const checkpoint = readCheckpoint(store)
  const appliedFrame = readAppliedFrame(store)
  await store.close()
  const storage = openStorage()
  const cache = await openStreamCache({ surroundings, storage, options, root, applied, appliedFrame, feed })
  const { guard, report } = cache
  const batches = await openBehind(cache, feed)
  const journal = new ReplicatedJournal(cache.journal, environment, (error) => writer.fail(error))
  const writer: JournalWriter = new JournalWriter({
    environment,
    journal,
    guard,
    flush,
    retention,
    batchBytesMax: draftBytesMax(options),
    readBatch: batchReader(storage),
    applied,
    checkpoint,
    failed,
    referee: replayReferee(surroundings),
    standby: { batches, leadership, readPoint, replicationRefusal },
    ...(attestIntervalMs === undefined ? {} : { attestIntervalMs }),
  })
  if (journal.writtenLsn < applied) journal.removeBefore(nextLsn(checkpoint)) // room for what is missing
  // Nobody may find less here than the store has applied: it would take itself for one of another history.
  await journal.reaches(applied)
  const listener = await transport.listen(addresses.journal, (channel) => writer.accept(channel))
  const stop = async (): Promise<void> => {
    writer.stop()
    await listener.close()
    await new Promise<void>((resolve, reject) => {
      journal.close((error) => (error === null ? resolve() : reject(error)))
    })
  }
  const lead = async (port: ReplicationLeader, epoch: number, leader: LeaderAddress): Promise<boolean> => {
    if (port.failed !== null) return false
    if (port.committed < writer.applied) throw ahead(writer.applied, port.committed)
    await journal.reaches(port.committed)
    // What is committed behind it is of a later leader.
    if (port.failed !== null || journal.writtenLsn > port.committed) return false
    journal.lead(port)
    writer.lead(epoch, leader)
    return true
  }
  return { writer, journal, report, lead, stop }
}

/** @throws CommanderError `log_trimmed`, and then nothing is open any more: the store may be replaced */
async function openBehind({ journal }: OpenCache, feed: StreamFeed): Promise<CommittedBatches> {
  try {
    return feed.open(journal.writtenLsn)
  } catch (error) {
    await new Promise<void>((resolve) => journal.close(() => resolve()))
    throw error
  }
}

/** Only what is committed reaches the store: one that has more is of another stream, or of one that lost entries. */
const ahead = (applied: Lsn, committed: Lsn): CommanderError =>
  new CommanderError(
    'journal_corrupt',
    `the store has applied entries up to LSN ${applied}, but the stream ends at LSN ${committed}: it lost what was committed, ` +
      'or this node was of another cluster; do not start it with this data directory until that is known',
    { details: { segment: null, offset: null, lsn: committed + 1, rule: 'R7', floorLsn: applied } },
  )
