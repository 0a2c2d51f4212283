import { readdir, readFile, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { leaseMarginOf } from './metadata-store.ts'

/**
 * Leases of a metadata store that is a directory: a file each, `<uuid>-<ttl in ms>`, whose content changes with every sign of
 * life. Whoever has the store open judges by its own monotonic clock how long a file has not changed: the wall clock may
 * jump, and that of a process that is gone says nothing. Not flushed: a lease that is lost with the power is over.
 */
export class FileMetadataLeases {
  readonly #directory: string
  readonly #seen = new Map<string, { readonly content: string; readonly sinceMs: number }>()

  constructor(directory: string) {
    this.#directory = directory
  }

  async make(uuid: string, ttlMs: number): Promise<string> {
    const id = `${uuid}-${ttlMs}`
    await writeFile(this.#path(id), '0', { flag: 'wx', mode: 0o600 })
    return id
  }

  /** @returns whether it lives. Whoever found it silent just before may end it still. */
  async renew(id: string): Promise<boolean> {
    const content = await this.#read(id)
    if (content === null) return false
    await writeFile(this.#path(id), String(Number(content) + 1), { flag: 'r+' }).catch(ignoreAbsent)
    return this.lives(id)
  }

  async lives(id: string): Promise<boolean> {
    return (await this.#read(id)) !== null
  }

  async end(id: string): Promise<void> {
    this.#seen.delete(id)
    await unlink(this.#path(id)).catch(ignoreAbsent)
  }

  /** Looks at all of them. Those that seem to be over are to be looked at again just before they are ended. */
  async scan(nowMs: number): Promise<{ readonly present: readonly string[]; readonly silent: readonly string[] }> {
    const ids = await readdir(this.#directory)
    for (const id of this.#seen.keys()) if (!ids.includes(id)) this.#seen.delete(id)
    for (const id of ids) await this.#look(id, nowMs)
    return { present: ids, silent: ids.filter((id) => this.#isSilent(id, nowMs)) }
  }

  /** Whether one of them is not there, or silent still. */
  async isOver(id: string, nowMs: number): Promise<boolean> {
    await this.#look(id, nowMs)
    return !this.#seen.has(id) || this.#isSilent(id, nowMs)
  }

  async #look(id: string, nowMs: number): Promise<void> {
    const content = await this.#read(id)
    if (content === null) this.#seen.delete(id)
    else if (this.#seen.get(id)?.content !== content) this.#seen.set(id, { content, sinceMs: nowMs })
  }

  #isSilent(id: string, nowMs: number): boolean {
    const seen = this.#seen.get(id)
    const ttlMs = Number(id.slice(id.lastIndexOf('-') + 1))
    return seen !== undefined && nowMs - seen.sinceMs > ttlMs + leaseMarginOf(ttlMs)
  }

  #read(id: string): Promise<string | null> {
    return readFile(this.#path(id), 'utf8').catch(ignoreAbsent)
  }

  #path(id: string): string {
    return join(this.#directory, id)
  }
}

function ignoreAbsent(error: unknown): null {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  return null
}
