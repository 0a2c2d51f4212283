/** Promises, appends and flushes without end; prints what is acknowledged. Killed by the test that starts it. */
import { defaultJournalOptions } from '../../src/journal/options.ts'
import { epoch, lsn } from '../../src/kernel/identifiers.ts'
import { createSystemEnvironment } from '../../src/kernel/system-environment.ts'
import { FileServerDisk } from '../../src/replication/file-server-disk.ts'
import { openServerLog } from '../../src/replication/journal-server-log.ts'
import { batchesAfter } from '../contract/server-log-contract.ts'

const stream = 's'
const log = await openServerLog({
  disk: new FileServerDisk(process.argv[2] ?? ''),
  environment: createSystemEnvironment(),
  options: { ...defaultJournalOptions, segmentBytes: 1 << 20, maxBytes: Number.POSITIVE_INFINITY },
  serverId: 's1',
  clusterId: 'c1',
})

function openNext(): void {
  const next = epoch(log.promised(stream) + 1)
  log.promise(stream, next)
  const last = log.segments(stream).at(-1)
  const base = lsn((last?.tail ?? 0) + 1)
  const baseDigest = last?.tailDigest ?? Buffer.alloc(16)
  log.createSegment(stream, { epoch: next, base, baseDigest })
  process.stdout.write(`promised ${next}\n`)
}

let rounds = 0

function appendAndFlush(): void {
  const segment = log.segments(stream).at(-1)
  if (segment?.tailDigest == null) throw new Error('the segment is damaged')
  const batches = batchesAfter(
    { tail: segment.tail, digest: segment.tailDigest },
    9,
    8 * (1 + ((segment.tail * 37) % 2500)),
  )
  log.append(stream, segment.epoch, batches.slice(0, 8), segment.flushed)
  log.flush(stream, segment.epoch, (flushed, error) => {
    if (error !== null) throw error
    process.stdout.write(`flushed ${flushed}\n`)
    if (++rounds % 10 === 0) openNext()
    setImmediate(appendAndFlush)
  })
  // written while the flush is under way, and never acknowledged
  log.append(stream, segment.epoch, batches.slice(8), segment.flushed)
}

openNext()
appendAndFlush()
