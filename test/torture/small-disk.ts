import { execFileSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Why no small disk can be mounted here, or null. */
export function mountingRefusal(): string | null {
  const directory = join(tmpdir(), `small-disk-${process.pid}`)
  try {
    mkdirSync(directory)
    const disk = SmallDisk.mount(directory, 1)
    disk.unmount()
    return null
  } catch (error) {
    return `a tmpfs cannot be mounted: ${(error as Error).message.split('\n')[0]}`
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** A file system in memory of so many MiB, to be filled up. */
export class SmallDisk {
  readonly #directory: string
  readonly #ballast: string

  private constructor(directory: string) {
    this.#directory = directory
    this.#ballast = join(directory, 'ballast')
  }

  static mount(directory: string, mebibytes: number): SmallDisk {
    const options = `size=${mebibytes}m,mode=700`
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', directory], { stdio: ['ignore', 'ignore', 'pipe'] })
    return new SmallDisk(directory)
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.#directory)
    return bavail * bsize
  }

  /** Writes until nothing more fits. Called again, takes what has become free since. */
  fill(): void {
    const fd = openSync(this.#ballast, 'a')
    try {
      for (const bytes of [1 << 20, 4096]) {
        const block = Buffer.alloc(bytes, 1)
        while (wasWritten(fd, block)) {}
      }
    } finally {
      closeSync(fd)
    }
  }

  makeRoom(): void {
    rmSync(this.#ballast, { force: true })
  }

  unmount(): void {
    execFileSync('umount', [this.#directory], { stdio: ['ignore', 'ignore', 'pipe'] })
  }
}

function wasWritten(fd: number, block: Buffer): boolean {
  try {
    return writeSync(fd, block) === block.length
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOSPC') return false
    throw error
  }
}
