import { by, type Mutant } from './mutant.ts'

const walk = 'test/unit/backup/segment-walk.test.ts'
const lineage = 'test/unit/backup/lineage.test.ts'
const limits = 'test/unit/backup/restore-limits.test.ts'

export const restoreMutants: readonly Mutant[] = [
  {
    name: 'an application restores from a store that nobody has compared with the journal',
    attacks: 'R9',
    file: 'src/application/aggregates-on-hand.ts',
    text: 'this.#isOfJournal = this.#storeAgrees || readPosition(store).applied <= this.#stored',
    replacement: 'this.#isOfJournal = store !== null',
    foundBy: [
      by(
        'test/unit/assembly/lost-entries.test.ts',
        'nobody decides on a store that an applier fills with what the journal has lost while its writer was recovered',
      ),
    ],
  },
  {
    name: 'a loss is accepted without saying so before',
    attacks: 'R6, accept-loss',
    file: 'src/backup/accept-loss.ts',
    text: '  writeGivingUp(storage, begun) // I1\n',
    replacement: '',
    foundBy: [
      by(
        'test/unit/backup/accept-loss.test.ts',
        'giving up that is cut short has changed nothing or says what it gives up, and is ended by the next one (store behind, kill)',
      ),
    ],
  },
  {
    name: 'a restore takes segments of a timeline that was left',
    attacks: 'restore',
    file: 'src/backup/lineage.ts',
    text: 'segment.timeline === at && segment.segNo < until',
    replacement: 'segment.timeline === at',
    foundBy: [
      by(lineage, 'the history of a timeline takes no segment of the older timeline from where it left that on'),
    ],
  },
  {
    name: 'a restore takes a segment of another history',
    attacks: 'restore',
    file: 'src/backup/segment-walk.ts',
    text: '!header.prevSegDigest.equals(before.scanned.sealDigest)',
    replacement: 'header.segNo <= before.header.segNo',
    foundBy: [by(walk, 'what is restored goes along the hash chain: a segment of another history is refused')],
  },
  {
    name: 'a restore takes segments of another database',
    attacks: 'R0, restore',
    file: 'src/backup/segment-walk.ts',
    text: '  if (!header.journalId.equals(journalId)) throw foreign(copy, header)\n',
    replacement: '',
    foundBy: [by(walk, 'what is restored is of the journal that is wanted, and of no other')],
  },
  {
    name: 'a restore goes over a segment that is missing',
    attacks: 'restore',
    file: 'src/backup/segment-walk.ts',
    text: 'if (next.segNo === header.segNo + 1) return null',
    replacement: 'if (next.segNo > header.segNo) return null',
    foundBy: [by(walk, 'what is restored has no gap: a segment that is missing is named')],
  },
  {
    name: 'a restore takes one entry more than the goal',
    attacks: 'restore',
    file: 'src/backup/restore-goal.ts',
    text: 'goal.lsn - firstLsn + 1)',
    replacement: 'goal.lsn - firstLsn + 2)',
    foundBy: [by(limits, 'the goal of a restore takes a frame whole, in part or not at all')],
  },
  {
    name: 'a backup is gone on from along a timeline that left its history before its end',
    attacks: 'restore',
    file: 'src/backup/restore-limits.ts',
    text: 'leftAt > appliedLsn',
    replacement: 'leftAt >= appliedLsn',
    foundBy: [
      by(
        limits,
        'the timeline that is restored is reached from a backup only when it left the backup’s behind all that the backup holds',
      ),
    ],
  },
  {
    name: 'two databases are restored onto one timeline',
    attacks: 'restore, two writers',
    file: 'src/backup/timeline-claim.ts',
    text: "encodeClaim(claim))) === 'created')",
    replacement: 'encodeClaim(claim))) !== null)',
    foundBy: [
      by(
        'test/unit/backup/timeline-claim.test.ts',
        'a timeline that others restored onto is left to them: each gets a number of its own, and the first claim stays',
      ),
    ],
  },
  {
    name: 'an object of a backup is not held to its manifest',
    attacks: 'restore, bit rot',
    file: 'src/backup/verified-target.ts',
    text: 'readBytes === bytes && found === sha256',
    replacement: 'readBytes === bytes && found.length === sha256.length',
    foundBy: [
      by(
        'test/unit/backup/verified-target.test.ts',
        'an object of a backup that has another byte ends in an error that names it',
      ),
    ],
  },
  {
    name: 'a replay that comes to another state is not noticed',
    attacks: 'G7, restore',
    file: 'src/backup/compared-hashes.ts',
    text: 'if (found !== expected) differing.push',
    replacement: 'if (found.length !== expected.length && found !== expected) differing.push',
    foundBy: [
      by(
        'test/unit/backup/compared-hashes.test.ts',
        'a replay is held to every hash that was written down for an entry which it has yet to replay',
      ),
    ],
  },
]
