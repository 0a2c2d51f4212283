import fs from 'node:fs'
import path from 'node:path'
import type { Clock } from '../kernel/environment.ts'

export interface DiskUse {
  /** What the files below a directory take. */
  readonly diskBytes: number
  /** What this user may still write there. */
  readonly freeBytes: number
}

/** Looking at every file takes a moment, and whoever asks does so again and again. */
const keptMs = 1000

/** How much of its disk a directory takes, as of the last second. */
export function diskUseOf(directory: string, clock: Clock): () => DiskUse {
  let lookedMs = Number.NEGATIVE_INFINITY
  let use: DiskUse = { diskBytes: 0, freeBytes: 0 }
  return () => {
    const nowMs = clock.monotonicMs()
    if (nowMs - lookedMs >= keptMs) {
      lookedMs = nowMs
      use = { diskBytes: bytesBelow(directory), freeBytes: freeBytesOf(directory) }
    }
    return use
  }
}

const blockBytes = 512

/** Of what is there for as long as it is looked at: files come and go meanwhile. */
function bytesBelow(directory: string): number {
  const entries = known(() => fs.readdirSync(directory, { withFileTypes: true }), [])
  return entries.reduce((sum, entry) => {
    const at = path.join(directory, entry.name)
    return sum + (entry.isDirectory() ? bytesBelow(at) : known(() => fs.statSync(at).blocks * blockBytes, 0))
  }, 0)
}

const freeBytesOf = (directory: string): number =>
  known(() => {
    const { bavail, bsize } = fs.statfsSync(directory)
    return bavail * bsize
  }, 0)

function known<Value>(look: () => Value, otherwise: Value): Value {
  try {
    return look()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return otherwise
    throw error
  }
}
