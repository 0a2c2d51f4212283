import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join, relative } from 'node:path'

/** Every name below a directory, with a digest of its bytes: two of them are equal when nothing was made, removed or changed. */
export function contentOf(directory: string, ignored: RegExp = /^$/): Record<string, string> {
  const found: Record<string, string> = {}
  if (!existsSync(directory)) return found
  for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name)
    const name = relative(directory, path)
    if (ignored.test(name)) continue
    if (entry.isDirectory()) found[name] = 'directory'
    else if (entry.isSymbolicLink()) found[name] = readlinkSync(path)
    else if (entry.isFile()) found[name] = createHash('sha256').update(readFileSync(path)).digest('hex')
    else found[name] = 'special'
  }
  return found
}
