import { expect, it } from 'vitest'
import { lsn } from '../../../src/kernel/identifiers.ts'
import { emptyDigest, makeBatch, type ReplicatedBatch } from '../../../src/replication/batch.ts'
import { BatchQueue } from '../../../src/replication/batch-queue.ts'

const mebibyte = 1_048_576
/** Of one entry, and three MiB. */
const batch = (at: number): ReplicatedBatch => makeBatch(emptyDigest, lsn(at), 1, Buffer.alloc(3 * mebibyte))

it('takes no more than it may hold, until what it holds was taken', () => {
  let drained = 0
  const queue = new BatchQueue(() => drained++)
  queue.add([batch(1), batch(2)])
  expect(queue.accepts).toBe(true)
  queue.add([batch(3)])
  expect(queue.accepts).toBe(false)
  queue.next(lsn(0))
  expect([queue.accepts, drained]).toEqual([false, 0])
  queue.next(lsn(1))
  expect([queue.accepts, drained]).toEqual([true, 1])
  queue.next(lsn(3))
  expect([queue.accepts, drained]).toEqual([true, 1])
})

it('does not hand out what does not follow', () => {
  const queue = new BatchQueue(() => {})
  queue.add([batch(2)])
  expect(() => queue.next(lsn(0))).toThrow('batch 2 to 2 follows entry 0')
})

it('has and takes nothing any more once it is closed', () => {
  const queue = new BatchQueue(() => {})
  queue.add([batch(1)])
  queue.close()
  queue.add([batch(2)])
  expect([queue.accepts, queue.next(lsn(0)), queue.next(lsn(1))]).toEqual([false, null, null])
})
