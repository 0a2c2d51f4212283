import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { ArchiveTarget } from '../../src/archive/archive-target.ts'
import { CommanderError } from '../../src/kernel/errors.ts'

export interface ArchiveFixture {
  /** Another handle on the same archive, as another process has it. */
  open(): Promise<ArchiveTarget>
  remove(): Promise<void>
}

export const bytesOf = async (stream: Readable): Promise<Buffer> => {
  const parts: Buffer[] = []
  for await (const part of stream) parts.push(part as Buffer)
  return Buffer.concat(parts)
}

/**
 * What every archive target promises.
 * @param refusesTakenNames - whether the place does so itself; otherwise two at once may both find a name free
 */
export function archiveTargetContract(
  name: string,
  fixture: () => Promise<ArchiveFixture>,
  refusesTakenNames = true,
): void {
  describe(`an archive in ${name}`, () => {
    let archive: ArchiveFixture
    let target: ArchiveTarget
    let local: string

    beforeEach(async () => {
      archive = await fixture()
      target = await archive.open()
      local = fs.mkdtempSync(path.join(os.tmpdir(), 'commanderdb-archive-'))
    })
    afterEach(async () => {
      await target.close()
      await archive.remove()
      fs.rmSync(local, { recursive: true })
    })

    test('is empty before anything is put there', async () => {
      expect(await target.list('')).toEqual([])
    })

    test('returns the bytes that were put, from memory, from a stream and from a file', async () => {
      const large = Buffer.alloc(3_000_001, 'some bytes of a segment ')
      fs.writeFileSync(path.join(local, 'file'), large)
      expect(await target.putBytes('archive.json', Buffer.from('{}'))).toBe('created')
      expect(await target.putStream('segments/1/a.zst', Readable.from([Buffer.from('one'), Buffer.from('two')]))).toBe(
        'created',
      )
      expect(await target.putFile('segments/1/b.zst', path.join(local, 'file'))).toBe('created')
      expect((await bytesOf(await target.read('archive.json'))).toString()).toBe('{}')
      expect((await bytesOf(await target.read('segments/1/a.zst'))).toString()).toBe('onetwo')
      expect((await bytesOf(await target.read('segments/1/b.zst'))).equals(large)).toBe(true)
    })

    test('keeps an empty object', async () => {
      expect(await target.putBytes('empty', Buffer.alloc(0))).toBe('created')
      expect(await bytesOf(await target.read('empty'))).toHaveLength(0)
    })

    test('leaves what is there as it is, whoever put it', async () => {
      await target.putBytes('a/b', Buffer.from('first'))
      const other = await archive.open()
      fs.writeFileSync(path.join(local, 'file'), 'third')
      expect(await other.putBytes('a/b', Buffer.from('second'))).toBe('exists')
      expect(await other.putFile('a/b', path.join(local, 'file'))).toBe('exists')
      expect(await other.putStream('a/b', Readable.from([Buffer.from('fourth')]))).toBe('exists')
      expect((await bytesOf(await target.read('a/b'))).toString()).toBe('first')
      await other.close()
    })

    if (refusesTakenNames)
      test('gives a name to one of several that want it at once, whole', async () => {
        const others = await Promise.all([archive.open(), archive.open(), archive.open()])
        const contents = others.map((_, index) => Buffer.alloc(200_000, `${index}`))
        const results = await Promise.allSettled(
          others.map((other, index) => other.putBytes('x/y', contents[index] as Buffer)),
        )
        const created = results.filter((result) => result.status === 'fulfilled' && result.value === 'created')
        expect(created).toHaveLength(1)
        const winner = results.findIndex((result) => result.status === 'fulfilled' && result.value === 'created')
        expect((await bytesOf(await target.read('x/y'))).equals(contents[winner] as Buffer)).toBe(true)
        for (const other of others) await other.close()
      })

    test('lists by the beginning of names, sorted, below every folder', async () => {
      const names = [
        'segments/00000002/b',
        'segments/00000001/z',
        'segments/00000001/a',
        'archive.json',
        'segments-not',
      ]
      for (const name of names) await target.putBytes(name, Buffer.from(name))
      expect(await target.list('segments/')).toEqual([
        'segments/00000001/a',
        'segments/00000001/z',
        'segments/00000002/b',
      ])
      expect(await target.list('segments/00000001/')).toEqual(['segments/00000001/a', 'segments/00000001/z'])
      expect(await target.list('segments/00000001/z')).toEqual(['segments/00000001/z'])
      expect(await target.list('')).toHaveLength(5)
      expect(await target.list('timelines/')).toEqual([])
    })

    test('says by name what is not there', async () => {
      const failure = target.read('segments/1/none.zst').then(bytesOf)
      await expect(failure).rejects.toMatchObject({ code: 'not_found', message: expect.stringContaining('none.zst') })
    })

    test('has no object, and lists none, after a stream that fails on its way', async () => {
      const failing = Readable.from(
        (async function* () {
          yield Buffer.alloc(100_000, 1)
          throw new CommanderError('journal_corrupt', 'the source is damaged')
        })(),
      )
      await expect(target.putStream('segments/1/half', failing)).rejects.toMatchObject({ code: 'journal_corrupt' })
      expect(await target.list('')).toEqual([])
      expect(await target.putBytes('segments/1/half', Buffer.from('whole'))).toBe('created')
    })

    test('refuses everything once it is closed, and takes a second close', async () => {
      const other = await archive.open()
      await other.close()
      await other.close()
      await expect(other.putBytes('a', Buffer.from('a'))).rejects.toMatchObject({ code: 'archive_unavailable' })
      expect(await target.list('')).toEqual([])
    })
  })
}
