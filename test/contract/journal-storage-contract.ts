import { describe, expect, test } from 'vitest'
import { type JournalStorage, temporarySuffix } from '../../src/journal/storage.ts'
import type { CommanderError } from '../../src/kernel/errors.ts'

export interface StorageFixture {
  readonly storage: JournalStorage
  /** Lets background work go on until `isOver`. */
  settle(isOver: () => boolean): Promise<void>
  remove(): void
}

/** What the journal relies on, whatever the files are made of. */
export function storageContract(name: string, makeFixture: () => StorageFixture): void {
  describe(`${name} as a journal storage`, () => {
    const withStorage =
      (run: (fixture: StorageFixture) => Promise<void> | void): (() => Promise<void>) =>
      async () => {
        const fixture = makeFixture()
        try {
          await run(fixture)
        } finally {
          fixture.remove()
        }
      }

    describe('files', () => fileTests(withStorage))
    describe('names', () => nameTests(withStorage))
    describe('creating', () => creationTests(withStorage))
  })
}

type WithStorage = (run: (fixture: StorageFixture) => Promise<void> | void) => () => Promise<void>

async function create(
  { storage, settle }: StorageFixture,
  name: string,
  bytes: number,
  recycled?: string,
): Promise<CommanderError | null> {
  let outcome: CommanderError | null | undefined
  storage.create(
    name,
    bytes,
    true,
    (error) => {
      outcome = error
    },
    recycled,
  )
  await settle(() => outcome !== undefined)
  return outcome ?? null
}

function contentOf(storage: JournalStorage, name: string): Buffer {
  const file = storage.openReadOnly(name)
  const bytes = Buffer.alloc(file.size())
  expect(file.read(bytes, 0)).toBe(bytes.length)
  file.close()
  return bytes
}

function fileTests(withStorage: WithStorage): void {
  test(
    'reads back what was written, part by part, at its place',
    withStorage(({ storage }) => {
      storage.createNow('a', 8192)
      const file = storage.open('a')
      file.write([Buffer.from('one'), Buffer.alloc(0), Buffer.from('two')], 4094)
      const read = Buffer.alloc(8)
      expect(file.read(read, 4093)).toBe(8)
      expect(read).toEqual(Buffer.from('\0onetwo\0'))
      file.close()
    }),
  )

  test(
    'grows a file that is written beyond its end',
    withStorage(({ storage }) => {
      storage.createNow('a', 10)
      const file = storage.open('a')
      file.write([Buffer.from('x')], 20)
      expect(file.size()).toBe(21)
      file.close()
      expect(contentOf(storage, 'a')).toEqual(Buffer.concat([Buffer.alloc(20), Buffer.from('x')]))
    }),
  )

  test(
    'reads fewer bytes only at the end of the file',
    withStorage(({ storage }) => {
      storage.createNow('a', 100)
      const file = storage.openReadOnly('a')
      expect(file.read(Buffer.alloc(64), 60)).toBe(40)
      expect(file.read(Buffer.alloc(64), 100)).toBe(0)
      expect(file.read(Buffer.alloc(64), 500)).toBe(0)
      file.close()
    }),
  )

  test(
    'shows a reader what the writer has written and not flushed',
    withStorage(({ storage }) => {
      storage.createNow('a', 100)
      const reader = storage.openReadOnly('a')
      const writer = storage.open('a')
      writer.write([Buffer.from('seen')], 0)
      const read = Buffer.alloc(4)
      reader.read(read, 0)
      expect(read.toString()).toBe('seen')
      writer.close()
      reader.close()
    }),
  )

  test(
    'reports a flush once, later and without an error',
    withStorage(async ({ storage, settle }) => {
      storage.createNow('a', 100)
      const file = storage.open('a')
      const outcomes: (CommanderError | null)[] = []
      file.write([Buffer.from('x')], 0)
      file.flush((error) => outcomes.push(error))
      expect(outcomes).toEqual([])
      await settle(() => outcomes.length > 0)
      expect(outcomes).toEqual([null])
      file.close()
    }),
  )

  test(
    'finishes many parts in one write',
    withStorage(({ storage }) => {
      storage.createNow('a', 1 << 20)
      const parts = Array.from({ length: 9 }, (_, index) => Buffer.alloc(100_000, index + 1))
      const file = storage.open('a')
      file.write(parts, 7)
      file.close()
      expect(contentOf(storage, 'a').subarray(7, 900_007).equals(Buffer.concat(parts))).toBe(true)
    }),
  )
}

function nameTests(withStorage: WithStorage): void {
  test(
    'lists names in order',
    withStorage(({ storage }) => {
      expect(storage.list()).toEqual([])
      for (const name of ['b', 'a', 'c']) storage.writeWhole(name, Buffer.from(name))
      expect(storage.list()).toEqual(['a', 'b', 'c'])
    }),
  )

  test(
    'renames, over another file too',
    withStorage(({ storage }) => {
      storage.writeWhole('a', Buffer.from('of a'))
      storage.writeWhole('b', Buffer.from('of b'))
      storage.rename('a', 'b')
      expect(storage.list()).toEqual(['b'])
      expect(storage.readWhole('b')?.toString()).toBe('of a')
    }),
  )

  test(
    'keeps an open file readable when it loses its name',
    withStorage(({ storage }) => {
      storage.writeWhole('a', Buffer.from('still here'))
      const file = storage.openReadOnly('a')
      storage.remove('a')
      const read = Buffer.alloc(10)
      file.read(read, 0)
      expect(read.toString()).toBe('still here')
      file.close()
    }),
  )

  test(
    'replaces small files as a whole and says when there is none',
    withStorage(({ storage }) => {
      expect(storage.readWhole('mark')).toBeNull()
      storage.writeWhole('mark', Buffer.from('first and long'))
      storage.writeWhole('mark', Buffer.from('second'))
      expect(storage.readWhole('mark')?.toString()).toBe('second')
      expect(storage.list()).toEqual(['mark'])
    }),
  )

  test(
    'answers not_found for names that are not there',
    withStorage(({ storage }) => {
      for (const run of [
        () => storage.open('x'),
        () => storage.openReadOnly('x'),
        () => storage.remove('x'),
        () => storage.rename('x', 'y'),
      ])
        expect(run).toThrowError(expect.objectContaining({ code: 'not_found' }))
    }),
  )
}

function creationTests(withStorage: WithStorage): void {
  test(
    'makes a file of zeros that has its name only when it is finished',
    withStorage(async (fixture) => {
      const { storage } = fixture
      const making = create(fixture, 'a', 3 << 20)
      const listed = storage.list()
      expect(await making).toBeNull()
      expect(listed).not.toContain('a')
      expect(storage.list()).toEqual(['a'])
      expect(contentOf(storage, 'a').equals(Buffer.alloc(3 << 20))).toBe(true)
    }),
  )

  test(
    'makes zeros out of a file that is no longer needed, which loses its name at once',
    withStorage(async (fixture) => {
      const { storage } = fixture
      storage.writeWhole('old', Buffer.alloc(200_000, 7))
      const making = create(fixture, 'new', 100_000, 'old')
      expect(storage.list()).not.toContain('old')
      expect(await making).toBeNull()
      expect(storage.list()).toEqual(['new'])
      expect(contentOf(storage, 'new').equals(Buffer.alloc(100_000))).toBe(true)
    }),
  )

  test(
    'leaves nothing behind when it is cancelled',
    withStorage(async ({ storage, settle }) => {
      let outcome: CommanderError | null | undefined
      const creation = storage.create('a', 8 << 20, true, (error) => {
        outcome = error
      })
      creation.cancel()
      await settle(() => outcome !== undefined)
      expect(outcome).toMatchObject({ code: 'not_ready' })
      expect(storage.list()).toEqual([])
    }),
  )

  test(
    'has a file of zeros at once when asked to',
    withStorage(({ storage }) => {
      storage.createNow('a', 100_000)
      expect(storage.list()).toEqual(['a'])
      expect(contentOf(storage, 'a').equals(Buffer.alloc(100_000))).toBe(true)
    }),
  )

  test(
    'ends the names of unfinished files so that recovery knows them',
    withStorage(async (fixture) => {
      const { storage } = fixture
      const making = create(fixture, 'a', 1 << 20)
      for (const name of storage.list()) expect(name.endsWith(temporarySuffix)).toBe(true)
      await making
    }),
  )
}
