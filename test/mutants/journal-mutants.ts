import { by, type Mutant } from './mutant.ts'

const faults = 'test/unit/journal/faults.test.ts'
const reader = 'test/unit/journal/reader.test.ts'
const append = 'test/unit/journal/append.test.ts'
const acceptLoss = 'test/unit/journal/accept-loss.test.ts'
const files = 'test/unit/journal/file-storage.test.ts'
const table = 'test/unit/journal/recovery-table.test.ts'
const shortFlush = 'test/unit/journal/short-flush-adapter.test.ts'

const tornIsCutOff = by(faults, 'a torn write at the end is cut off, kept aside, zeroed, and the journal goes on (R5)')
const damagedReader = (test: string) => by(reader, `a reader of a damaged journal ${test}`)
const file = (test: string) => by(files, `a file of the journal ${test}`)

/** What is written: the order of writes, flushes and names. */
const writing: readonly Mutant[] = [
  {
    name: 'a rename whose directory is not flushed',
    attacks: 'crash around rename',
    file: 'src/journal/file-storage.ts',
    text: 'fs.renameSync(this.path(from), this.path(to)))\n    this.flushNames()\n',
    replacement: 'fs.renameSync(this.path(from), this.path(to)))\n',
    foundBy: [file('has its new name for good when a rename is over')],
  },
  {
    name: 'a removal whose directory is not flushed',
    attacks: 'crash around rename',
    file: 'src/journal/file-storage.ts',
    text: 'fs.unlinkSync(this.path(name)))\n    this.flushNames()\n',
    replacement: 'fs.unlinkSync(this.path(name)))\n',
    foundBy: [file('is gone for good when a removal is over')],
  },
  {
    name: 'a new file whose directory is not flushed',
    attacks: 'crash around rename',
    file: 'src/journal/file-creation.ts',
    text: '      throw error\n    }\n    syncDirectory(path.dirname(this.path))\n',
    replacement: '      throw error\n    }\n',
    foundBy: [file('that is made is flushed before it has its name, and its name before anybody is told')],
  },
  {
    name: 'a new file that is not flushed before it has its name',
    attacks: 'crash around rename',
    file: 'src/journal/file-creation.ts',
    text: '      await file.sync()\n',
    replacement: '',
    foundBy: [file('that is made is flushed before it has its name, and its name before anybody is told')],
  },
  {
    name: 'a recycled segment that is zeroed while it may still have its old name',
    attacks: 'crash around rename',
    file: 'src/journal/file-creation.ts',
    text: '    fs.renameSync(recycled, this.temporary)\n    syncDirectory(path.dirname(this.path))\n',
    replacement: '    fs.renameSync(recycled, this.temporary)\n',
    foundBy: [file('that is used again has lost its name for good before its bytes are gone')],
  },
  {
    name: 'a small file that is replaced without a flush',
    attacks: 'crash around rename',
    file: 'src/journal/file-storage.ts',
    text: '{ mode: 0o600, flush: true }',
    replacement: '{ mode: 0o600 }',
    foundBy: [file('that is small is replaced as a whole: flushed, renamed, and its name flushed')],
  },
  {
    name: 'a flush that asks the system for nothing',
    attacks: 'G1, lost write',
    file: 'src/journal/file-storage.ts',
    text: 'this.flushFile(this.fd, (error) =>',
    replacement: 'fs.fstat(this.fd, (error) =>',
    foundBy: [file('is flushed by a flush, before anybody is told')],
  },
  {
    name: 'a short flush that is said to be done and is not',
    attacks: 'G1, I6',
    file: 'src/journal/short-flush-adapter.ts',
    text: 'attempted(() => flushNow(fd))',
    replacement: 'attempted(() => undefined)',
    foundBy: [by(shortFlush, 'a short flush is done here, once the caller has done what it is about')],
  },
  {
    name: 'a slow disk that everything waits for again and again',
    attacks: 'one slow flush stalls a journal server',
    file: 'src/journal/short-flush-adapter.ts',
    text: 'toOthers = restFlushes',
    replacement: 'toOthers = 0',
    foundBy: [
      by(shortFlush, 'one that took long sends the next ones to another thread, and then one is tried here again'),
    ],
  },
  {
    name: 'a flush that answers for what was written while it was under way',
    attacks: 'G1, A5',
    file: 'src/journal/journal-appender.ts',
    text: 'if (error === null) this.flushedLsn = target',
    replacement: 'if (error === null) this.flushedLsn = this.writtenLsn',
    foundBy: [by(append, 'flush covers what was written when it was called, and nothing after')],
  },
  {
    name: 'a flush that leaves the sealed segment out',
    attacks: 'G1, A5',
    file: 'src/journal/journal-appender.ts',
    text: 'this.flushRetired(this.retired.length, dirty, finish)',
    replacement: 'this.flushRetired(dirty === null ? this.retired.length : 0, dirty, finish)',
    foundBy: [by(append, 'flush covers the sealed segment before the new one')],
  },
  {
    name: 'a journal that goes on after a flush that failed',
    attacks: 'A3, EIO',
    file: 'src/journal/journal-appender.ts',
    text: '      else this.failed ??= error\n',
    replacement: '',
    foundBy: [by(faults, 'EIO from a flush is never answered by another flush')],
  },
  {
    name: 'a sealed segment is flushed again after its flush has failed',
    attacks: 'A3, EIO',
    file: 'src/journal/journal-appender.ts',
    text: 'if (this.failed !== null || (dirty === null && this.retired.length === 0))',
    replacement: 'if (dirty === null && this.retired.length === 0)',
    foundBy: [by(faults, 'EIO from the flush of a sealed segment is never answered by another flush of it')],
  },
  {
    name: 'a journal that goes on after a write that failed',
    attacks: 'A3, EIO',
    file: 'src/journal/journal-appender.ts',
    text: "if (isCommanderError(error) && error.code !== 'journal_full') this.failed ??= error",
    replacement: "if (isCommanderError(error) && error.code === 'journal_corrupt') this.failed ??= error",
    foundBy: [by(faults, 'EIO from a write closes the journal for writing')],
  },
  {
    name: 'a mark of a clean stop after a failure',
    attacks: 'R4, EIO',
    file: 'src/journal/journal-appender.ts',
    text: '    if (error !== null) return error\n    try {',
    replacement: '    try {',
    foundBy: [by(faults, 'EIO from a flush is never answered by another flush')],
  },
  {
    name: 'a frame in a block that holds flushed data',
    attacks: 'A2, torn write',
    file: 'src/journal/open-segment.ts',
    text: '    this.position = alignUp(this.position, this.header.blockBytes)\n    this.dirty = false',
    replacement: '    this.dirty = false',
    foundBy: [by(append, 'append never writes to a block again once a flush of it has started')],
  },
  {
    name: 'the time of frames goes back with the clock',
    attacks: 'clock jump',
    file: 'src/journal/journal-appender.ts',
    text: 'Math.max(this.wallMs, this.parts.environment.clock.wallMs())',
    replacement: 'this.parts.environment.clock.wallMs()',
    foundBy: [by(append, 'append keeps its clock from falling')],
  },
  {
    name: 'a segment is removed before its seal is flushed',
    attacks: 'A4, A5',
    file: 'src/journal/journal-appender.ts',
    text: 'const below = Math.min(beforeLsn, this.flushedLsn)',
    replacement: 'const below = beforeLsn',
    foundBy: [by(append, 'segments are never removed before they are flushed, nor the current one')],
  },
]

/** What is read: how a frame is told to be the one that belongs there. */
const reading: readonly Mutant[] = [
  {
    name: 'a chain of frames that nobody checks',
    attacks: 'R6, lost write',
    file: 'src/journal/segment-cursor.ts',
    text: "    if (!followsDigest(head, 0, this.digest)) return 'chain'\n",
    replacement: '',
    foundBy: [by(faults, 'a frame of another history is corruption although everything in it holds')],
  },
  {
    name: 'a chain from segment to segment that recovery does not check',
    attacks: 'R1, R6',
    file: 'src/journal/journal-scanner.ts',
    text: "return header.prevSegDigest.equals(digest) ? null : 'it does not follow the last frame of the previous segment'",
    replacement: 'return digest.length > 0 ? null : null',
    foundBy: [by(acceptLoss, 'a damaged journal with another history behind a segment is corrupt')],
  },
  {
    name: 'a chain from segment to segment that readers do not check',
    attacks: 'R6, G7',
    file: 'src/journal/reader.ts',
    text: '!header.prevSegDigest.equals(previous.digest)',
    replacement: 'header.segNo <= previous.header.segNo',
    foundBy: [damagedReader('says so when a segment of another history is behind one')],
  },
  {
    name: 'the CRC of entries is not checked',
    attacks: 'R6, bit rot',
    file: 'src/journal/frame.ts',
    text: '    if (bytes.readUInt32LE(offset + 88) !== crc32(bytes.subarray(start, end))) return false\n',
    replacement: '',
    foundBy: [damagedReader('says where, and never that there is no such entry')],
  },
  {
    name: 'the CRC of frame headers is not checked',
    attacks: 'R6, bit rot',
    file: 'src/journal/frame.ts',
    text: 'bytes.readUInt32LE(offset + headerCrcOffset) !== crc || ',
    replacement: '',
    foundBy: [damagedReader('says so when a bit of a frame header is another one, whichever of its fields that is in')],
  },
  {
    name: 'the digest of frames is not checked',
    attacks: 'R5, R6, torn write',
    file: 'src/journal/frame.ts',
    text: 'return digest16(bytes.subarray(offset, end)).compare(bytes, end, end + digestBytes) === 0',
    replacement: 'return true',
    foundBy: [by(faults, 'bit rot in the middle stops the database and says where (R6)'), tornIsCutOff],
  },
  {
    name: 'the place of a frame is not checked',
    attacks: 'R6, misdirected write',
    file: 'src/journal/segment-cursor.ts',
    text: 'header.fileOffset !== offset || ',
    replacement: '',
    foundBy: [by(faults, 'a misdirected write is corruption, at the end too')],
  },
  {
    name: 'the salt of a frame is not checked',
    attacks: 'R6, stale bytes',
    file: 'src/journal/segment-cursor.ts',
    text: 'header.fileOffset !== offset || !hasSalt(head, 0, this.header.salt)',
    replacement: 'header.fileOffset !== offset',
    foundBy: [by(faults, 'a misdirected write of another segment is corruption')],
  },
  {
    name: 'the LSN of a frame is not checked',
    attacks: 'R6, G7',
    file: 'src/journal/segment-cursor.ts',
    text: "    if (header.firstLsn !== this.nextLsn) return 'lsn'\n",
    replacement: '',
    foundBy: [damagedReader('says so when a frame that is sound and follows says another LSN than the next')],
  },
]

/** What recovery decides, and what it does. */
const recovering: readonly Mutant[] = [
  {
    name: 'an end below what was flushed is taken for the end',
    attacks: 'R7, lost write',
    file: 'src/journal/recovery.ts',
    text: "return end.nextLsn - 1 >= floorLsn ? 'reached' : 'missed'",
    replacement: "return end.nextLsn >= floorLsn || true ? 'reached' : 'missed'",
    foundBy: [by(faults, 'a lost write at the end is missed when something outside has seen it (R7)')],
  },
  {
    name: 'an end just below what was flushed is taken for the end',
    attacks: 'R7, lost write',
    file: 'src/journal/recovery.ts',
    text: 'return end.nextLsn - 1 >= floorLsn',
    replacement: 'return end.nextLsn >= floorLsn',
    foundBy: [by(faults, 'bit rot in the last frame stops the database when the store had applied it')],
  },
  {
    name: 'frames that vouch for nothing before them',
    attacks: 'R4',
    file: 'src/journal/journal-scanner.ts',
    text: '    this.floorLsn = lsn(Math.max(this.floorLsn, header.durableLsn))\n',
    replacement: '',
    foundBy: [tornIsCutOff],
  },
  {
    name: 'a mark of a clean stop that vouches for nothing',
    attacks: 'R4, R7',
    file: 'src/journal/recovery.ts',
    text: 'marked ? mark.lastLsn : 0',
    replacement: 'marked ? 0 : 0',
    foundBy: [by(faults, 'bit rot in the last frame stops the database after a clean stop')],
  },
  {
    name: 'a frame that was damaged is taken for torn',
    attacks: 'R6, bit rot',
    file: 'src/journal/journal-scanner.ts',
    text: "else this.tail = isUnwritten(file, offset, header) ? 'unwritten' : 'damaged'",
    replacement: "else this.tail = isUnwritten(file, offset, header) ? 'unwritten' : 'unwritten'",
    foundBy: [by(faults, 'bit rot in frames that were never flushed, before others, is not taken for torn')],
  },
  {
    name: 'a torn tail that is not zeroed',
    attacks: 'R5, torn write',
    file: 'src/journal/recovery-plan.ts',
    text: "steps.push({ kind: 'zero', name: segment, from, to: usedEnd }, { kind: 'flush', name: segment })",
    replacement: "steps.push({ kind: 'flush', name: segment })",
    foundBy: [tornIsCutOff],
  },
  {
    name: 'a torn tail of which no copy is kept aside',
    attacks: 'R5',
    file: 'src/journal/recovery-plan.ts',
    text: "    else if (usedEnd > from) steps.push({ kind: 'copy', name: segment, from, to: usedEnd, as })\n",
    replacement: '',
    foundBy: [tornIsCutOff],
  },
  {
    name: 'a copy of a torn tail that is not flushed before the tail is zeroed',
    attacks: 'R5',
    file: 'src/journal/recovery-steps.ts',
    text: '    copyRange(source, target, from, to, 0)\n    await flushed(target)\n',
    replacement: '    copyRange(source, target, from, to, 0)\n',
    foundBy: [tornIsCutOff],
  },
  {
    name: 'what is given up is removed, not kept aside',
    attacks: 'R6, accept-loss',
    file: 'src/journal/recovery-plan.ts',
    text: "steps.push({ kind: 'rename', name: segment, to: as })",
    replacement: "steps.push({ kind: 'remove', name: segment })",
    foundBy: [by(acceptLoss, 'a damaged journal keeps every byte that was given up')],
  },
  {
    name: 'a loss that is accepted on the old timeline',
    attacks: 'R6, accept-loss',
    file: 'src/journal/recovery.ts',
    text: 'givenUp ? Math.max(newest + 1, newTimeline) : newest',
    replacement: 'newest',
    foundBy: [
      by(acceptLoss, 'a damaged journal goes on where it is sound, on a new timeline, once the loss is accepted'),
    ],
  },
  {
    name: 'what was read is shown although it may not be flushed',
    attacks: 'R8',
    file: 'src/journal/recovery-plan.ts',
    text: "return [...writeBack, ...flush, { kind: 'flushNames' }]",
    replacement: "return flush.length < 0 ? writeBack : [{ kind: 'flushNames' }]",
    foundBy: [by(faults, 'EIO from the flush of recovery keeps the journal closed')],
  },
  {
    name: 'what was read is flushed and not written again first',
    attacks: 'R8, EIO',
    file: 'src/journal/recovery-plan.ts',
    text: "return [...writeBack, ...flush, { kind: 'flushNames' }]",
    replacement: "return writeBack.length < 0 ? [] : [...flush, { kind: 'flushNames' }]",
    foundBy: [
      by(
        faults,
        'EIO is survived by what the next process reads from the medium, written again before it is flushed (R8)',
      ),
    ],
  },
  {
    name: 'names that a predecessor gave are not flushed',
    attacks: 'R8, crash around rename',
    file: 'src/journal/recovery-plan.ts',
    text: "return [...writeBack, ...flush, { kind: 'flushNames' }]",
    replacement: 'return [...writeBack, ...flush]',
    foundBy: [
      by(
        faults,
        'a crash around a rename of a process, before the name is durable, loses nothing that its successor flushes under that name',
      ),
    ],
  },
  {
    name: 'a follower of another history keeps its state',
    attacks: 'R9, G7',
    file: 'src/journal/recovery-table.ts',
    text: "applied === 'aboveEnd' || digest === 'different'",
    replacement: "applied === 'aboveEnd'",
    foundBy: [
      by(
        table,
        'a follower of the journal (R9) with {"applied":"within","digest":"different"} has to discard its state',
      ),
    ],
  },
]

export const journalMutants: readonly Mutant[] = [...writing, ...reading, ...recovering]
