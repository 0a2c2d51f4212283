import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { FileStorage } from '../../../src/journal/file-storage.ts'

let directory: string
let storage: FileStorage
/** What the system is asked for, in order: which call, and the name that it is about; the directory's own is '.'. */
let calls: string[]

beforeEach(() => {
  directory = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'commanderdb-journal-')), 'journal')
  storage = new FileStorage(directory)
  calls = []
  record()
})
afterEach(() => {
  vi.restoreAllMocks()
  fs.rmSync(path.dirname(directory), { recursive: true })
})

const nameOf = (file: fs.PathLike): string => path.relative(directory, String(file)) || '.'

function record(): void {
  const { openSync, fsyncSync, fdatasync, renameSync, unlinkSync } = fs
  const { open } = fs.promises
  const names = new Map<number, string>()
  vi.spyOn(fs, 'openSync').mockImplementation((file, ...more) => {
    const fd = openSync(file, ...more)
    names.set(fd, nameOf(file))
    return fd
  })
  vi.spyOn(fs, 'fsyncSync').mockImplementation((fd) => {
    calls.push(`flush ${names.get(fd)}`)
    fsyncSync(fd)
  })
  vi.spyOn(fs, 'fdatasync').mockImplementation((fd, done) => {
    calls.push(`flush ${names.get(fd)}`)
    fdatasync(fd, done)
  })
  vi.spyOn(fs, 'renameSync').mockImplementation((from, to) => {
    calls.push(`rename ${nameOf(from)} ${nameOf(to)}`)
    renameSync(from, to)
  })
  vi.spyOn(fs, 'unlinkSync').mockImplementation((file) => {
    calls.push(`remove ${nameOf(file)}`)
    unlinkSync(file)
  })
  vi.spyOn(fs.promises, 'open').mockImplementation(async (file, ...more) => {
    const handle = await open(file, ...more)
    const sync = handle.sync.bind(handle)
    return Object.assign(handle, {
      sync: async () => {
        calls.push(`flush ${nameOf(file)}`)
        await sync()
      },
    })
  })
}

const created = (name: string, recycled?: string): Promise<unknown> =>
  new Promise((resolve) => storage.create(name, 8192, true, resolve, recycled))

describe('a file of the journal', () => {
  test('that is made is flushed before it has its name, and its name before anybody is told', async () => {
    expect(await created('spare')).toBeNull()
    expect(calls).toEqual(['flush spare.tmp', 'rename spare.tmp spare', 'flush .'])
  })

  test('that is made at once is so too', () => {
    storage.createNow('next', 8192)
    expect(calls).toEqual(['flush next.tmp', 'rename next.tmp next', 'flush .'])
  })

  test('that is used again has lost its name for good before its bytes are gone', async () => {
    await created('old')
    calls.length = 0
    expect(await created('spare', 'old')).toBeNull()
    expect(calls).toEqual(['rename old spare.tmp', 'flush .', 'flush spare.tmp', 'rename spare.tmp spare', 'flush .'])
  })

  test('has its new name for good when a rename is over', async () => {
    await created('spare')
    calls.length = 0
    storage.rename('spare', 'segment')
    expect(calls).toEqual(['rename spare segment', 'flush .'])
  })

  test('is gone for good when a removal is over', async () => {
    await created('segment')
    calls.length = 0
    storage.remove('segment')
    expect(calls).toEqual(['remove segment', 'flush .'])
  })

  test('that is small is replaced as a whole: flushed, renamed, and its name flushed', () => {
    storage.writeWhole('mark', Buffer.from('stop'))
    expect(calls).toEqual(['flush mark.tmp', 'rename mark.tmp mark', 'flush .'])
  })

  test('is flushed by a flush, before anybody is told', async () => {
    await created('segment')
    calls.length = 0
    const file = storage.open('segment')
    expect(await new Promise((resolve) => file.flush(resolve))).toBeNull()
    file.close()
    expect(calls).toEqual(['flush segment'])
  })
})
