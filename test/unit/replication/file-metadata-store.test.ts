import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Clock } from '../../../src/kernel/environment.ts'
import { systemClock, systemRandom, wakefulScheduler } from '../../../src/kernel/system-environment.ts'
import { FileMetadataStore } from '../../../src/replication/file-metadata-store.ts'
import { FileMetadataVersions } from '../../../src/replication/file-metadata-versions.ts'
import { swapped } from '../../../src/replication/metadata-image.ts'
import { WatchDiary } from '../../contract/metadata-store-contract.ts'

const world = { clock: systemClock, scheduler: wakefulScheduler, random: systemRandom }
let directory: string
let store: FileMetadataStore

beforeEach(async () => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'commanderdb-metadata-'))
  store = await FileMetadataStore.open({ ...world, directory })
})
afterEach(async () => {
  await store.close()
  fs.rmSync(directory, { recursive: true })
})

const values = (): string => path.join(directory, 'values')
/** The one that the head names. */
const file = (): string => {
  const head = fs.readdirSync(values()).find((name) => name.endsWith('.head')) ?? ''
  return path.join(values(), head.replace(/head$/, 'json'))
}

const unusable = (reason: string): object => ({
  code: 'metadata_unavailable',
  message: expect.stringContaining(reason),
  details: { outcome: 'none' },
})

describe('a metadata store that is a directory', () => {
  it('keeps what was put there for whoever opens it next', async () => {
    await store.compareAndSwap('cluster', 0, 'ours')
    const before = await store.get('cluster')
    await store.close()
    store = await FileMetadataStore.open({ ...world, directory })
    expect(await store.get('cluster')).toEqual(before)
  })

  it('is text that people can read', async () => {
    await store.compareAndSwap('cluster', 0, 'ours')
    const [header, line] = fs.readFileSync(file(), 'utf8').split('\n')
    expect(JSON.parse(header ?? '')).toMatchObject({ format: 1, revision: 1 })
    expect(line).toBe('{"key":"cluster","revision":1,"value":"ours"}')
  })

  it('says so, and changes nothing, when a byte of it is another', async () => {
    await store.compareAndSwap('cluster', 0, 'ours')
    const content = file()
    const bytes = fs.readFileSync(content)
    for (let at = 0; at < bytes.length; at++) {
      const damaged = Buffer.from(bytes)
      damaged[at] = (damaged[at] ?? 0) ^ 1
      fs.writeFileSync(content, damaged)
      await expect(store.get('cluster')).rejects.toMatchObject({ code: 'metadata_unavailable' })
      await expect(store.compareAndSwap('cluster', 1, 'other')).rejects.toMatchObject({ code: 'metadata_unavailable' })
      expect(fs.readFileSync(content).equals(damaged)).toBe(true)
    }
    fs.writeFileSync(content, bytes.subarray(0, bytes.length - 1))
    await expect(store.get('cluster')).rejects.toMatchObject(unusable('cannot be used'))
    fs.rmSync(content)
    await expect(store.get('cluster')).rejects.toMatchObject(unusable('is missing; restore it from a copy'))
    fs.writeFileSync(content, bytes)
    expect(await store.get('cluster')).toMatchObject({ value: 'ours' })
  })

  it('takes no file of a later version, and none of another revision than its name says', async () => {
    await store.compareAndSwap('cluster', 0, 'ours')
    const former = fs.readFileSync(file())
    await store.compareAndSwap('cluster', 1, 'changed')
    fs.writeFileSync(file(), '{"format":2,"revision":1,"crc32":0}\n')
    await expect(store.get('cluster')).rejects.toMatchObject(unusable('it has format 2'))
    fs.writeFileSync(file(), former)
    await expect(store.get('cluster')).rejects.toMatchObject(unusable('it is of revision 1'))
  })

  it('does not go on with values that somebody put back or took away', async () => {
    await store.compareAndSwap('cluster', 0, 'ours')
    fs.cpSync(values(), `${values()}.copy`, { recursive: true })
    await store.compareAndSwap('cluster', 1, 'changed')
    fs.rmSync(values(), { recursive: true })
    fs.renameSync(`${values()}.copy`, values())
    await expect(store.get('cluster')).rejects.toMatchObject(unusable('went back from revision 2 to 1'))
    fs.rmSync(values(), { recursive: true })
    await expect(store.compareAndSwap('cluster', 0, 'x')).rejects.toMatchObject(unusable('is empty or not there'))
    expect(fs.existsSync(values())).toBe(false)
  })

  it('refuses the change of whoever stood still while others went on, and leaves nothing of it', async () => {
    const versions = await FileMetadataVersions.open(directory, store.location, systemRandom)
    const before = await versions.read()
    const next = swapped(before.image, { key: 'cluster', expectedRevision: 0, value: 'late', lease: null })
    for (let revision = 0; revision < 3; revision++) await store.compareAndSwap('cluster', revision, `${revision}`)
    const names = fs.readdirSync(values())
    expect(names).toHaveLength(2)
    expect(await versions.follow(before, next.image)).toBe(false)
    expect(fs.readdirSync(values())).toEqual(names)
    expect(await store.get('cluster')).toMatchObject({ value: '2', revision: 3 })
  })

  it('removes what was left there by changes that were killed, and nothing that may count still', async () => {
    await store.compareAndSwap('cluster', 0, 'ours')
    const left = ['1-of-a-loser.json', '0-older.json', '2-may-be-renamed-to.json']
    for (const name of left) fs.writeFileSync(path.join(values(), name), '')
    const other = await FileMetadataStore.open({ ...world, directory })
    const names = fs.readdirSync(values())
    expect(left.filter((name) => names.includes(name))).toEqual(['2-may-be-renamed-to.json'])
    expect(await other.get('cluster')).toMatchObject({ value: 'ours' })
    await other.close()
  })

  it('gives up a change that others are always faster with, and says so', async () => {
    let nowMs = 0
    const clock: Clock = { wallMs: () => 0, monotonicMs: () => (nowMs += 1000) }
    const slow = await FileMetadataStore.open({ ...world, clock, directory, patienceMs: 1500 })
    const follow = vi.spyOn(FileMetadataVersions.prototype, 'follow').mockResolvedValue(false)
    await expect(slow.compareAndSwap('cluster', 0, 'x')).rejects.toMatchObject(
      unusable('others were faster for 1500 ms'),
    )
    follow.mockRestore()
    await slow.close()
  })

  it('tells a watch that it is lost, once, and what has changed when it is back', async () => {
    await store.compareAndSwap('streams/a', 0, '1')
    const other = await FileMetadataStore.open({ ...world, directory })
    const diary = new WatchDiary(other, 'streams/')
    await diary.until(() => 'streams/a' in diary.present)
    const content = file()
    const bytes = fs.readFileSync(content)
    fs.writeFileSync(content, 'damaged')
    await diary.until(() => diary.losses > 0)
    fs.writeFileSync(`${content}.restored`, bytes)
    fs.renameSync(`${content}.restored`, content)
    await diary.until(() => diary.told.length === 2)
    expect([diary.told[1], diary.losses]).toEqual([[], 1])
    await store.compareAndSwap('streams/a', 1, '2')
    await diary.until(() => diary.present['streams/a'] === '2')
    await other.close()
  })

  it('sees the values of a lease gone that was lost with its file, as a loss of power does', async () => {
    const lease = await store.lease(60_000)
    await store.compareAndSwap('leases/a', 0, 'lives', { lease })
    fs.rmSync(path.join(directory, 'leases', lease.id))
    const diary = new WatchDiary(store, 'leases/')
    await diary.until(() => diary.told.length > 0 && !('leases/a' in diary.present))
    expect(await lease.keepAlive()).toBe(0)
    diary.close()
  })

  it('says where it cannot be opened, and what to do', async () => {
    const within = path.join(directory, 'a file', 'below')
    fs.writeFileSync(path.dirname(within), '')
    const refused = { code: 'metadata_unavailable', message: expect.stringContaining(`file:${within}`) }
    await expect(FileMetadataStore.open({ ...world, directory: within })).rejects.toMatchObject(refused)
  })
})
