import fs from 'node:fs'
import { readFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { DirectoryTarget } from '../../src/archive/file-directory-target.ts'
import { MemoryTarget } from '../../src/archive/memory-target.ts'
import { type ArchiveFixture, archiveTargetContract } from './archive-target-contract.ts'

async function directoryFixture(): Promise<ArchiveFixture> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'commanderdb-archive-'))
  return {
    open: async () => new DirectoryTarget(path.join(directory, 'not', 'there', 'yet')),
    remove: async () => fs.rmSync(directory, { recursive: true }),
  }
}

async function memoryFixture(): Promise<ArchiveFixture> {
  const objects = new Map<string, Buffer>()
  return {
    open: async () => new MemoryTarget({ objects, readFile }),
    remove: async () => objects.clear(),
  }
}

archiveTargetContract('a directory', directoryFixture)
archiveTargetContract('memory', memoryFixture)
