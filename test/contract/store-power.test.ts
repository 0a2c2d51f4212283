import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSystemEnvironment } from '../../src/kernel/system-environment.ts'
import { readHeader } from '../../src/store/lmdb-header.ts'
import { openLmdbStore } from '../../src/store/lmdb-store.ts'
import { write } from './store-contract.ts'
import { checkedPosition, historyTables, writeTransaction } from './store-history.ts'

/**
 * What the medium may hold after the power failed in a commit: LMDB writes pages, flushes, writes the meta page,
 * flushes. So before its first flush has returned, any part of the pages that it wrote may be there, in sectors, and
 * its meta page is not; after that all of the pages are, and of the meta page's one sector the old or the new.
 */
const sectorBytes = 512
const firstTransaction = 30
const lastTransaction = 90

let directory: string
/** The data file after each transaction. */
const images = new Map<number, Buffer>()

beforeAll(async () => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'commanderdb-store-'))
  const store = open('recorded')
  for (let n = 1; n <= lastTransaction; n++) {
    await write(store, (batch) => writeTransaction(batch, n))
    if (n >= firstTransaction) images.set(n, fs.readFileSync(path.join(directory, 'recorded', 'data.mdb')))
  }
  await store.close()
})

afterAll(() => fs.rmSync(directory, { recursive: true }))

function open(name: string): ReturnType<typeof openLmdbStore> {
  const environment = createSystemEnvironment()
  return openLmdbStore({ path: path.join(directory, name), tables: historyTables, readOnly: false, environment })
}

async function positionAfter(image: Buffer): Promise<number> {
  fs.mkdirSync(path.join(directory, 'restarted'))
  fs.writeFileSync(path.join(directory, 'restarted', 'data.mdb'), image)
  const store = open('restarted')
  const position = checkedPosition(store)
  await write(store, (batch) => writeTransaction(batch, position + 1))
  expect(checkedPosition(store)).toBe(position + 1)
  await store.close()
  fs.rmSync(path.join(directory, 'restarted'), { recursive: true })
  return position
}

/** A number in [0, 1) that follows from the seed. */
function generator(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

describe('the LMDB store after the power failed in a commit', () => {
  it('is at the commit before, whichever sectors of the new pages had reached the medium', async () => {
    for (let n = firstTransaction + 1; n <= lastTransaction; n++) {
      const [before, after] = [images.get(n - 1) as Buffer, images.get(n) as Buffer]
      const header = readHeader(after)
      if (typeof header === 'string') return expect.unreachable(header)
      const random = generator(n)
      const share = random()
      const image = Buffer.alloc(after.length)
      before.copy(image)
      let taken = 0
      for (let at = 2 * header.pageBytes; at < after.length; at += sectorBytes) {
        if (random() >= share) continue
        after.copy(image, at, at, at + sectorBytes)
        taken++
      }
      expect(taken).toBeGreaterThan(0)
      expect(await positionAfter(image)).toBe(n - 1)
    }
  })

  it('is at the commit itself once its meta page has reached the medium, and changes one sector for that', async () => {
    for (let n = firstTransaction + 1; n <= lastTransaction; n += 7) {
      const [before, after] = [images.get(n - 1) as Buffer, images.get(n) as Buffer]
      const changed = new Set<number>()
      for (let at = 0; at < 8192; at++) if (before[at] !== after[at]) changed.add(Math.floor(at / sectorBytes))
      expect(changed.size).toBe(1)
      expect(await positionAfter(after)).toBe(n)
    }
  })
})
