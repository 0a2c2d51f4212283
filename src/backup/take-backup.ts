import { claimArchive } from '../archive/archive-identity.ts'
import { type ArchiveTarget, archiveNames } from '../archive/archive-target.ts'
import { placeOf, sealedSegments } from '../archive/sealed-segments.ts'
import { flushedSegmentBytes, segmentBytes } from '../archive/segment-bytes.ts'
import { readSegmentHeader } from '../journal/segment-chain.ts'
import { formatVersion } from '../journal/segment-header.ts'
import { type SegmentName, segmentsOf } from '../journal/segment-name.ts'
import type { JournalStorage } from '../journal/storage.ts'
import type { Clock } from '../kernel/environment.ts'
import { CommanderError } from '../kernel/errors.ts'
import { type Lsn, nextLsn, noLsn } from '../kernel/identifiers.ts'
import type { KeyValueStore } from '../store/key-value-store.ts'
import { readPosition, readRoot } from '../tables/meta.ts'
import { type BackupManifest, encodeManifest } from './backup-manifest.ts'
import { BackupWriter, chunksOf } from './backup-writer.ts'
import { foldJournal } from './fold-journal.ts'
import type { StoreCopy } from './store-copy-adapter.ts'

export interface BackupRequest {
  readonly target: ArchiveTarget
  readonly clock: Clock
  readonly database: BackupManifest['database']
  /** 16 bytes. */
  readonly journalId: Uint8Array
  /** The journal of the database, which goes on being written. */
  readonly storage: JournalStorage
  /** Copies the store as of one transaction to where it can be read and read as a file. */
  readonly copyStore: () => Promise<StoreCopy>
  /** What is flushed now. Rejects once the journal is no longer kept as it is. */
  readonly flushed: () => Promise<Lsn>
  /** The segments are copied: the journal may go on. */
  readonly releaseJournal: () => void
  /** Where the database archives; `null` where it does not. */
  readonly archive: string | null
  /** What the data directory says of how timelines began, by name. */
  readonly timelines: readonly { readonly name: string; readonly bytes: Buffer }[]
  /** Lets others have the event loop. */
  readonly pause: () => Promise<void>
  readonly progress: (what: string) => void
}

/**
 * Copies a running database to a place that is empty: the store as of one transaction, then the segments that hold what
 * came after its root, up to what is flushed by then, and the manifest at last.
 *
 * @throws CommanderError `archive_conflict` where the place is not empty, `archive_unavailable`, `journal_corrupt`,
 * `store_failed`, and what `flushed` rejects with
 */
export async function takeBackup(request: BackupRequest): Promise<BackupManifest> {
  const { target, clock, database, journalId, storage, archive, progress } = request
  const startedAt = isoTime(clock.wallMs())
  await mustBeEmpty(target)
  progress('the store')
  const copy = await request.copyStore()
  try {
    const { applied, root } = positionOf(copy.store)
    const toLsn = await request.flushed()
    await claimArchive(target, journalId, startedAt, 'backup')
    const writer = new BackupWriter(target)
    for (const { name, bytes } of request.timelines) await writer.putBytes(name, bytes)
    const timeline = await putSegments(request, writer, nextLsn(root), toLsn)
    progress('the hash of the state')
    const end = await foldJournal(storage, copy.store, toLsn, request.pause)
    // What was read is what the journal held all the while.
    await request.flushed()
    request.releaseJournal()
    progress(`${archiveNames.store}, ${copy.bytes} bytes`)
    await writer.putCompressed(archiveNames.store, copy.open(), copy.bytes)
    const manifest: BackupManifest = {
      format: 1,
      journalId: Buffer.from(journalId).toString('hex'),
      database,
      journalFormat: formatVersion,
      timeline,
      fromLsn: nextLsn(root),
      appliedLsn: applied,
      appliedTime: isoTime(end.appliedWallMs),
      toLsn,
      toDigest: end.digest.toString('hex'),
      toTime: isoTime(end.wallMs),
      stateHash: end.stateHash,
      startedAt,
      completedAt: isoTime(clock.wallMs()),
      archive,
      objects: writer.objects,
    }
    await new BackupWriter(target).putBytes(archiveNames.backup, encodeManifest(manifest))
    return manifest
  } finally {
    await copy.remove()
  }
}

const isoTime = (wallMs: number): string => new Date(wallMs).toISOString()

function positionOf(store: KeyValueStore): { readonly applied: Lsn; readonly root: Lsn } {
  return {
    applied: readPosition(store).applied,
    root: readRoot(store, { lookup: () => undefined, keepsPayloads: false }).lsn,
  }
}

async function mustBeEmpty(target: ArchiveTarget): Promise<void> {
  const names = await target.list('')
  const [first] = names
  if (first === undefined) return
  const what = names.includes(archiveNames.backup)
    ? 'holds a backup already'
    : names.includes(archiveNames.identity)
      ? 'holds an archive, or a backup that was broken off'
      : `is not empty: it holds ${first}`
  throw new CommanderError(
    'archive_conflict',
    `${target.location} ${what}; a backup needs a place of its own, name another`,
    {
      details: { location: target.location, object: first },
    },
  )
}

/** Oldest first, for those are the ones that the journal would let go of. Returns the timeline of the last. */
async function putSegments(
  { storage, progress }: BackupRequest,
  writer: BackupWriter,
  fromLsn: Lsn,
  toLsn: Lsn,
): Promise<number> {
  const all = segmentsOf(storage.list())
  const first = all.findLastIndex(({ baseLsn }) => baseLsn <= fromLsn)
  if (first < 0) throw gone(fromLsn)
  const wanted = all.filter(({ baseLsn }, index) => index === first || (index > first && baseLsn <= toLsn))
  const sealed = new Map(sealedSegments(storage, noLsn, toLsn).map((segment) => [segment.segNo, segment]))
  let timeline = 1
  for (const [index, segment] of wanted.entries()) {
    const header = readSegmentHeader(storage, segment.name)
    if (header === null) throw damagedHeaderOf(segment)
    const whole = sealed.get(segment.segNo)
    const place = whole === undefined ? null : placeOf(storage, whole)
    const object = place?.object ?? archiveNames.segment(header.timeline, segment.name)
    progress(`${object}, ${index + 1} of ${wanted.length}`)
    const bytes = whole === undefined ? flushedSegmentBytes(storage, segment, toLsn) : segmentBytes(storage, whole)
    await writer.putCompressed(object, chunksOf(bytes), header.segmentBytes)
    timeline = Math.max(timeline, header.timeline)
  }
  return timeline
}

const gone = (fromLsn: Lsn): CommanderError =>
  new CommanderError(
    'journal_corrupt',
    `entries from LSN ${fromLsn} on are no longer in the journal: the store is older; see status`,
    {
      details: { lsn: fromLsn },
    },
  )

const damagedHeaderOf = ({ name }: SegmentName): CommanderError =>
  new CommanderError('journal_corrupt', `segment ${name} cannot be copied, its header is damaged: run journal verify`, {
    details: { segment: name, offset: 0 },
  })
