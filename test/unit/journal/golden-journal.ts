import { segmentsOf } from '../../../src/journal/segment-name.ts'
import { lsn } from '../../../src/kernel/identifiers.ts'
import { append, flush, JournalWorld } from './journal-world.ts'

/**
 * A small journal of format version 1 in two segments, as files cut behind their last byte that is not zero:
 * three frames with LSNs 1 to 4, the loss of an LSN 5 accepted, and on timeline 2 a frame with LSNs 5 and 6, then a clean stop.
 * The files in test/fixtures/journal-v1 were written once by this; a new format version gets its own beside them.
 */
export async function goldenJournal(): Promise<Map<string, Buffer>> {
  const world = new JournalWorld()
  const { journal } = await world.open()
  append(journal, 1, 64)
  append(journal, 2, 600)
  flush(world, journal)
  world.wallMs += 1000
  append(journal, 1, 24)
  flush(world, journal)
  world.storage.kill()

  const { journal: second } = await world.open({ floorLsn: lsn(5), acceptLoss: true })
  world.wallMs += 1000
  append(second, 2, 128)
  await world.close(second)

  const files = new Map<string, Buffer>()
  for (const name of [...segmentsOf(world.storage.list()).map((segment) => segment.name), 'clean-stop'])
    files.set(name, withoutZeros(world.storage.readWhole(name) ?? Buffer.alloc(0)))
  return files
}

function withoutZeros(bytes: Buffer): Buffer {
  return bytes.subarray(0, bytes.findLastIndex((byte) => byte !== 0) + 1)
}
