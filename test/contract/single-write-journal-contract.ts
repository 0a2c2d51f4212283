import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { lsn } from '../../src/kernel/identifiers.ts'
import { lastLsnOf, type ReplicatedBatch } from '../../src/replication/batch.ts'
import type { RoleState } from '../../src/replication/role-state.ts'
import type { ReadOptions, SingleWriteJournal, StreamReader } from '../../src/replication/single-write-journal.ts'
import { entriesOf } from '../../src/replication/stream-entries.ts'

/** Nodes of one cluster, or of one host. */
export interface JournalWorld {
  /** Another node, or another incarnation of one that was closed. */
  node(id: string): Promise<SingleWriteJournal>
  /** From now on nothing that this node appends becomes committed, and it hears of nobody. @returns ends that */
  cutOff(node: SingleWriteJournal): () => void
  close(node: SingleWriteJournal): Promise<void>
  remove(): Promise<void>
}

/** Of the test that runs. */
let stream = ''
let tests = 0
const entry = (text: string): Buffer => Buffer.from(text)
const patienceMs = 20_000

/** The first state that is so; the observation ends there. */
async function until(node: SingleWriteJournal, isSo: (state: RoleState) => boolean, name = stream): Promise<RoleState> {
  for await (const state of node.observeState(name)) if (isSo(state)) return state
  throw new Error('the observation ended')
}

const leads = (node: SingleWriteJournal, name: string = stream): Promise<RoleState> =>
  until(node, ({ role }) => role === 'leader', name)

async function readAll(reader: StreamReader, from = 1, options: ReadOptions = {}): Promise<readonly string[]> {
  const texts: string[] = []
  for await (const batch of reader.read(lsn(from), options)) texts.push(...entriesOf(batch).map((one) => `${one}`))
  return texts
}

async function batchesOf(
  reader: StreamReader,
  from = 1,
  options: ReadOptions = {},
): Promise<readonly ReplicatedBatch[]> {
  const batches: ReplicatedBatch[] = []
  for await (const batch of reader.read(lsn(from), options)) batches.push(batch)
  return batches
}

export function singleWriteJournalContract(kind: string, open: () => Promise<JournalWorld>): void {
  describe(`a single write journal (${kind})`, () => {
    let world: JournalWorld
    let one: SingleWriteJournal
    let two: SingleWriteJournal

    beforeAll(async () => {
      world = await open()
      one = await world.node('one')
      two = await world.node('two')
    })

    beforeEach(async () => {
      stream = `orders ${++tests}`
      await one.createStream(stream)
    })

    afterEach(async () => {
      if ((await one.listStreams()).includes(stream)) await one.deleteStream(stream)
    })

    afterAll(() => world.remove())

    /** Nobody else wants to yet: however slow the machine is, one goes on leading. */
    async function led(): Promise<void> {
      await one.campaign(stream)
      await leads(one)
    }

    describe('streams', () => {
      it('are made, listed for every node, and not made twice', async () => {
        await one.createStream('invoices')
        expect([...(await two.listStreams())].sort()).toEqual(['invoices', stream])
        await expect(two.createStream('invoices')).rejects.toMatchObject({ code: 'already_exists' })
        await two.deleteStream('invoices')
      })

      it('that do not exist are neither read, written, led nor deleted', async () => {
        const none = { code: 'not_found' }
        await expect(one.openStreamReader('none')).rejects.toMatchObject(none)
        await expect(one.openStreamWriter('none')).rejects.toMatchObject(none)
        await expect(one.campaign('none')).rejects.toMatchObject(none)
        await expect(one.deleteStream('none')).rejects.toMatchObject(none)
      })

      it('that are deleted take and give nothing more, and leave their name to another one', async () => {
        await led()
        const writer = await one.openStreamWriter(stream)
        const reader = await one.openStreamReader(stream)
        await writer.append([entry('a')])
        const { epoch: before } = one.state(stream)
        const endless = readAll(reader, 1, { wait: true })
        endless.catch(() => {})
        await one.deleteStream(stream)
        expect(await two.listStreams()).toEqual([])
        await expect(writer.append([entry('b')])).rejects.toMatchObject({ code: 'not_found' })
        await expect(endless).rejects.toMatchObject({ code: 'not_found' })
        await expect(readAll(reader)).rejects.toMatchObject({ code: 'not_found' })
        await expect(one.openStreamReader(stream)).rejects.toMatchObject({ code: 'not_found' })
        await two.createStream(stream)
        await two.campaign(stream)
        const state = await leads(two)
        expect(state.epoch).toBeGreaterThan(before)
        expect(await (await two.openStreamWriter(stream)).append([entry('z')])).toMatchObject({ first: 1, last: 1 })
        expect(await readAll(await two.openStreamReader(stream))).toEqual(['z'])
      })
    })

    describe('a writer', () => {
      it('appends what is then read as it was, numbered from 1 on, whole calls as whole batches', async () => {
        await led()
        const writer = await one.openStreamWriter(stream)
        const { epoch } = one.state(stream)
        expect(await writer.append([entry('a'), entry(''), entry('cc')])).toEqual({ first: 1, last: 3, epoch })
        expect(await writer.append([Buffer.alloc(100_000, 7)])).toEqual({ first: 4, last: 4, epoch })
        const batches = await batchesOf(await one.openStreamReader(stream))
        expect(batches.map(({ firstLsn, entryCount }) => [firstLsn, entryCount])).toEqual([
          [1, 3],
          [4, 1],
        ])
        expect(batches.flatMap(entriesOf)).toEqual([entry('a'), entry(''), entry('cc'), Buffer.alloc(100_000, 7)])
      })

      it('keeps the order of its calls, of several writers too', async () => {
        await led()
        const writers = await Promise.all([one.openStreamWriter(stream), one.openStreamWriter(stream)])
        const calls = Array.from({ length: 200 }, (_, n) => writers[n % 2]?.append([entry(`${n}`)]))
        const appended = await Promise.all(calls)
        expect(appended.map((each) => each?.first)).toEqual(calls.map((_, n) => n + 1))
        expect(await readAll(await one.openStreamReader(stream))).toEqual(calls.map((_, n) => `${n}`))
      })

      it('says with "written" that entries are under way, and they are committed soon', async () => {
        await led()
        const writer = await one.openStreamWriter(stream)
        await writer.append([entry('a')], { ack: 'written' })
        const reader = await two.openStreamReader(stream)
        expect(await readAll(reader, 1, { wait: true, until: lsn(1) })).toEqual(['a'])
      })

      it('appends where it is expected to, and nothing where another entry is next', async () => {
        await led()
        const writer = await one.openStreamWriter(stream)
        await writer.append([entry('a'), entry('b')], { expectLsn: lsn(1) })
        const wrong = { code: 'invalid_input', details: { expected: 2, next: 3 } }
        await expect(writer.append([entry('x')], { expectLsn: lsn(2) })).rejects.toMatchObject(wrong)
        expect(await writer.append([entry('c')], { expectLsn: lsn(3) })).toMatchObject({ first: 3 })
        expect(await readAll(await one.openStreamReader(stream))).toEqual(['a', 'b', 'c'])
      })

      it('takes neither nothing nor more than fits into a batch', async () => {
        await led()
        const writer = await one.openStreamWriter(stream)
        await expect(writer.append([])).rejects.toMatchObject({ code: 'invalid_input' })
        const large = writer.append([Buffer.alloc(64 << 20)])
        await expect(large).rejects.toMatchObject({ code: 'payload_too_large' })
        expect(await writer.append([entry('a')])).toMatchObject({ first: 1 })
      })

      it('on a node that does not lead is told who does, and appends nothing', async () => {
        const early = await two.openStreamWriter(stream)
        await expect(early.append([entry('x')])).rejects.toMatchObject({
          code: 'not_leader',
          details: { leader: null },
        })
        await led()
        const { epoch } = await leads(one)
        await until(two, ({ leader }) => leader !== undefined)
        const refused = { code: 'not_leader', details: { leader: { id: 'one' }, epoch } }
        await expect(early.append([entry('x')])).rejects.toMatchObject(refused)
        await expect(early.roll()).rejects.toMatchObject({ code: 'not_leader' })
        await expect(early.trim(lsn(1))).rejects.toMatchObject({ code: 'not_leader' })
        await (await one.openStreamWriter(stream)).append([entry('a')])
        expect(await readAll(await two.openStreamReader(stream), 1, { wait: true, until: lsn(1) })).toEqual(['a'])
      })

      it('that is closed lets what is under way end, and takes nothing more', async () => {
        await led()
        const writer = await one.openStreamWriter(stream)
        const last = writer.append([entry('a')])
        await writer.close()
        expect(await last).toMatchObject({ first: 1 })
        await expect(writer.append([entry('b')])).rejects.toMatchObject({ code: 'invalid_input' })
      })

      it('rolls into a segment of the next epoch, and the entries go on', async () => {
        await led()
        const writer = await one.openStreamWriter(stream)
        const before = await writer.append([entry('a')])
        const during = Array.from({ length: 20 }, (_, n) => writer.append([entry(`${n}`)]))
        await writer.roll()
        await Promise.all(during)
        const after = await writer.append([entry('z')])
        expect([after.epoch, after.first]).toEqual([before.epoch + 1, 22])
        expect(one.state(stream)).toMatchObject({ role: 'leader', epoch: after.epoch })
        expect(await readAll(await one.openStreamReader(stream))).toHaveLength(22)
      })

      it('trims what is sealed: readers are told so, and the rest is there', async () => {
        await led()
        const writer = await one.openStreamWriter(stream)
        await writer.append([entry('a'), entry('b')])
        await writer.roll()
        await writer.append([entry('c')])
        await writer.trim(lsn(3))
        const reader = await one.openStreamReader(stream)
        await expect(readAll(reader)).rejects.toMatchObject({ code: 'log_trimmed' })
        expect(await readAll(reader, 3)).toEqual(['c'])
        await writer.trim(lsn(1))
        expect(await writer.append([entry('d')])).toMatchObject({ first: 4 })
        expect(await readAll(reader, 3)).toEqual(['c', 'd'])
      })
    })

    describe('a reader', () => {
      it('begins with the batch that holds the entry, and ends with the one that holds the last wanted', async () => {
        await led()
        const writer = await one.openStreamWriter(stream)
        for (const text of ['a', 'b', 'c', 'd']) await writer.append([entry(text), entry(`${text}${text}`)])
        const reader = await two.openStreamReader(stream)
        await reader.tail('linearizable')
        expect(await readAll(reader, 4, { until: lsn(5) })).toEqual(['b', 'bb', 'c', 'cc'])
        expect(await readAll(reader, 7)).toEqual(['d', 'dd'])
        expect(await readAll(reader, 9)).toEqual([])
      })

      it('waits for more where it is told to, over rolls, until it has seen enough', async () => {
        await led()
        const writer = await one.openStreamWriter(stream)
        const reader = await two.openStreamReader(stream)
        const reading = readAll(reader, 1, { wait: true, until: lsn(4) })
        for (const text of ['a', 'b']) await writer.append([entry(text)])
        await writer.roll()
        for (const text of ['c', 'd']) await writer.append([entry(text)])
        expect(await reading).toEqual(['a', 'b', 'c', 'd'])
      })

      it('ends when it is told to, or closed', async () => {
        await led()
        await (await one.openStreamWriter(stream)).append([entry('a')])
        const reader = await one.openStreamReader(stream)
        const ending = new AbortController()
        const aborted = readAll(reader, 1, { wait: true, signal: ending.signal })
        const closed = readAll(reader, 1, { wait: true })
        ending.abort()
        expect(await aborted).toEqual(expect.any(Array))
        await reader.close()
        expect(await closed).toEqual(expect.any(Array))
        expect(() => reader.read(lsn(1))).toThrow(expect.objectContaining({ code: 'invalid_input' }))
      })

      it('knows no less than before, and by a linearizable tail all that was acknowledged to anybody', async () => {
        await led()
        const writer = await one.openStreamWriter(stream)
        const reader = await two.openStreamReader(stream)
        let known = 0
        for (let n = 1; n <= 20; n++) {
          const { last } = await writer.append([entry(`${n}`)])
          expect(await reader.tail('linearizable')).toBeGreaterThanOrEqual(last)
          const now = await reader.tail('known')
          expect(now).toBeGreaterThanOrEqual(Math.max(known, last))
          known = now
        }
        expect(await readAll(reader)).toHaveLength(20)
        const own = await one.openStreamReader(stream)
        expect([await own.tail('known'), await own.tail('linearizable')]).toEqual([20, 20])
      })

      it('reads what was committed when nobody leads', async () => {
        await led()
        await (await one.openStreamWriter(stream)).append([entry('a')])
        await one.resign(stream)
        const reader = await two.openStreamReader(stream)
        expect(await readAll(reader, 1, { wait: true, until: lsn(1) })).toEqual(['a'])
      })
    })

    describe('the role of a node', () => {
      it('is told as it is, then each newer one', async () => {
        const seen: RoleState[] = []
        const watching = (async () => {
          for await (const state of one.observeState(stream)) {
            seen.push(state)
            if (state.epoch >= 3 && state.role === 'leader') return
          }
        })()
        await led()
        const writer = await one.openStreamWriter(stream)
        await writer.append([entry('a')])
        await writer.roll()
        await writer.roll()
        await watching
        expect(seen[0]).toMatchObject({ epoch: 0, role: 'follower' })
        const epochs = seen.map(({ epoch }) => epoch)
        expect(epochs).toEqual([...epochs].sort((a, b) => a - b))
        const led1 = seen.filter(({ role }) => role === 'leader').map(({ epoch }) => epoch)
        expect(led1).toEqual([1, 2, 3])
        expect(await until(two, ({ epoch }) => epoch === 3)).toMatchObject({ role: 'follower', leader: { id: 'one' } })
      })

      it('is leader when it can append', async () => {
        await one.campaign(stream)
        for await (const { role } of one.observeState(stream)) {
          if (role !== 'leader') continue
          expect(await (await one.openStreamWriter(stream)).append([entry('a')])).toMatchObject({ first: 1 })
          break
        }
      })

      it('goes to the next one by resignation, with all that was acknowledged or under way', async () => {
        await led()
        const writer = await one.openStreamWriter(stream)
        const appends = Array.from({ length: 50 }, (_, n) => writer.append([entry(`${n}`)]))
        await one.resign(stream)
        await Promise.all(appends)
        expect(one.state(stream).role).toBe('follower')
        await expect(writer.append([entry('x')])).rejects.toMatchObject({ code: 'not_leader' })
        await two.campaign(stream)
        const { epoch } = await leads(two)
        expect(epoch).toBe(2)
        const next = await (await two.openStreamWriter(stream)).append([entry('z')])
        expect(next).toEqual({ first: 51, last: 51, epoch: 2 })
        const texts = [...appends.map((_, n) => `${n}`), 'z']
        expect(await readAll(await two.openStreamReader(stream))).toEqual(texts)
      })

      it('goes to the next one when the leader ends', async () => {
        await led()
        await (await one.openStreamWriter(stream)).append([entry('a')])
        await two.campaign(stream)
        await world.close(one)
        one = await world.node('one')
        await leads(two)
        expect(await (await two.openStreamWriter(stream)).append([entry('b')])).toMatchObject({ first: 2 })
        expect(await readAll(await two.openStreamReader(stream))).toEqual(['a', 'b'])
      })

      it(
        'is lost by a leader that is cut off: what it had under way is indeterminate, what it appends then certainly nowhere',
        async () => {
          await led()
          const writer = await one.openStreamWriter(stream)
          await writer.append([entry('acknowledged')])
          const heal = world.cutOff(one)
          const outstanding = Promise.allSettled([writer.append([entry('b')]), writer.append([entry('c')])])
          await two.campaign(stream)
          await until(two, ({ epoch }) => epoch >= 2)
          heal()
          const results = await outstanding
          expect(results).toEqual([
            { status: 'rejected', reason: expect.objectContaining({ code: 'indeterminate' }) },
            { status: 'rejected', reason: expect.objectContaining({ code: 'indeterminate' }) },
          ])
          await expect(writer.append([entry('x')])).rejects.toMatchObject({ code: 'not_leader' })
          const { epoch } = await leads(two)
          const { first } = await (await two.openStreamWriter(stream)).append([entry('z')])
          const texts = await readAll(await two.openStreamReader(stream))
          expect(texts[0]).toBe('acknowledged')
          expect(texts.at(-1)).toBe('z')
          expect(texts).not.toContain('x')
          expect(texts).toHaveLength(first)
          expect(['acknowledged', 'b', 'c', 'z'].filter((text) => texts.includes(text))).toEqual(texts)
          const later = await until(one, (state) => state.epoch >= epoch)
          expect(later).toMatchObject({ role: 'follower', leader: { id: 'two' } })
        },
        patienceMs,
      )

      it(
        'is wanted again by a node that was deposed, and comes back to it',
        async () => {
          await led()
          const heal = world.cutOff(one)
          await two.campaign(stream)
          await until(two, ({ epoch }) => epoch >= 2)
          heal()
          await leads(two)
          await until(one, ({ epoch, role }) => epoch >= 2 && role === 'follower')
          await two.resign(stream)
          await leads(one)
          const writer = await one.openStreamWriter(stream)
          const { last } = await writer.append([entry('a')])
          expect(last).toBe(await (await two.openStreamReader(stream)).tail('linearizable'))
        },
        patienceMs,
      )
    })

    describe('what was acknowledged', () => {
      it('is there for another incarnation of every node', async () => {
        await led()
        const writer = await one.openStreamWriter(stream)
        const texts = Array.from({ length: 30 }, (_, n) => `entry ${n}`)
        for (const text of texts) {
          await writer.append([entry(text)])
          if (text.endsWith('9')) await writer.roll()
        }
        await world.close(one)
        await world.close(two)
        one = await world.node('one')
        two = await world.node('two')
        await one.campaign(stream)
        await leads(one)
        expect(await readAll(await one.openStreamReader(stream))).toEqual(texts)
        const batches = await batchesOf(await two.openStreamReader(stream))
        expect(
          batches.every((batch, n) => n === 0 || batch.firstLsn === lastLsnOf(batches[n - 1] as ReplicatedBatch) + 1),
        ).toBe(true)
      })
    })
  })
}
