import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { limits } from '../../src/kernel/limits.ts'
import type { MetadataChange, MetadataStore, MetadataWatch } from '../../src/replication/metadata-store.ts'

export interface MetadataFixture {
  /** Another handle on the same store, as another process has it. */
  open(): Promise<MetadataStore>
  remove(): Promise<void>
}

/** What a watch was told, and a way to wait for it. */
export class WatchDiary {
  readonly told: (readonly MetadataChange[])[] = []
  losses = 0
  readonly #watch: MetadataWatch
  #wake: () => void = () => {}

  constructor(store: MetadataStore, prefix: string) {
    this.#watch = store.watch(prefix, {
      values: (changed) => {
        this.told.push(changed)
        this.#wake()
      },
      lost: () => {
        this.losses++
        this.#wake()
      },
    })
  }

  get changes(): readonly MetadataChange[] {
    return this.told.flat()
  }

  /** The latest of each key, of those that are there. */
  get present(): Record<string, string> {
    const values = new Map(this.changes.map(({ key, value }) => [key, value?.value]))
    return Object.fromEntries([...values].filter((entry): entry is [string, string] => entry[1] !== undefined))
  }

  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await new Promise<void>((resolve) => (this.#wake = resolve))
  }

  close(): void {
    this.#watch.close()
  }
}

/**
 * What every metadata store promises.
 * @param leaseMs - the shortest that the store can do
 */
export function metadataStoreContract(name: string, leaseMs: number, fixture: () => Promise<MetadataFixture>): void {
  describe(`a metadata store: ${name}`, () => {
    let metadata: MetadataFixture
    let store: MetadataStore
    let other: MetadataStore

    beforeEach(async () => {
      metadata = await fixture()
      store = await metadata.open()
      other = await metadata.open()
    })
    afterEach(async () => {
      await store.close()
      await other.close()
      await metadata.remove()
    })

    const put = async (key: string, value: string): Promise<number> => {
      const current = await store.get(key)
      const result = await store.compareAndSwap(key, current?.revision ?? 0, value)
      if (!result.swapped) throw new Error(`nobody else changes ${key}`)
      return result.revision
    }

    test('has nothing before anything is put there', async () => {
      expect(await store.get('cluster')).toBeNull()
      expect(await store.list('')).toEqual([])
    })

    test('makes a key only where it is absent', async () => {
      const made = await store.compareAndSwap('cluster', 0, 'one')
      expect(made).toEqual({ swapped: true, revision: expect.any(Number) })
      const current = { key: 'cluster', value: 'one', revision: made.swapped ? made.revision : -1 }
      expect(await other.get('cluster')).toEqual(current)
      expect(await other.compareAndSwap('cluster', 0, 'two')).toEqual({ swapped: false, current })
      expect(await store.get('cluster')).toEqual(current)
    })

    test('changes a value on its latest revision alone', async () => {
      const first = await put('streams/a', '1')
      const second = await put('streams/a', '2')
      expect(second).toBeGreaterThan(first)
      const current = { key: 'streams/a', value: '2', revision: second }
      expect(await other.compareAndSwap('streams/a', first, '3')).toEqual({ swapped: false, current })
      expect(await other.compareAndSwap('streams/a', second + 1, '3')).toEqual({ swapped: false, current })
      expect(await other.compareAndSwap('streams/b', second, '3')).toEqual({ swapped: false, current: null })
      expect(await store.list('')).toEqual([current])
    })

    test('deletes on the latest revision alone, and never uses a revision again', async () => {
      const made = await put('servers/a', 'here')
      const changed = await put('servers/a', 'there')
      expect(await other.compareAndSwap('servers/a', made, null)).toMatchObject({ swapped: false })
      expect(await other.compareAndSwap('servers/a', changed, null)).toMatchObject({ swapped: true })
      expect(await store.get('servers/a')).toBeNull()
      expect(await store.compareAndSwap('servers/a', changed, null)).toEqual({ swapped: false, current: null })
      expect(await store.compareAndSwap('servers/a', 0, null)).toMatchObject({ swapped: true })
      expect(await put('servers/a', 'here')).toBeGreaterThan(changed)
    })

    test('lists by the beginning of keys, sorted', async () => {
      for (const key of ['streams/b', 'servers/a', 'streams/a', 'streams-not', 'streams/a/b']) await put(key, key)
      const keysBelow = async (prefix: string): Promise<string[]> => (await other.list(prefix)).map(({ key }) => key)
      expect(await keysBelow('streams/')).toEqual(['streams/a', 'streams/a/b', 'streams/b'])
      expect(await keysBelow('streams/a')).toEqual(['streams/a', 'streams/a/b'])
      expect(await keysBelow('')).toHaveLength(5)
      expect(await keysBelow('nodes/')).toEqual([])
    })

    test('keeps any text, up to the bound, and takes no more', async () => {
      const values = ['', 'Zürich — 東京 🚂', '{"a":"\\u0000"}', 'x'.repeat(limits.metadataValueBytesMax)]
      for (const value of values) {
        await put('streams/ä', value)
        expect((await other.get('streams/ä'))?.value === value).toBe(true)
      }
      await expect(put('a', 'x'.repeat(limits.metadataValueBytesMax + 1))).rejects.toMatchObject({
        code: 'invalid_input',
        message: expect.stringContaining(`${limits.metadataValueBytesMax + 1} bytes`),
      })
      for (const key of ['', 'a\0b', 'k'.repeat(limits.metadataKeyBytesMax + 1)])
        await expect(store.compareAndSwap(key, 0, '')).rejects.toMatchObject({ code: 'invalid_input' })
      expect(await store.list('a')).toEqual([])
    })

    test('lets one of several that swap at once win, and shows the others who', async () => {
      const stores = [store, other, await metadata.open(), await metadata.open()]
      const results = await Promise.all(stores.map((one, index) => one.compareAndSwap('cluster', 0, `of ${index}`)))
      const winners = results.filter(({ swapped }) => swapped)
      expect(winners).toHaveLength(1)
      const value = await store.get('cluster')
      expect(value?.value).toBe(`of ${results.findIndex(({ swapped }) => swapped)}`)
      for (const result of results) if (!result.swapped) expect(result.current).toEqual(value)
      for (const one of stores.slice(2)) await one.close()
    })

    test('loses no change of several that count on one value', async () => {
      const countUp = async (one: MetadataStore): Promise<void> => {
        for (let counted = 0; counted < 10; ) {
          const current = await one.get('counter')
          const next = String(Number(current?.value ?? 0) + 1)
          const { swapped } = await one.compareAndSwap('counter', current?.revision ?? 0, next)
          if (swapped) counted++
        }
      }
      await Promise.all([countUp(store), countUp(other), countUp(store)])
      expect((await other.get('counter'))?.value).toBe('30')
    })

    test('shows a watch what is there, be it nothing, then what changes', async () => {
      const nothing = new WatchDiary(other, 'streams/')
      await nothing.until(() => nothing.told.length > 0)
      expect(nothing.told).toEqual([[]])
      await put('streams/a', '1')
      await put('servers/a', 'no stream')
      await put('streams/b', '1')
      await nothing.until(() => 'streams/b' in nothing.present)
      expect(nothing.present).toEqual({ 'streams/a': '1', 'streams/b': '1' })
      const something = new WatchDiary(other, 'streams/')
      await something.until(() => something.told.length > 0)
      expect(something.told[0]).toEqual((await store.list('streams/')).map((value) => ({ key: value.key, value })))
      await put('streams/a', '2')
      const { revision = 0 } = (await store.get('streams/b')) ?? {}
      await store.compareAndSwap('streams/b', revision, null)
      for (const diary of [nothing, something]) {
        await diary.until(() => diary.present['streams/a'] === '2' && !('streams/b' in diary.present))
        expect(diary.changes.every(({ key }) => key.startsWith('streams/'))).toBe(true)
        diary.close()
      }
    })

    test('never shows a watch an older value after a newer one, and at last the latest', async () => {
      const diary = new WatchDiary(other, 'streams/a')
      for (let n = 1; n <= 30; n++) await put('streams/a', String(n))
      await diary.until(() => diary.present['streams/a'] === '30')
      const revisions = diary.changes.map(({ value }) => value?.revision ?? 0)
      expect(revisions).toEqual([...revisions].sort((a, b) => a - b))
      expect(diary.losses).toBe(0)
      diary.close()
    })

    test('tells a closed watch nothing', async () => {
      const closed = new WatchDiary(other, '')
      const open = new WatchDiary(other, '')
      await closed.until(() => closed.told.length > 0)
      closed.close()
      closed.close()
      await put('a', '1')
      await open.until(() => 'a' in open.present)
      expect(closed.told).toEqual([[]])
      open.close()
    })

    test('takes a value away with the end of its lease, from whoever looks and watches', async () => {
      const lease = await store.lease(leaseMs)
      const { swapped } = await store.compareAndSwap('leases/a', 0, 'lives', { lease })
      expect(swapped).toBe(true)
      await put('streams/a', 'stays')
      const diary = new WatchDiary(other, '')
      await diary.until(() => 'leases/a' in diary.present)
      await diary.until(() => !('leases/a' in diary.present))
      expect(await other.get('leases/a')).toBeNull()
      expect(await lease.keepAlive()).toBe(0)
      await expect(store.compareAndSwap('leases/a', 0, 'lives', { lease })).rejects.toMatchObject({ code: 'not_found' })
      expect((await other.list('')).map(({ key }) => key)).toEqual(['streams/a'])
      diary.close()
    })

    test('keeps a value while its lease is kept alive', async () => {
      const kept = await store.lease(leaseMs)
      const forsaken = await store.lease(leaseMs)
      await store.compareAndSwap('leases/kept', 0, 'lives', { lease: kept })
      await store.compareAndSwap('leases/forsaken', 0, 'lives', { lease: forsaken })
      const diary = new WatchDiary(other, 'leases/')
      await diary.until(() => 'leases/forsaken' in diary.present)
      let isOver = false
      const gone = diary.until(() => !('leases/forsaken' in diary.present)).then(() => (isOver = true))
      while (!isOver) {
        const leftMs = await kept.keepAlive()
        expect(leftMs).toBeGreaterThan(0)
        expect(leftMs).toBeLessThan(leaseMs)
        await Promise.race([gone, other.get('leases/kept')])
      }
      expect(await other.get('leases/kept')).toMatchObject({ value: 'lives' })
      diary.close()
    })

    test('takes a value away at once when its lease is revoked, and what it holds by another lease not', async () => {
      const lease = await store.lease(60_000)
      const next = await other.lease(60_000)
      await store.compareAndSwap('leases/a', 0, 'first', { lease })
      await store.compareAndSwap('leases/b', 0, 'first', { lease })
      const { revision = 0 } = (await other.get('leases/b')) ?? {}
      await other.compareAndSwap('leases/b', revision, 'second', { lease: next })
      await lease.revoke()
      await lease.revoke()
      expect((await other.list('leases/')).map(({ value }) => value)).toEqual(['second'])
      await next.revoke()
      expect(await store.list('leases/')).toEqual([])
    })

    test('a value that is put without a lease stays when the lease of the one before ends', async () => {
      const lease = await store.lease(60_000)
      await store.compareAndSwap('leases/a', 0, 'bound', { lease })
      await put('leases/a', 'free')
      await lease.revoke()
      expect(await other.get('leases/a')).toMatchObject({ value: 'free' })
    })

    test('refuses everything once it is closed, and takes a second close', async () => {
      const third = await metadata.open()
      const lease = await third.lease(60_000)
      const diary = new WatchDiary(third, '')
      await diary.until(() => diary.told.length > 0)
      await third.close()
      await third.close()
      const refused = { code: 'metadata_unavailable', message: expect.stringContaining(third.location) }
      await expect(third.get('a')).rejects.toMatchObject(refused)
      await expect(third.list('a')).rejects.toMatchObject(refused)
      await expect(third.compareAndSwap('a', 0, '')).rejects.toMatchObject(refused)
      await expect(third.lease(1000)).rejects.toMatchObject(refused)
      await expect(lease.keepAlive()).rejects.toMatchObject(refused)
      await put('a', '1')
      const late = new WatchDiary(third, '')
      expect(await store.get('a')).toMatchObject({ value: '1' })
      expect([diary.told, diary.losses, late.told, late.losses]).toEqual([[[]], 0, [], 0])
    })
  })
}
