import type { ArchiveTarget } from '../archive/archive-target.ts'
import { type ArchiveMemory, Archiver } from '../archive/archiver.ts'
import { SegmentVault } from '../archive/segment-vault.ts'
import type { CommanderError } from '../kernel/errors.ts'
import type { KeyValueStore } from '../store/key-value-store.ts'
import { putArchived, readArchived } from '../tables/meta.ts'
import type { Surroundings } from './surroundings.ts'

/**
 * Archives this database's segments, in whatever process holds its store for writing: what is archived is remembered there.
 * @param moved - called when `archivedLsn` has moved
 * @param failed - called when the archive shows that acknowledged entries are missing
 */
export function startArchiver(
  { environment, openStorage, journalId, segmentCodec }: Surroundings,
  store: KeyValueStore,
  target: ArchiveTarget,
  moved: () => void,
  failed: (error: CommanderError) => void,
): Archiver {
  const storage = openStorage()
  const { clock, log } = environment
  const codec = segmentCodec === undefined ? {} : { codec: segmentCodec }
  const vault = new SegmentVault({ target, storage, journalId, clock, ...codec })
  const archiver = new Archiver({
    environment,
    storage,
    vault,
    memory: readArchived(store) as ArchiveMemory | null,
    remember: (memory) =>
      store.write(
        (batch) => putArchived(batch, memory),
        (error) => {
          if (error !== null) log.warn({ error: error.message }, 'what is archived could not be remembered')
        },
      ),
    moved,
    missing: failed,
  })
  archiver.start()
  return archiver
}
