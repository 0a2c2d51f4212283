import { by, type Mutant } from './mutant.ts'

const batches = 'test/unit/archive/batch-archive.test.ts'
const archiver = 'test/unit/replication/stream-archiver.test.ts'
const follower = 'test/unit/replication/stream-follower.test.ts'
const segments = 'test/unit/archive/stream-segments.test.ts'
const seeding = 'test/unit/assembly/seed-node.test.ts'
const seed = 'test/unit/replication/seed.test.ts'
const serverLog = 'test/unit/replication/server-log-faults.test.ts'

export const clusterArchiveMutants: readonly Mutant[] = [
  {
    name: 'a segment gets its mark before the archive was seen to hold it',
    attacks: 'I13',
    file: 'src/archive/batch-archive.ts',
    text: '    await this.#verify(object, segment) // B2\n',
    replacement: '',
    foundBy: [
      by(
        batches,
        'sealed segments of a stream in an archive are marked only when the archive gives back what it was given',
      ),
    ],
  },
  {
    name: 'a node trims what it has no archive for and others archive',
    attacks: 'I13',
    file: 'src/replication/housekeeping.ts',
    text: ' || nodes.some(({ archive }) => archive !== undefined)',
    replacement: '',
    foundBy: [by(archiver, 'what a leader gives up lies in the archive, where anybody archives')],
  },
  {
    name: 'a node goes on in an archive that lacks what others have put into theirs',
    attacks: 'I13',
    file: 'src/replication/stream-archiver.ts',
    text: '      await this.#mustBeSamePlace(leader.meta)\n',
    replacement: '      this.#isSamePlace = true\n',
    foundBy: [
      by(
        archiver,
        'the archiver of a stream does nothing in a place that lacks what others have archived, and lets nothing be trimmed',
      ),
    ],
  },
  {
    name: 'an object of another history is taken for what was trimmed',
    attacks: 'archive, two clusters',
    file: 'src/archive/batch-chain.ts',
    text: "        if (header.tailDigest.toString('hex') !== wanted.digest) continue\n",
    replacement: '',
    foundBy: [
      by(batches, 'sealed segments of a stream in an archive of another history at the same place are passed over'),
    ],
  },
  {
    name: 'batches of the archive are handed on whatever they follow',
    attacks: 'F1',
    file: 'src/replication/stream-follower.ts',
    text: '|| this.#digest?.equals(batch.prevDigest) === false',
    replacement: '',
    foundBy: [
      by(
        follower,
        'following a stream that was trimmed takes nothing from the archive that does not follow on what it has',
      ),
    ],
  },
  {
    name: 'a gap in the archive of a cluster is passed over',
    attacks: 'restore, G10',
    file: 'src/archive/stream-segments.ts',
    text: 'segNo += follows ? 1 : 2',
    replacement: 'segNo += 1',
    foundBy: [
      by(
        segments,
        'the archive of a replicated journal, seen as that of one database shows what is damaged, and what is missing',
      ),
    ],
  },
  {
    name: 'a store that fell behind while it came is installed',
    attacks: 'N1',
    file: 'src/assembly/seed-node.ts',
    text: 'if (meta !== null && root < meta.trimLsn)',
    replacement: 'if (meta === null)',
    foundBy: [
      by(
        seeding,
        'a node that starts asks the next one when one has too little by then, and again when the stream was trimmed meanwhile',
      ),
    ],
  },
  {
    name: 'a store is replaced under the processes that have it open',
    attacks: 'N2',
    file: 'src/assembly/seed-node.ts',
    text: 'if (await isServed(transport, addresses.applier)) throw inUse() // N2',
    replacement: 'await isServed(transport, addresses.applier)',
    foundBy: [by(seeding, 'a node that starts never replaces a store that other processes have open')],
  },
  {
    name: 'local segments outlive the store that they were written beside',
    attacks: 'N3',
    file: 'src/assembly/seed-node.ts',
    text: '      discard(this.#surroundings.openStorage())\n',
    replacement: '',
    foundBy: [
      by(
        seeding,
        'a node that starts takes the store of another node where it has nothing, rather of one that does not lead, and gives up its segments',
      ),
    ],
  },
  {
    name: 'a store that came with other bytes is taken',
    attacks: 'seeding',
    file: 'src/replication/seed-client.ts',
    text: " && sha256 === this.#sha.digest('hex')",
    replacement: '',
    foundBy: [by(seed, 'the store of a node on its way to another is nothing where it is other bytes than were sent')],
  },
  {
    name: 'a journal server does not keep within what it was given of the disk',
    attacks: 'bounds',
    file: 'src/replication/server-room.ts',
    text: 'if (used >= maxBytes) throw overBound(used, maxBytes)',
    replacement: 'if (used >= 2 * maxBytes) throw overBound(used, maxBytes)',
    foundBy: [
      by(
        serverLog,
        'the log of a journal server that was given a part of the disk takes nothing beyond it, promises all the same, and goes on once some was trimmed',
      ),
    ],
  },
]
