import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock, systemRandom, wakefulScheduler } from '../../../src/kernel/system-environment.ts'
import { FileMetadataStore } from '../../../src/replication/file-metadata-store.ts'
import { WatchDiary } from '../../contract/metadata-store-contract.ts'

const world = { clock: systemClock, scheduler: wakefulScheduler, random: systemRandom }
let directory: string
let file: string
let store: FileMetadataStore

beforeEach(async () => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'commanderdb-metadata-'))
  file = path.join(directory, 'metadata.json')
  store = await FileMetadataStore.open({ ...world, directory })
})
afterEach(async () => {
  await store.close()
  fs.rmSync(directory, { recursive: true })
})

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
    const [header, line] = fs.readFileSync(file, 'utf8').split('\n')
    expect(JSON.parse(header ?? '')).toMatchObject({ format: 1, revision: 1 })
    expect(line).toBe('{"key":"cluster","revision":1,"value":"ours"}')
  })

  it('says so, and changes nothing, when a byte of it is another', async () => {
    await store.compareAndSwap('cluster', 0, 'ours')
    const bytes = fs.readFileSync(file)
    for (let at = 0; at < bytes.length; at++) {
      const damaged = Buffer.from(bytes)
      damaged[at] = (damaged[at] ?? 0) ^ 1
      fs.writeFileSync(file, damaged)
      await expect(store.get('cluster')).rejects.toMatchObject({ code: 'metadata_unavailable' })
      await expect(store.compareAndSwap('cluster', 1, 'other')).rejects.toMatchObject({ code: 'metadata_unavailable' })
      expect(fs.readFileSync(file).equals(damaged)).toBe(true)
    }
    fs.writeFileSync(file, bytes.subarray(0, bytes.length - 1))
    await expect(store.get('cluster')).rejects.toMatchObject(unusable('cannot be used'))
    fs.writeFileSync(file, bytes)
    expect(await store.get('cluster')).toMatchObject({ value: 'ours' })
  })

  it('takes no file of a later version', async () => {
    fs.writeFileSync(file, '{"format":2,"revision":1,"crc32":0}\n')
    await expect(store.get('cluster')).rejects.toMatchObject(unusable('it has format 2'))
  })

  it('does not go on with a file that somebody put back or took away', async () => {
    await store.compareAndSwap('cluster', 0, 'ours')
    const earlier = fs.readFileSync(file)
    await store.compareAndSwap('cluster', 1, 'changed')
    fs.writeFileSync(file, earlier)
    await expect(store.get('cluster')).rejects.toMatchObject(unusable('went back from revision 2 to 1'))
    fs.rmSync(file)
    await expect(store.compareAndSwap('cluster', 0, 'x')).rejects.toMatchObject(
      unusable('went back from revision 2 to 0'),
    )
    expect(fs.existsSync(file)).toBe(false)
  })

  it('tells a watch that it is lost, once, and what has changed when it is back', async () => {
    await store.compareAndSwap('streams/a', 0, '1')
    const other = await FileMetadataStore.open({ ...world, directory })
    const diary = new WatchDiary(other, 'streams/')
    await diary.until(() => 'streams/a' in diary.present)
    const bytes = fs.readFileSync(file)
    fs.writeFileSync(file, 'damaged')
    await diary.until(() => diary.losses > 0)
    fs.writeFileSync(`${file}.restored`, bytes)
    fs.renameSync(`${file}.restored`, file)
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
    const within = path.join(file, 'below')
    fs.writeFileSync(file, '')
    const refused = { code: 'metadata_unavailable', message: expect.stringContaining(`file:${within}`) }
    await expect(FileMetadataStore.open({ ...world, directory: within })).rejects.toMatchObject(refused)
  })
})
