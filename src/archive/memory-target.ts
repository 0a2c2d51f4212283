import { Readable } from 'node:stream'
import { assert } from '../kernel/assert.ts'
import { CommanderError } from '../kernel/errors.ts'
import type { ArchiveTarget } from './archive-target.ts'

/** Asked before each operation; throws what shall fail it. */
export type ArchiveFault = (operation: 'list' | 'put' | 'read', name: string) => void

export interface MemoryTargetOptions {
  /** What is there. Shared by several targets it is one archive that several processes have open. Default: nothing. */
  readonly objects?: Map<string, Buffer>
  /** For `putFile`. */
  readonly readFile?: (path: string) => Promise<Buffer>
  readonly fault?: ArchiveFault
}

/** An archive in memory, for simulations and tests; passes the contract of the others. */
export class MemoryTarget implements ArchiveTarget {
  readonly location: string = 'memory:'
  readonly objects: Map<string, Buffer>
  fault: ArchiveFault
  readonly #readFile: ((path: string) => Promise<Buffer>) | undefined
  #closed = false

  constructor({ objects = new Map<string, Buffer>(), readFile, fault = () => {} }: MemoryTargetOptions = {}) {
    this.objects = objects
    this.#readFile = readFile
    this.fault = fault
  }

  async list(prefix: string, after = ''): Promise<string[]> {
    this.#before('list', prefix)
    return [...this.objects.keys()].filter((name) => name.startsWith(prefix) && name > after).sort()
  }

  async putFile(name: string, path: string): Promise<'created' | 'exists'> {
    assert(this.#readFile, 'this archive was given no way to read files')
    return this.putBytes(name, await this.#readFile(path))
  }

  async putStream(name: string, source: Readable): Promise<'created' | 'exists'> {
    const parts: Buffer[] = []
    for await (const part of source) parts.push(part as Buffer)
    return this.putBytes(name, Buffer.concat(parts))
  }

  async putBytes(name: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    this.#before('put', name)
    if (this.objects.has(name)) return 'exists'
    this.objects.set(name, Buffer.from(bytes))
    return 'created'
  }

  async read(name: string): Promise<Readable> {
    this.#before('read', name)
    const bytes = this.objects.get(name)
    if (bytes === undefined) throw new CommanderError('not_found', `${name} is not in the archive ${this.location}`)
    return Readable.from([bytes], { objectMode: false })
  }

  async check(name: string): Promise<null> {
    this.#before('read', name)
    return null
  }

  async close(): Promise<void> {
    this.#closed = true
  }

  #before(operation: 'list' | 'put' | 'read', name: string): void {
    if (this.#closed)
      throw new CommanderError('archive_unavailable', `the archive ${this.location} was closed meanwhile`)
    this.fault(operation, name)
  }
}
