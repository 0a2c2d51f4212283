import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect, test } from 'vitest'
import { FileStorage } from '../../src/journal/file-storage.ts'
import { MemoryStorage } from '../../src/journal/memory-storage.ts'
import { type FlushFile, shortFlush } from '../../src/journal/short-flush-adapter.ts'
import { ManualScheduler } from '../unit/journal/journal-world.ts'
import { type StorageFixture, storageContract } from './journal-storage-contract.ts'

function fileFixture(flushFile?: FlushFile): StorageFixture {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'commanderdb-journal-'))
  return {
    storage: new FileStorage(path.join(directory, 'journal'), flushFile),
    async settle(isOver) {
      while (!isOver()) await new Promise((resolve) => setImmediate(resolve))
    },
    remove: () => fs.rmSync(directory, { recursive: true }),
  }
}

function memoryFixture(): StorageFixture {
  const scheduler = new ManualScheduler()
  return {
    storage: new MemoryStorage({ scheduler }),
    async settle(isOver) {
      while (!isOver()) {
        await Promise.resolve()
        scheduler.runDue()
      }
    },
    remove: () => undefined,
  }
}

storageContract('a directory', () => fileFixture())
storageContract('a directory on a fast disk', () => fileFixture(shortFlush()))
storageContract('the virtual disk', memoryFixture)

test('a directory that cannot be written is one clear error', () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'commanderdb-journal-'))
  fs.writeFileSync(path.join(directory, 'file'), '')
  expect(() => new FileStorage(path.join(directory, 'file', 'journal'))).toThrowError(
    expect.objectContaining({ code: 'journal_failed', message: expect.stringContaining('ENOTDIR') }),
  )
  fs.rmSync(directory, { recursive: true })
})

test.runIf(fs.existsSync('/dev/full'))('a full disk is journal_full, and may be tried again', () => {
  const file = new FileStorage('/dev').open('full')
  expect(() => file.write([Buffer.alloc(8)], 0)).toThrowError(
    expect.objectContaining({ code: 'journal_full', retryable: true, message: expect.stringContaining('ENOSPC') }),
  )
  file.close()
})
