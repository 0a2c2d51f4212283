/**
 * The life of a journal server's log in small, for the recording of its system calls: promises, segments, batches, flushes with writes
 * under way, cuts, an end. Says what is acknowledged when it is, and that it begins to cut before it does.
 */
import { writeSync } from 'node:fs'
import { defaultJournalOptions } from '../../src/journal/options.ts'
import { type Epoch, epoch, lsn } from '../../src/kernel/identifiers.ts'
import { createSystemEnvironment } from '../../src/kernel/system-environment.ts'
import { FileServerDisk } from '../../src/replication/file-server-disk.ts'
import { openServerLog } from '../../src/replication/journal-server-log.ts'
import { BatchChain } from '../fixtures/scripted-leader.ts'

const say = (...words: readonly (string | number)[]): void => void writeSync(1, `${words.join(' ')}\n`)
const stream = 's'
const log = await openServerLog({
  disk: new FileServerDisk(process.argv[2] ?? ''),
  environment: createSystemEnvironment(),
  options: { ...defaultJournalOptions, segmentBytes: 1 << 20, initZero: false, maxBytes: Number.MAX_SAFE_INTEGER },
  serverId: 's1',
  clusterId: 'c1',
})

const flush = (of: Epoch): Promise<void> =>
  new Promise((resolve, reject) => {
    log.flush(stream, of, (flushed, error) => {
      if (error !== null) return reject(error)
      say('flushed', of, flushed)
      resolve()
    })
  })

let chain = new BatchChain()
for (const led of [epoch(1), epoch(4)]) {
  log.promise(stream, led)
  say('promised', led)
  const base = { base: lsn(chain.tail + 1), baseDigest: chain.digest }
  log.createSegment(stream, { epoch: led, ...base })
  say('created', led, base.base)
  for (let round = 0; round < 4; round++) {
    log.append(stream, led, chain.next(2, 8 * (10 + 97 * round)), chain.tail)
    if (round % 2 === 1) log.append(stream, led, chain.next(1, 600_000), chain.tail)
    const flushing = flush(led)
    log.append(stream, led, chain.next(1, 3000), chain.tail)
    await flushing
  }
  // cut while a part is not flushed, and go on
  const middle = log.read(stream, led, base.base, lsn(chain.tail), 1e9).at(-4)
  if (middle === undefined) throw new Error('nothing to cut')
  const after = lsn(middle.firstLsn + middle.entryCount - 1)
  say('cutting', led, after)
  log.truncate(stream, led, after)
  say('flushed', led, after)
  say('cut', led, after)
  chain = new BatchChain(after, middle.digest)
  log.append(stream, led, chain.next(2, 504), chain.tail)
  await flush(led)
  log.append(stream, led, chain.next(2, 704), chain.tail)
}
log.promise(stream, epoch(9))
say('promised', 9)
const [first] = log.segments(stream)
if (first === undefined) throw new Error('no segment')
const end = lsn(first.flushed)
say('cutting', first.epoch, end)
log.finish(stream, first.epoch, end)
say('cut', first.epoch, end)
await new Promise<void>((resolve, reject) => log.close((error) => (error === null ? resolve() : reject(error))))
