import { lstatSync, mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * Where Node keeps compiled code between starts: with it a child of a clone starts in less than half the time and
 * needs about 30 MiB less, because no types are stripped again. Node trusts what it finds there, so the directory must
 * be this user's alone.
 *
 * @returns undefined when there is no such directory and none can be made; everything then works, slower.
 */
export function compileCacheDirectory(): string | undefined {
  const userId = process.getuid?.()
  const directory = join(tmpdir(), `commanderdb-${userId ?? 'user'}`)
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    const stat = lstatSync(directory)
    const isPrivate = stat.isDirectory() && (userId === undefined || (stat.uid === userId && (stat.mode & 0o077) === 0))
    return isPrivate ? join(directory, 'compile-cache') : undefined
  } catch {
    return undefined
  }
}
