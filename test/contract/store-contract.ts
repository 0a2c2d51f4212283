import { describe, expect, it } from 'vitest'
import type { KeyValueStore, KeyValueTable, WriteBatch } from '../../src/store/key-value-store.ts'
import { numberKey, prefixRange } from '../../src/store/keys.ts'

/** One store as the suite needs it: the writing handle, and ways to open more. */
export interface StoreFixture {
  readonly writer: KeyValueStore
  /** Another handle of the same store, read-only. */
  reader(): KeyValueStore
  remove(): Promise<void>
}

export const contractTables: readonly string[] = ['alpha', 'beta']

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1')

export function write(store: KeyValueStore, fill: (batch: WriteBatch) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    store.write(fill, (error) => (error === null ? resolve() : reject(error)))
  })
}

export function flush(store: KeyValueStore): Promise<void> {
  return new Promise((resolve, reject) => {
    store.flush((error) => (error === null ? resolve() : reject(error)))
  })
}

const texts = (table: KeyValueTable, options: Parameters<KeyValueTable['range']>[0] = {}): string[] =>
  [...table.range(options)].map(({ key, value }) => `${key.toString('latin1')}=${value.toString('latin1')}`)

export function storeContract(name: string, open: () => Promise<StoreFixture>): void {
  const withStore =
    (test: (writer: KeyValueStore, fixture: StoreFixture) => Promise<void>): (() => Promise<void>) =>
    async () => {
      const fixture = await open()
      try {
        await test(fixture.writer, fixture)
      } finally {
        await fixture.remove()
      }
    }

  const putAll = (store: KeyValueStore, entries: readonly string[]): Promise<void> =>
    write(store, (batch) => {
      for (const entry of entries) batch.put('alpha', bytes(entry), bytes(entry.toUpperCase()))
    })

  describe(`${name}: reads and writes`, () => {
    it(
      'shows a write to the same handle once it is done, and keeps tables apart',
      withStore(async (store) => {
        await write(store, (batch) => {
          batch.put('alpha', bytes('k'), bytes('1'))
          batch.put('beta', bytes('k'), bytes('2'))
        })
        expect(store.table('alpha').get(bytes('k'))).toEqual(bytes('1'))
        expect(store.table('beta').get(bytes('k'))).toEqual(bytes('2'))
        expect(store.table('alpha').get(bytes('other'))).toBeUndefined()
        expect(store.table('alpha').has(bytes('k'))).toBe(true)
        expect(store.table('alpha').has(bytes('other'))).toBe(false)
        expect(store.table('alpha').view(bytes('k'))).toEqual(bytes('1'))
      }),
    )

    it(
      'overwrites, deletes and clears, and takes a delete of an absent key for nothing',
      withStore(async (store) => {
        await putAll(store, ['a', 'b', 'c'])
        await write(store, (batch) => {
          batch.put('alpha', bytes('a'), bytes('new'))
          batch.delete('alpha', bytes('b'))
          batch.delete('alpha', bytes('absent'))
        })
        expect(texts(store.table('alpha'))).toEqual(['a=new', 'c=C'])
        expect(store.table('alpha').count()).toBe(2)
        await write(store, (batch) => {
          batch.put('alpha', bytes('z'), bytes('gone'))
          batch.clear('alpha')
          batch.put('alpha', bytes('d'), bytes('D'))
        })
        expect(texts(store.table('alpha'))).toEqual(['d=D'])
        expect(store.table('alpha').count()).toBe(1)
      }),
    )

    it(
      'shows a batch its own changes before they are committed, and earlier ones that are not yet done',
      withStore(async (store) => {
        const seen: (string | undefined)[] = []
        const look = (batch: WriteBatch, key: string): void => {
          seen.push(batch.get('alpha', bytes(key))?.toString())
        }
        const first = write(store, (batch) => {
          batch.put('alpha', bytes('a'), bytes('1'))
          look(batch, 'a')
          batch.delete('alpha', bytes('a'))
          look(batch, 'a')
          batch.put('alpha', bytes('a'), bytes('2'))
        })
        const second = write(store, (batch) => {
          look(batch, 'a')
          batch.clear('alpha')
          look(batch, 'a')
        })
        await Promise.all([first, second])
        expect(seen).toEqual(['1', undefined, '2', undefined])
        expect(store.table('alpha').count()).toBe(0)
      }),
    )

    it(
      'keeps values of 0 bytes to 4 MiB as they are, whatever else the caller does with its buffers',
      withStore(async (store) => {
        const sizes = [0, 1, 7, 100, 2020, 4096, 65_536, 1 << 20, 4 << 20]
        await write(store, (batch) => {
          const key = Buffer.alloc(8)
          for (const size of sizes) {
            numberKey(size).copy(key)
            const value = Buffer.alloc(size, size % 251)
            batch.put('alpha', key, value)
            value.fill(0xee)
          }
        })
        for (const size of sizes) {
          expect(
            store
              .table('alpha')
              .get(numberKey(size))
              ?.equals(Buffer.alloc(size, size % 251)),
          ).toBe(true)
          expect(store.table('alpha').view(numberKey(size))?.length).toBe(size)
        }
        const ranged = [...store.table('alpha').range({})].map(({ value }) => value.length)
        expect(ranged).toEqual(sizes)
      }),
    )

    it(
      'gives copies that later reads and writes leave alone',
      withStore(async (store) => {
        await putAll(store, ['a', 'b'])
        const a = store.table('alpha').get(bytes('a'))
        const entries = [...store.table('alpha').range({})]
        store.table('alpha').get(bytes('b'))
        await putAll(store, ['c', 'd'])
        expect(a).toEqual(bytes('A'))
        expect(entries.map(({ key }) => key.toString())).toEqual(['a', 'b'])
        expect(entries.map(({ value }) => value.toString())).toEqual(['A', 'B'])
      }),
    )

    it(
      'calls done in the order of the writes and flushes, never before they return',
      withStore(async (store) => {
        const order: string[] = []
        await new Promise<void>((resolve) => {
          store.write(
            (batch) => batch.put('alpha', bytes('a'), bytes('1')),
            () => order.push('first'),
          )
          store.write(
            (batch) => batch.put('alpha', bytes('a'), bytes('2')),
            () => order.push('second'),
          )
          store.flush(() => {
            order.push('flushed')
            resolve()
          })
          order.push('returned')
        })
        expect(order).toEqual(['returned', 'first', 'second', 'flushed'])
      }),
    )
  })

  describe(`${name}: atomicity and misuse`, () => {
    it(
      'changes nothing when fill throws, and throws the same',
      withStore(async (store) => {
        await putAll(store, ['a'])
        const failure = new Error('mine')
        const fill = (batch: WriteBatch): void => {
          batch.put('alpha', bytes('b'), bytes('B'))
          batch.clear('beta')
          batch.delete('alpha', bytes('a'))
          throw failure
        }
        expect(() => store.write(fill, () => {})).toThrow(failure)
        expect(texts(store.table('alpha'))).toEqual(['a=A'])
        await putAll(store, ['c'])
        expect(texts(store.table('alpha'))).toEqual(['a=A', 'c=C'])
      }),
    )

    it(
      'refuses keys that are empty or too long, tables that were not named, and writing where only reading is allowed',
      withStore(async (store, fixture) => {
        const put = (table: string, key: Buffer): (() => void) => {
          return () =>
            store.write(
              (batch) => batch.put(table, key, bytes('v')),
              () => {},
            )
        }
        expect(put('alpha', Buffer.alloc(0))).toThrow(/1 to 1900 bytes, not 0/)
        expect(put('alpha', Buffer.alloc(1901))).toThrow(/1 to 1900 bytes, not 1901/)
        expect(put('gamma', bytes('k'))).toThrow(/no table gamma/)
        expect(() => store.table('gamma')).toThrow(/no table gamma/)
        expect(put('alpha', Buffer.alloc(1900, 0xff))).not.toThrow()
        const reader = fixture.reader()
        expect(() =>
          reader.write(
            () => {},
            () => {},
          ),
        ).toThrow(/reading only/)
        expect(() => reader.flush(() => {})).toThrow(/reading only/)
      }),
    )

    it(
      'refuses to read through tables in fill, to write in a snapshot, and everything once closed',
      withStore(async (store) => {
        await putAll(store, ['a'])
        const table = store.table('alpha')
        const readInside = (): void =>
          store.write(
            () => table.get(bytes('a')),
            () => {},
          )
        expect(readInside).toThrow(/through the batch/)
        const writeInside = (): void =>
          store.snapshot(() =>
            store.write(
              () => {},
              () => {},
            ),
          )
        expect(writeInside).toThrow(/inside a snapshot/)
        expect(() => store.snapshot(() => store.refresh())).toThrow(/snapshot/)
        expect(table.get(bytes('a'))).toEqual(bytes('A'))
        await store.close()
        await store.close()
        expect(() => table.get(bytes('a'))).toThrow(/closed/)
        expect(() =>
          store.write(
            () => {},
            () => {},
          ),
        ).toThrow(/closed/)
      }),
    )
  })

  describe(`${name}: ranges`, () => {
    const entries = ['a', 'aa', 'ab', 'b', 'ba', '\xff', '\xff\x00', '\x00', '\x01b']

    it(
      'orders keys bytewise, forwards and backwards, from inclusive, to exclusive',
      withStore(async (store) => {
        await write(store, (batch) => {
          for (const entry of entries) batch.put('alpha', bytes(entry), Buffer.alloc(0))
        })
        const sorted = [...entries].sort()
        const keys = (options: Parameters<KeyValueTable['range']>[0]): string[] =>
          [...store.table('alpha').range(options)].map(({ key }) => key.toString('latin1'))
        expect(keys({})).toEqual(sorted)
        expect(keys({ reverse: true })).toEqual([...sorted].reverse())
        const bounds = [undefined, '\x00', '\x00\x00', 'a', 'aa', 'aaa', 'b', 'c', '\xff', '\xff\xff']
        for (const from of bounds) {
          for (const to of bounds) {
            const inside = sorted.filter((key) => (from === undefined || key >= from) && (to === undefined || key < to))
            const range = {
              ...(from === undefined ? {} : { from: bytes(from) }),
              ...(to === undefined ? {} : { to: bytes(to) }),
            }
            expect(keys(range)).toEqual(inside)
            expect(keys({ ...range, reverse: true })).toEqual([...inside].reverse())
            expect(keys({ ...range, limit: 2 })).toEqual(inside.slice(0, 2))
            expect(keys({ ...range, reverse: true, limit: 2 })).toEqual([...inside].reverse().slice(0, 2))
          }
        }
        expect(keys({ limit: 0 })).toEqual([])
      }),
    )

    it(
      'scans exactly the keys of a prefix',
      withStore(async (store) => {
        await write(store, (batch) => {
          for (const entry of entries) batch.put('alpha', bytes(entry), Buffer.alloc(0))
        })
        for (const prefix of ['a', 'b', '\xff', 'c', '\x00']) {
          const found = [...store.table('alpha').range(prefixRange(bytes(prefix)))].map(({ key }) =>
            key.toString('latin1'),
          )
          expect(found).toEqual(entries.filter((entry) => entry.startsWith(prefix)).sort())
        }
      }),
    )

    it(
      'can be stopped early, restarted, interleaved and abandoned',
      withStore(async (store) => {
        const count = 3000
        await write(store, (batch) => {
          for (let i = 0; i < count; i++) batch.put('alpha', numberKey(i), numberKey(i * 7))
        })
        const table = store.table('alpha')
        for (const stopAfter of [1, 16, 17, 700]) {
          let seen = 0
          for (const { key } of table.range({})) {
            expect(key).toEqual(numberKey(seen))
            if (++seen === stopAfter) break
          }
        }
        const range = table.range({ from: numberKey(5) })
        const abandoned = range[Symbol.iterator]()
        abandoned.next()
        const up = table.range({})[Symbol.iterator]()
        const down = table.range({ reverse: true })[Symbol.iterator]()
        for (let i = 0; i < count; i++) {
          expect(up.next().value?.key).toEqual(numberKey(i))
          expect(down.next().value?.key).toEqual(numberKey(count - 1 - i))
        }
        expect(up.next().done).toBe(true)
        expect([...range].length).toBe(count - 5)
        expect([...range].length).toBe(count - 5)
      }),
    )

    it(
      'goes on behind its last key when the table changes between two turns',
      withStore(async (store) => {
        await write(store, (batch) => {
          for (let i = 0; i < 2000; i++) batch.put('alpha', numberKey(i * 2), numberKey(i))
        })
        const seen: number[] = []
        for (const { key } of store.table('alpha').range({})) {
          seen.push(key.readUInt32BE(4))
          if (seen.length === 50) {
            await write(store, (batch) => {
              batch.delete('alpha', numberKey(3998))
              batch.put('alpha', numberKey(3997), numberKey(0))
              batch.put('alpha', numberKey(1), numberKey(0))
            })
          }
        }
        expect(seen).toEqual([...Array.from({ length: 1999 }, (_, i) => i * 2), 3997])
      }),
    )

    it(
      'holds 100,000 keys written in random order',
      withStore(async (store) => {
        const count = 100_000
        const step = 61_803
        for (let start = 0; start < count; start += 10_000) {
          await write(store, (batch) => {
            for (let i = start; i < start + 10_000; i++) {
              const n = (i * step) % count
              batch.put('alpha', numberKey(n), numberKey(n + 1))
            }
          })
        }
        const table = store.table('alpha')
        expect(table.count()).toBe(count)
        let next = 0
        for (const { key, value } of table.range({})) {
          if (!key.equals(numberKey(next)) || !value.equals(numberKey(next + 1))) expect.unreachable(`wrong at ${next}`)
          next++
        }
        expect(next).toBe(count)
      }),
    )
  })

  describe(`${name}: several handles`, () => {
    it(
      'shows a reader what was committed, at the latest in its next turn or after refresh',
      withStore(async (store, fixture) => {
        const reader = fixture.reader()
        expect(reader.table('alpha').get(bytes('a'))).toBeUndefined()
        await putAll(store, ['a'])
        reader.refresh()
        expect(reader.table('alpha').get(bytes('a'))).toEqual(bytes('A'))
        expect(reader.table('alpha').count()).toBe(1)
      }),
    )

    it(
      'keeps a snapshot at one committed state while another handle commits',
      withStore(async (store, fixture) => {
        await putAll(store, ['a'])
        const reader = fixture.reader()
        let done = false
        reader.snapshot(() => {
          expect(texts(reader.table('alpha'))).toEqual(['a=A'])
          store.write(
            (batch) => {
              batch.put('alpha', bytes('b'), bytes('B'))
              batch.delete('alpha', bytes('a'))
            },
            () => {
              done = true
            },
          )
          expect(texts(reader.table('alpha'))).toEqual(['a=A'])
          expect(reader.table('alpha').get(bytes('b'))).toBeUndefined()
          expect(reader.table('alpha').count()).toBe(1)
        })
        await flush(store)
        expect(done).toBe(true)
        reader.refresh()
        expect(texts(reader.table('alpha'))).toEqual(['b=B'])
      }),
    )

    it(
      'closes one handle without closing the others',
      withStore(async (store, fixture) => {
        const [first, second] = [fixture.reader(), fixture.reader()]
        await putAll(store, ['a'])
        expect(first.table('alpha').count()).toBe(1)
        await first.close()
        expect(() => first.table('alpha').count()).toThrow(/closed/)
        second.refresh()
        expect(second.table('alpha').get(bytes('a'))).toEqual(bytes('A'))
        await putAll(store, ['b'])
        second.refresh()
        expect(second.table('alpha').count()).toBe(2)
      }),
    )
  })
}
