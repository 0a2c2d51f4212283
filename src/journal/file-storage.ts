import fs from 'node:fs'
import path from 'node:path'
import { CommanderError, isCommanderError } from '../kernel/errors.ts'
import { makeDirectoryNow } from '../kernel/make-directory-adapter.ts'
import { attempt, storageError, syncDirectory } from './file-calls.ts'
import { FileCreation } from './file-creation.ts'
import { type FlushFile, flushElsewhere } from './short-flush-adapter.ts'
import { type Creation, type Done, type JournalFile, type JournalStorage, temporarySuffix } from './storage.ts'

/** The journal's directory in the file system; made when missing. One process may write, any number may read. */
export class FileStorage implements JournalStorage {
  readonly directory: string
  private readonly flushFile: FlushFile

  /** @param flushFile default: in another thread */
  constructor(directory: string, flushFile: FlushFile = flushElsewhere) {
    this.directory = directory
    this.flushFile = flushFile
    if (fs.existsSync(directory)) return
    attempt('create', directory, () => makeDirectoryNow(directory))
    syncDirectory(path.dirname(directory))
  }

  list(): string[] {
    return attempt('list', this.directory, () => fs.readdirSync(this.directory)).sort()
  }

  open(name: string): JournalFile {
    return this.openWith(name, 'r+')
  }

  openReadOnly(name: string): JournalFile {
    return this.openWith(name, 'r')
  }

  create(name: string, bytes: number, zeroFill: boolean, done: Done, recycled?: string): Creation {
    const creation = new FileCreation(this.path(name), bytes, zeroFill)
    creation.run(recycled === undefined ? null : this.path(recycled)).then(
      () => done(null),
      (error: unknown) => done(isCommanderError(error) ? error : storageError('create', this.path(name), error)),
    )
    return creation
  }

  createNow(name: string, bytes: number): void {
    const temporary = this.path(name + temporarySuffix)
    attempt('create', temporary, () => {
      const fd = fs.openSync(temporary, 'w', 0o600)
      try {
        fs.ftruncateSync(fd, bytes)
        fs.fsyncSync(fd)
      } finally {
        fs.closeSync(fd)
      }
    })
    this.rename(name + temporarySuffix, name)
  }

  rename(from: string, to: string): void {
    attempt('rename', this.path(from), () => fs.renameSync(this.path(from), this.path(to)))
    this.flushNames()
  }

  remove(name: string): void {
    attempt('remove', this.path(name), () => fs.unlinkSync(this.path(name)))
    this.flushNames()
  }

  writeWhole(name: string, bytes: Uint8Array): void {
    const temporary = this.path(name + temporarySuffix)
    attempt('write', temporary, () => fs.writeFileSync(temporary, bytes, { mode: 0o600, flush: true }))
    this.rename(name + temporarySuffix, name)
  }

  flushNames(): void {
    syncDirectory(this.directory)
  }

  readWhole(name: string): Buffer | null {
    if (!fs.existsSync(this.path(name))) return null
    return attempt('read', this.path(name), () => fs.readFileSync(this.path(name)))
  }

  private openWith(name: string, flags: 'r' | 'r+'): JournalFile {
    const fd = attempt('open', this.path(name), () => fs.openSync(this.path(name), flags))
    return new OpenFile(name, this.path(name), fd, this.flushFile)
  }

  private path(name: string): string {
    return path.join(this.directory, name)
  }
}

class OpenFile implements JournalFile {
  readonly name: string
  private readonly path: string
  private readonly fd: number
  private readonly flushFile: FlushFile

  constructor(name: string, filePath: string, fd: number, flushFile: FlushFile) {
    this.name = name
    this.path = filePath
    this.fd = fd
    this.flushFile = flushFile
  }

  size(): number {
    return attempt('stat', this.path, () => fs.fstatSync(this.fd)).size
  }

  read(target: Buffer, position: number): number {
    let done = 0
    while (done < target.length) {
      const count = readOnce(this.fd, this.path, target, done, position + done)
      if (count === 0) break
      done += count
    }
    return done
  }

  write(parts: readonly Buffer[], position: number): void {
    let total = 0
    for (const part of parts) total += part.length
    const count = writeOnce(this.fd, this.path, parts, position)
    if (count < total) this.writeRest(parts, position, count)
  }

  flush(done: Done): void {
    this.flushFile(this.fd, (error) => done(error === null ? null : storageError('flush', this.path, error)))
  }

  close(): void {
    attempt('close', this.path, () => fs.closeSync(this.fd))
  }

  /** The rare end of a short write. What stopped it, a full disk for one, shows as the error of the next attempt. */
  private writeRest(parts: readonly Buffer[], position: number, written: number): void {
    const all = Buffer.concat(parts)
    let done = written
    while (done < all.length) {
      const count = writeOnce(this.fd, this.path, [all.subarray(done)], position + done)
      if (count === 0)
        throw new CommanderError('journal_failed', `writing ${this.path} stopped after ${done} of ${all.length} bytes`)
      done += count
    }
  }
}

function readOnce(fd: number, file: string, target: Buffer, offset: number, position: number): number {
  try {
    return fs.readSync(fd, target, offset, target.length - offset, position)
  } catch (error) {
    throw storageError('read', file, error)
  }
}

function writeOnce(fd: number, file: string, parts: readonly Buffer[], position: number): number {
  try {
    return fs.writevSync(fd, parts, position)
  } catch (error) {
    throw storageError('write', file, error)
  }
}
