import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { systemClock, systemRandom, wakefulScheduler } from '../../src/kernel/system-environment.ts'
import type { MetadataStore } from '../../src/replication/metadata-store.ts'
import { settledSwap } from '../../src/replication/settled-swap.ts'
import { describeWithEtcd } from '../contract/describe-with-etcd.ts'
import { EtcdFront } from '../contract/etcd-front.ts'
import { EtcdWorld } from '../contract/etcd-world.ts'
import { WatchDiary } from '../contract/metadata-store-contract.ts'

const world = { clock: systemClock, scheduler: wakefulScheduler, random: systemRandom }
/** A member that does not answer is given up soon. */
const hasty = { attemptMs: 500, patienceMs: 0 }
/** Each member is asked once. */
const once = { patienceMs: 0 }

let etcd: EtcdWorld
let fronts: EtcdFront[]

beforeEach(() => {
  fronts = []
})
afterEach(async () => {
  await etcd.stop()
  for (const front of fronts) await front.stop()
})

const frontOf = async (member: number): Promise<EtcdFront> => {
  const front = await EtcdFront.start(etcd.endpoints[member] ?? '')
  fronts.push(front)
  return front
}

const unavailable = (outcome: 'none' | 'unknown'): object => ({ code: 'metadata_unavailable', details: { outcome } })

async function put(store: MetadataStore, key: string, value: string): Promise<void> {
  const current = await store.get(key)
  const swap = { key, expectedRevision: current?.revision ?? 0, value }
  if (!(await settledSwap(store, world, swap)).swapped) throw new Error(`nobody else changes ${key}`)
}

describeWithEtcd('three members of etcd', () => {
  beforeEach(async () => {
    etcd = await EtcdWorld.start(3)
  })

  interface Counter {
    stop(): Promise<void>
    /** What it was told to have put there. */
    readonly done: number[]
    /** What it may have put there, and another has replaced before it could find out. */
    readonly replaced: number[]
  }

  /** Counts on, each time by a value of its own, until it is told to stop. */
  function count(store: MetadataStore, name: string): Counter {
    const done: number[] = []
    const replaced: number[] = []
    let isOver = false
    let isUnsure = false
    const swapper: MetadataStore = Object.create(store, {
      compareAndSwap: {
        value: (...call: Parameters<MetadataStore['compareAndSwap']>) =>
          store.compareAndSwap(...call).catch((error: unknown) => {
            isUnsure = true
            throw error
          }),
      },
    })
    const run = async (): Promise<void> => {
      while (!isOver) {
        const current = await store.get('counter')
        const next = Number(current?.value.split(' ')[0] ?? 0) + 1
        const swap = { key: 'counter', expectedRevision: current?.revision ?? 0, value: `${next} ${name}` }
        isUnsure = false
        if ((await settledSwap(swapper, world, swap)).swapped) done.push(next)
        else if (isUnsure) replaced.push(next)
      }
    }
    const running = run()
    return {
      done,
      replaced,
      stop: () => {
        isOver = true
        return running
      },
    }
  }

  it('go on without the one that leads, killed, and without one that is stopped; no change is lost or doubled', async () => {
    const patient = { attemptMs: 1000, patienceMs: 20_000 }
    const counters = ['a', 'b', 'c'].map((name, n) => {
      const members = [...etcd.endpoints.slice(n), ...etcd.endpoints.slice(0, n)]
      return count(etcd.open({ ...patient, members }), name)
    })
    const diary = new WatchDiary(etcd.open(patient), 'counter')
    const seen = (): number => Number(diary.present['counter']?.split(' ')[0] ?? 0)
    const allCountOn = async (): Promise<void> => {
      const marks = counters.map(({ done }) => done.length)
      await diary.until(() => counters.every(({ done }, n) => done.length > (marks[n] ?? 0) + 5))
      const mark = seen()
      await diary.until(() => seen() > mark)
    }
    await allCountOn()
    const leader = await etcd.leader()
    await etcd.kill(leader)
    await allCountOn()
    await etcd.restart(leader)
    const stopped = (leader + 1) % 3
    etcd.signal(stopped, 'SIGSTOP')
    await allCountOn()
    etcd.signal(stopped, 'SIGCONT')
    await Promise.all(counters.map((counter) => counter.stop()))
    const last = Number((await etcd.open().get('counter'))?.value.split(' ')[0])
    const done = counters.flatMap((counter) => counter.done)
    const replaced = new Set(counters.flatMap((counter) => counter.replaced))
    expect(new Set(done).size).toBe(done.length)
    const all = Array.from({ length: last }, (_, n) => n + 1)
    expect(all.filter((n) => !done.includes(n) && !replaced.has(n))).toEqual([])
    expect(done.filter((n) => n > last)).toEqual([])
    diary.close()
  })

  it('all down fail every call, and a watch says that it is lost and, when they are back, what has changed', async () => {
    const store = etcd.open({ attemptMs: 1000, patienceMs: 2000 })
    await put(etcd.open(), 'streams/a', '1')
    const diary = new WatchDiary(store, 'streams/')
    await diary.until(() => 'streams/a' in diary.present)
    const lease = await etcd.open(once).lease(2000)
    const lossesBefore = diary.losses
    for (const member of [0, 1, 2]) await etcd.kill(member)
    await diary.until(() => diary.losses > lossesBefore)
    const calls = [
      store.get('streams/a'),
      store.list(''),
      store.compareAndSwap('streams/a', 0, ''),
      store.lease(2000),
      lease.keepAlive(),
    ]
    await Promise.all(calls.map((call) => expect(call).rejects.toMatchObject(unavailable('none'))))
    expect(diary.losses).toBe(lossesBefore + 1)
    await Promise.all([0, 1].map((member) => etcd.restart(member)))
    await put(etcd.open(), 'streams/b', '1')
    await diary.until(() => 'streams/b' in diary.present)
    expect(diary.present).toEqual({ 'streams/a': '1', 'streams/b': '1' })
    diary.close()
  })

  it('of which one alone is left say that they have no leader, so that it is known that nothing happened', async () => {
    await put(etcd.open(), 'a', '1')
    await etcd.kill(0)
    await etcd.kill(1)
    const alone = etcd.open({ ...hasty, members: [etcd.endpoints[2] ?? ''] })
    const outcomes = new Set<unknown>()
    while (!outcomes.has('none'))
      await alone
        .compareAndSwap('b', 0, '1')
        .catch(({ details }: { details: { outcome: string } }) => outcomes.add(details.outcome))
    await etcd.restart(0)
    expect(await etcd.open().get('a')).toMatchObject({ value: '1' })
  })
})

describeWithEtcd('one member of etcd', () => {
  beforeEach(async () => {
    etcd = await EtcdWorld.start(1)
  })

  it('whose answer to a swap is lost leaves it unknown, which its nonce settles', async () => {
    const front = await frontOf(0)
    const store = etcd.open({ ...once, members: [front.endpoint] })
    for (const manner of ['lose-answer', 'lose-request'] as const) {
      front.manners.set('/v3/kv/txn', manner)
      const key = `streams/${manner}`
      await expect(store.compareAndSwap(key, 0, 'nonce 1')).rejects.toMatchObject(unavailable('unknown'))
      const current = await store.get(key)
      expect(current?.value).toBe(manner === 'lose-answer' ? 'nonce 1' : undefined)
      const swap = { key, expectedRevision: current?.revision ?? 0, value: 'nonce 2' }
      const already = front.paths.length
      const settling = settledSwap(store, world, swap)
      await front.until(() => front.paths.slice(already).includes('/v3/kv/txn'))
      front.manners.clear()
      const { revision } = (await settling) as { revision: number }
      expect(await etcd.open().get(key)).toEqual({ key, value: 'nonce 2', revision })
    }
  })

  it('that gets a swap after it was sent again does it once', async () => {
    const front = await frontOf(0)
    const store = etcd.open({ ...hasty, members: [front.endpoint] })
    front.manners.set('/v3/kv/txn', 'hold')
    const settling = settledSwap(store, world, { key: 'streams/a', expectedRevision: 0, value: 'nonce' })
    await front.until(() => front.held.length > 0)
    front.manners.clear()
    const settled = await settling
    const swaps = (): number => front.answered.filter((path) => path === '/v3/kv/txn').length
    const before = swaps()
    front.letGo()
    expect(settled).toMatchObject({ swapped: true })
    await front.until(() => swaps() > before)
    const value = await etcd.open().get('streams/a')
    expect(value).toEqual({ key: 'streams/a', value: 'nonce', revision: settled.swapped ? settled.revision : -1 })
  })

  it('that has compacted what a watch asks for has it read everything again', async () => {
    const front = await frontOf(0)
    const direct = etcd.open()
    await put(direct, 'streams/a', '1')
    front.manners.set('/v3/watch', 'hold')
    const diary = new WatchDiary(etcd.open({ members: [front.endpoint] }), 'streams/')
    await front.until(() => front.held.length > 0)
    for (const value of ['2', '3']) await put(direct, 'streams/a', value)
    await put(direct, 'streams/b', '1')
    const { revision = 0 } = (await direct.get('streams/b')) ?? {}
    const compacted = await etcd.ask(0, '/v3/kv/compaction', { revision: String(revision), physical: true })
    expect(compacted).toHaveProperty('header')
    front.manners.clear()
    front.letGo()
    await diary.until(() => diary.present['streams/b'] === '1')
    await put(direct, 'streams/c', '1')
    await diary.until(() => 'streams/c' in diary.present)
    expect(diary.present).toEqual({ 'streams/a': '3', 'streams/b': '1', 'streams/c': '1' })
    expect(diary.losses).toBe(0)
    diary.close()
  })

  it('that sends a watch nothing does not keep it from what has changed', async () => {
    const front = await frontOf(0)
    front.manners.set('/v3/watch', 'hold')
    const diary = new WatchDiary(etcd.open({ members: [front.endpoint], checkMs: 50 }), 'streams/')
    await diary.until(() => diary.told.length > 0)
    await put(etcd.open(), 'streams/a', '1')
    await diary.until(() => 'streams/a' in diary.present)
    diary.close()
  })

  it('lists more than one page, of large values', async () => {
    const store = etcd.open()
    const value = 'x'.repeat(50_000)
    const keys = Array.from({ length: 120 }, (_, n) => `streams/${String(n).padStart(3, '0')}`)
    for (const key of keys) await store.compareAndSwap(key, 0, value)
    const listed = await store.list('streams/')
    expect(listed.map(({ key }) => key)).toEqual(keys)
    expect(listed.every((one) => one.value === value)).toBe(true)
  })

  it('of another cluster than the others gets nothing written', async () => {
    const stranger = await EtcdWorld.start(1)
    const [ours = '', theirs = ''] = [...etcd.endpoints, ...stranger.endpoints]
    const store = etcd.open({ ...once, members: [ours, theirs] })
    await put(store, 'a', '1')
    await etcd.kill(0)
    await expect(store.get('a')).rejects.toMatchObject(unavailable('none'))
    await expect(store.compareAndSwap('b', 0, 'lost')).rejects.toThrow('it is of another cluster than the others')
    expect(await stranger.open().list('')).toEqual([])
    await stranger.stop()
  })

  it('that comes back without what it had is not believed', async () => {
    const store = etcd.open()
    for (const value of ['1', '2', '3']) await put(store, 'streams/a', value)
    await etcd.kill(0)
    fs.rmSync(path.join(etcd.directory, 'm0'), { recursive: true })
    await etcd.restart(0)
    await expect(store.get('streams/a')).rejects.toMatchObject({ code: 'metadata_unavailable', retryable: false })
    await expect(store.get('streams/a')).rejects.toThrow('it went back from revision 4 to 1')
  })
})

describeWithEtcd('an etcd that asks for certificates', () => {
  let directory: string
  const pem = (name: string): string => path.join(directory, name)

  beforeEach(async () => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), 'commanderdb-certificates-'))
    makeCertificates(directory)
    etcd = await EtcdWorld.start(1, { ca: pem('ca.pem'), cert: pem('server.pem'), key: pem('server.key') })
  })
  afterEach(() => fs.rmSync(directory, { recursive: true }))

  it('serves whoever has one, and nobody else', async () => {
    const [ca, cert, key] = ['ca.pem', 'client.pem', 'client.key'].map((name) => fs.readFileSync(pem(name)))
    const store = etcd.open({ tls: { ca, cert, key } as { ca: Buffer; cert: Buffer; key: Buffer } })
    expect(await store.compareAndSwap('a', 0, '1')).toMatchObject({ swapped: true })
    const diary = new WatchDiary(store, '')
    await diary.until(() => diary.present['a'] === '1')
    const refused = { code: 'metadata_unavailable' }
    await expect(etcd.open({ ...once, tls: { ca: ca as Buffer } }).get('a')).rejects.toMatchObject(refused)
    await expect(etcd.open(once).get('a')).rejects.toMatchObject(refused)
    const distrusting = { cert, key } as { cert: Buffer; key: Buffer }
    await expect(etcd.open({ ...once, tls: distrusting }).get('a')).rejects.toThrow('certificate')
    diary.close()
  })
})

/** The member asks itself as a client, through its gateway: its certificate must be good for that too. */
function makeCertificates(directory: string): void {
  const openssl = (...args: string[]): void => {
    execFileSync('openssl', args, { cwd: directory, stdio: 'ignore' })
  }
  const fresh = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  openssl('req', '-x509', ...fresh, '-subj', '/CN=test', '-keyout', 'ca.key', '-out', 'ca.pem')
  for (const name of ['server', 'client']) {
    const extensions = `subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n`
    fs.writeFileSync(path.join(directory, `${name}.ext`), extensions)
    openssl('req', ...fresh.slice(0, 5), '-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.csr`)
    const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', `${name}.ext`]
    openssl('x509', '-req', '-in', `${name}.csr`, ...signed, '-out', `${name}.pem`)
  }
}
