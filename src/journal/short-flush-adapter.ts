import fs from 'node:fs'

/** Flushes a file's content, and says when that is done. */
export type FlushFile = (fd: number, done: (error: Error | null) => void) => void

export const flushElsewhere: FlushFile = (fd, done) => fs.fdatasync(fd, done)

/** Milliseconds. A disk with a cache that survives a loss of power takes a tenth of one, one that turns ten. */
const longMs = 1
const restFlushes = 16

/**
 * Flushes in this thread, at the end of what it does just now, as long as that is short: to hand a flush of a tenth of a millisecond to
 * another thread and back takes longer than it saves, and costs every processor a switch. One that took long sends the next 16
 * to another thread, so that a slow or busy disk holds up little else.
 *
 * @param flushNow throws what `done` is told; replaced in tests, as is the clock
 */
export function shortFlush(
  flushNow: (fd: number) => void = fs.fdatasyncSync,
  elsewhere: FlushFile = flushElsewhere,
  nowMs: () => number = () => performance.now(),
): FlushFile {
  let toOthers = 0
  return (fd, done) => {
    if (toOthers > 0) {
      toOthers--
      elsewhere(fd, done)
      return
    }
    process.nextTick(() => {
      const startMs = nowMs()
      const error = attempted(() => flushNow(fd))
      if (nowMs() - startMs > longMs) toOthers = restFlushes
      done(error)
    })
  }
}

function attempted(run: () => void): Error | null {
  try {
    run()
    return null
  } catch (error) {
    return error as Error
  }
}
