import { lstatSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

/** Of all files below a directory, each counted once. */
export interface DiskUse {
  /** Their lengths. */
  readonly sizeBytes: number
  /** What the file system has given them: less than the lengths where files have holes, more where it reserves. */
  readonly allocatedBytes: number
}

/** The most of each, at whatever time. */
export interface MostDiskUse extends DiskUse {
  readonly looks: number
}

const statBlockBytes = 512
const lookMs = 200

/** Files come and go meanwhile. */
export function readDiskUse(directory: string): DiskUse {
  const seen = new Set<number>()
  let sizeBytes = 0
  let allocatedBytes = 0
  for (const name of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    const stat = lstatSync(join(directory, name), { throwIfNoEntry: false })
    // A file that is renamed between the listing and the look is found under two names.
    if (stat === undefined || !stat.isFile() || seen.has(stat.ino)) continue
    seen.add(stat.ino)
    sizeBytes += stat.size
    allocatedBytes += stat.blocks * statBlockBytes
  }
  return { sizeBytes, allocatedBytes }
}

/** Looks every 200 ms until `stop`, which returns the most. */
export function watchDiskUse(directory: string): { readonly stop: () => MostDiskUse } {
  let most: MostDiskUse = { sizeBytes: 0, allocatedBytes: 0, looks: 0 }
  const look = (): void => {
    const { sizeBytes, allocatedBytes } = readDiskUse(directory)
    most = {
      sizeBytes: Math.max(most.sizeBytes, sizeBytes),
      allocatedBytes: Math.max(most.allocatedBytes, allocatedBytes),
      looks: most.looks + 1,
    }
  }
  look()
  const timer = setInterval(look, lookMs)
  return {
    stop: () => {
      clearInterval(timer)
      return most
    },
  }
}
