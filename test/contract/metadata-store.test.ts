import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { systemClock, systemRandom, wakefulScheduler } from '../../src/kernel/system-environment.ts'
import { FileMetadataStore } from '../../src/replication/file-metadata-store.ts'
import { MemoryMetadata } from '../../src/replication/memory-metadata-store.ts'
import { type MetadataFixture, metadataStoreContract } from './metadata-store-contract.ts'

const world = { clock: systemClock, scheduler: wakefulScheduler, random: systemRandom }

async function memoryFixture(): Promise<MetadataFixture> {
  const metadata = new MemoryMetadata(world)
  return { open: async () => metadata.open(), remove: async () => {} }
}

async function fileFixture(): Promise<MetadataFixture> {
  const parent = fs.mkdtempSync(path.join(os.tmpdir(), 'commanderdb-metadata-'))
  const directory = path.join(parent, 'not', 'there', 'yet')
  return {
    open: () => FileMetadataStore.open({ ...world, directory }),
    remove: async () => fs.rmSync(parent, { recursive: true }),
  }
}

metadataStoreContract('memory', 1000, memoryFixture)
metadataStoreContract('a directory', 2500, fileFixture)
