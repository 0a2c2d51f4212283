import { decodeEntry } from '../../src/actions/decode.ts'
import { isWellFormed, lengthOf, padded } from '../../src/actions/entry-layout.ts'
import { frameMagic } from '../../src/journal/frame.ts'
import { inspectJournal } from '../../src/journal/inspect.ts'
import type { MemoryStorage } from '../../src/journal/memory-storage.ts'
import { frameHeaderBytes, frameOverheadBytes, segmentHeaderBytes } from '../../src/journal/options.ts'
import { JournalReader } from '../../src/journal/reader.ts'
import { segmentsOf } from '../../src/journal/segment-name.ts'
import { crc32, digest16, digestBytes } from '../../src/kernel/checksum.ts'
import { isCommanderError } from '../../src/kernel/errors.ts'
import { lsn } from '../../src/kernel/identifiers.ts'
import type { SeededRandom } from '../../src/testing/seeded-random.ts'
import { append, flush, JournalWorld } from '../unit/journal/journal-world.ts'
import type { FuzzLife, FuzzTarget } from './fuzz.ts'
import { mutated } from './mutations.ts'
import { validEntries } from './valid-entries.ts'

const lastLsn = validEntries().length + 3
/** A recovery writes, so it takes longer than reading: not every input gets one. */
const recoveryShare = 0.05

/**
 * Whatever the files hold, the reader ends with entries or with an error that says where, and recovery with a plan. Half
 * of the inputs get their checksums right again, so that what is behind those checks is reached as well.
 */
export const journalTarget: FuzzTarget = {
  inputsPerLife: 20_000,
  async open(): Promise<FuzzLife> {
    const files = await validFiles()
    const corpus = [...files.values()]
    return {
      feed: async (random, shows) => {
        const name = random.pick([...files.keys()])
        const changed = mutated(random, files.get(name) as Buffer, corpus)
        const input = random.chance(0.5) ? withChecksums(random, Buffer.from(changed)) : changed
        shows(input)
        const world = new JournalWorld()
        for (const [other, bytes] of files) world.storage.replace(other, other === name ? input : bytes)
        read(world.storage)
        if (random.chance(recoveryShare)) await recover(world, random)
      },
      check: async () => {
        const world = new JournalWorld()
        for (const [name, bytes] of files) world.storage.replace(name, bytes)
        if (read(world.storage) !== lastLsn) throw new Error('the valid journal is not read to its end')
      },
      close: async () => {},
    }
  },
}

/** A journal of two segments and two timelines, with entries of all kinds, cut behind the last byte that is not zero. */
async function validFiles(): Promise<Map<string, Buffer>> {
  const world = new JournalWorld()
  const { journal } = await world.open()
  const entries = validEntries()
  for (const [i, entry] of entries.entries()) {
    journal.append(entry, lsn(journal.writtenLsn + 1), 1, journal.flushedLsn)
    if (i % 7 === 0) flush(world, journal)
  }
  flush(world, journal)
  world.storage.kill()
  const { journal: second } = await world.open({ floorLsn: lsn(journal.writtenLsn + 1), acceptLoss: true })
  for (const bytes of [64, 800, 24]) append(second, 1, bytes)
  await world.close(second)
  return new Map(
    segmentsOf(world.storage.list()).map(({ name }) => {
      const bytes = world.storage.readWhole(name) ?? Buffer.alloc(0)
      return [name, bytes.subarray(0, bytes.findLastIndex((byte) => byte !== 0) + 1)]
    }),
  )
}

/** The LSN up to which it can be read. */
function read(storage: MemoryStorage): number {
  let last = 0
  tolerant(() => {
    const rows = inspectJournal(storage)
    for (let step = rows.next(); ; step = rows.next()) {
      if (step.done) {
        last = step.value.lastLsn
        return
      }
      if (step.value.kind === 'frame') decodeAll(step.value.payload)
    }
  })
  tolerant(() => {
    const reader = new JournalReader(storage, lsn(1))
    try {
      while (reader.read(1 << 20, lsn(lastLsn)).length > 0) {}
    } finally {
      reader.close()
    }
  })
  return last
}

function decodeAll(payload: Buffer): void {
  for (
    let at = 0;
    at < payload.length && isWellFormed(payload, at, payload.length);
    at += padded(lengthOf(payload, at))
  )
    decodedOrNot(payload, at)
}

/** An entry that is not what it says fails one way or another: what guards it is the digest of its frame. */
function decodedOrNot(payload: Buffer, at: number): void {
  try {
    decodeEntry(payload, at)
  } catch {
    // It ended, without taking anything along.
  }
}

async function recover(world: JournalWorld, random: SeededRandom): Promise<void> {
  try {
    const { journal } = await world.open({ acceptLoss: random.chance(0.5), floorLsn: lsn(random.integer(0, lastLsn)) })
    append(journal)
    await world.close(journal)
  } catch (error) {
    if (!isCommanderError(error)) throw error
  }
}

function tolerant(run: () => void): void {
  try {
    run()
  } catch (error) {
    if (!isCommanderError(error)) throw error
  }
}

/** Makes the CRCs and digests of a segment right again, of its header and of what still looks like frames. */
function withChecksums(random: SeededRandom, bytes: Buffer): Buffer {
  if (bytes.length < segmentHeaderBytes) return bytes
  const crcAt = segmentHeaderBytes - 4
  bytes.writeUInt32LE(crc32(bytes.subarray(0, crcAt)), crcAt)
  for (let at = bytes.indexOf(frameMagic); at !== -1; at = bytes.indexOf(frameMagic, at + 1)) {
    if (at + frameOverheadBytes > bytes.length) break
    const payloadBytes = bytes.readUInt32LE(at + 8)
    const end = at + frameHeaderBytes + payloadBytes
    const isWhole = end + digestBytes <= bytes.length
    if (isWhole) bytes.writeUInt32LE(crc32(bytes.subarray(at + frameHeaderBytes, end)), at + 88)
    bytes.writeUInt32LE(crc32(bytes.subarray(at, at + 100)), at + 100)
    if (isWhole) digest16(bytes.subarray(at, end)).copy(bytes, end)
    // Sometimes what follows it is left to be known by the chain alone.
    if (random.chance(0.1)) break
  }
  return bytes
}
