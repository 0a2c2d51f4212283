import { by, type Mutant } from './mutant.ts'

const contract = 'test/contract/server-log.test.ts'
const faults = 'test/unit/replication/server-log-faults.test.ts'
const shell = 'test/unit/replication/journal-server-shell.test.ts'

const log = (test: string) => by(contract, `the log of a journal server over memory ${test}`)
const server = (test: string) => by(shell, `a journal server ${test}`)

/** What a journal server has on disk, and what it answers. */
export const journalServerMutants: readonly Mutant[] = [
  {
    name: 'a promise that is kept in memory alone',
    attacks: 'I4',
    file: 'src/replication/stored-stream.ts',
    text: '  storage.writeWhole(promiseName, encodeChecked({ format, ...promise }))\n',
    replacement:
      '  if (promise.promised === 0) storage.writeWhole(promiseName, encodeChecked({ format, ...promise }))\n',
    foundBy: [log('promises keeps the highest promise of each stream')],
  },
  {
    name: 'the directory of another cluster is taken',
    attacks: 'wiped or foreign directory',
    file: 'src/replication/server-identity.ts',
    text: '  if (found.clusterId !== wanted.clusterId) throw foreign(disk.place, found.clusterId, wanted.clusterId)\n',
    replacement: '',
    foundBy: [log('who it is refuses the directory of another cluster and that of another server')],
  },
  {
    name: 'a damaged last batch counts as torn',
    attacks: 'I14',
    file: 'src/replication/segment-recovery.ts',
    text: '      strictEnd: true,\n',
    replacement: '',
    foundBy: [log('damage takes the last batch for damaged and not for absent: its payload was written as a whole')],
  },
  {
    name: 'what was flushed at a promise is not vouched for',
    attacks: 'I14',
    file: 'src/replication/stored-segment.ts',
    text: '    if (this.flushed > this.mark.floor) this.changeMark({ floor: this.flushed })\n',
    replacement: '',
    foundBy: [log('damage misses what had been flushed when a promise was made')],
  },
  {
    name: 'what is left of a damaged segment is not written again',
    attacks: 'R8',
    file: 'src/replication/segment-recovery.ts',
    text: '    await makeSalvageDurable(storage, left)\n',
    replacement: '',
    foundBy: [
      by(
        faults,
        'a damaged segment that was not flushed is on the medium before anybody is told what is left of it (R8)',
      ),
    ],
  },
  {
    name: 'a cut that keeps what was flushed as sure',
    attacks: 'I14',
    file: 'src/replication/stored-segment.ts',
    text: '      floor: lsn(Math.min(this.mark.floor, after)),\n',
    replacement: '',
    foundBy: [log('cutting drops what lies above an LSN that had been vouched for')],
  },
  {
    name: 'an end of a segment that is forgotten at a restart',
    attacks: 'I9',
    file: 'src/replication/hosted-stream.ts',
    text: '    return () => this.surroundings.log.finish(this.state.stream, segmentEpoch, tail)\n',
    replacement: '    return () => undefined\n',
    foundBy: [server('knows after a restart where a segment was finished')],
  },
  {
    name: 'batches that are not looked at',
    attacks: 'I2',
    file: 'src/replication/request-check.ts',
    text: "  if (!batches.every(isIntact)) return malformed('a batch has another digest than it says')\n",
    replacement: "  if (!batches.every(() => isIntact)) return malformed('a batch has another digest than it says')\n",
    foundBy: [server('refuses a batch that is not what its digest says, and writes nothing of it')],
  },
  {
    name: 'a flush that failed is not the end',
    attacks: 'EIO from write or flush',
    file: 'src/replication/journal-server-log.ts',
    text: '    this.failed ??= new CommanderError(\n',
    replacement: '    return new CommanderError(\n',
    foundBy: [
      by(
        faults,
        'the log of a journal server whose disk fails flushes no second time: the next process goes by what is on the medium',
      ),
    ],
  },
]
