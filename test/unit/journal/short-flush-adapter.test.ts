import { beforeEach, expect, test } from 'vitest'
import { type FlushFile, shortFlush } from '../../../src/journal/short-flush-adapter.ts'

let happened: string[]
let nowMs: number
/** What a flush here takes, and whether it fails. */
let takesMs: number
let failure: Error | null
let flush: FlushFile

const elsewhere: FlushFile = (fd, done) => {
  happened.push(`elsewhere ${fd}`)
  done(null)
}

beforeEach(() => {
  happened = []
  nowMs = 0
  takesMs = 0.1
  failure = null
  flush = shortFlush(
    (fd) => {
      happened.push(`here ${fd}`)
      nowMs += takesMs
      if (failure !== null) throw failure
    },
    elsewhere,
    () => nowMs,
  )
})

const flushed = (fd: number): Promise<Error | null> => new Promise((resolve) => flush(fd, resolve))

test('a short flush is done here, once the caller has done what it is about', async () => {
  const done = flushed(3).then(() => happened.push('done'))
  happened.push('called')
  await done
  await flushed(4)
  expect(happened).toEqual(['called', 'here 3', 'done', 'here 4'])
})

test('one that took long sends the next ones to another thread, and then one is tried here again', async () => {
  takesMs = 5
  await flushed(3)
  for (let i = 0; i < 16; i++) await flushed(4)
  takesMs = 0.1
  await flushed(5)
  await flushed(6)
  expect(happened).toEqual(['here 3', ...Array.from({ length: 16 }, () => 'elsewhere 4'), 'here 5', 'here 6'])
})

test('one that fails says so, and nothing is thrown', async () => {
  failure = new Error('EIO: input/output error')
  expect(await flushed(3)).toBe(failure)
})
