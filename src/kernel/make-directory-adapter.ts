import { existsSync, mkdirSync, statSync } from 'node:fs'
import { mkdir, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'

const mode = 0o700

/**
 * Makes a directory, and those above it, for this user only. Returns the first that was made; `undefined` when all were there.
 *
 * Node's recursive mkdir never returns where a file system denies a name below a directory that is there with ENOENT, as
 * /proc does. Here each directory is tried once, from the root down.
 */
export async function makeDirectory(path: string): Promise<string | undefined> {
  let first: string | undefined
  for (const at of lineOf(path)) {
    if (await isDirectory(at)) continue
    try {
      await mkdir(at, { mode })
      first ??= at
    } catch (error) {
      if (!isPassable(error, at, path) && !(await isDirectory(at))) throw error // or somebody else was faster
    }
  }
  return first
}

/** The same, at once. */
export function makeDirectoryNow(path: string): string | undefined {
  let first: string | undefined
  for (const at of lineOf(path)) {
    if (isDirectoryNow(at)) continue
    try {
      mkdirSync(at, { mode })
      first ??= at
    } catch (error) {
      if (!isPassable(error, at, path) && !isDirectoryNow(at)) throw error
    }
  }
  return first
}

/** A file on the way: the system says so, by ENOTDIR, of what is to be made below it. */
const isPassable = (error: unknown, at: string, path: string): boolean =>
  (error as NodeJS.ErrnoException).code === 'EEXIST' && at !== resolve(path) && existsSync(at)

/** From the root down. */
function lineOf(path: string): string[] {
  const line = [resolve(path)]
  for (let [at = ''] = line; at !== dirname(at); [at = ''] = line) line.unshift(dirname(at))
  return line
}

const isDirectory = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )

function isDirectoryNow(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch {
    return false
  }
}
