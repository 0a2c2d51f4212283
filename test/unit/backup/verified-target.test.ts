import { createHash } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { MemoryTarget } from '../../../src/archive/memory-target.ts'
import type { BackupManifest } from '../../../src/backup/backup-manifest.ts'
import { verifiedTarget } from '../../../src/backup/verified-target.ts'

const bytes = Buffer.from('what was backed up')
const sha256 = createHash('sha256').update(bytes).digest('hex')
const manifest = { objects: [{ name: 'store', bytes: bytes.length, sha256 }] } as unknown as BackupManifest

const readFrom = async (there: Buffer | null): Promise<Buffer> => {
  const objects = new Map(there === null ? [] : [['store', there]])
  return buffer(await verifiedTarget(new MemoryTarget({ objects }), manifest).read('store'))
}

describe('an object of a backup', () => {
  test('is read as its manifest says', async () => {
    expect(await readFrom(bytes)).toEqual(bytes)
  })

  test.each([
    ['has another byte', Buffer.from('what was backed uq')],
    ['is cut off', bytes.subarray(0, -1)],
    ['has more behind it', Buffer.concat([bytes, Buffer.alloc(1)])],
    ['is empty', Buffer.alloc(0)],
    ['is missing', null],
  ])('that %s ends in an error that names it', async (_what, there) => {
    await expect(readFrom(there)).rejects.toMatchObject({ code: 'archive_corrupt', details: { object: 'store' } })
  })
})
