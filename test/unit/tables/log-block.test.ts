import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { eventCountOf, isRemoved, lengthOf, lsnOf, padded } from '../../../src/actions/entry-layout.ts'
import { lsn, revision, token } from '../../../src/kernel/identifiers.ts'
import { eachEntry, lastPosition } from '../../../src/tables/event-log.ts'
import { expandBlock, holesIn, punchHoles } from '../../../src/tables/log-block.ts'
import { StubJournal } from '../role-world.ts'

/** Entries one behind the other, each with so many events and bytes. */
function blockOf(sizes: readonly { readonly events: number; readonly bytes: number }[]): Buffer {
  return new StubJournal().append(
    sizes.map(({ events, bytes }) => ({
      type: 'command/completed',
      command: lsn(1),
      aggregate: { type: 'counter', id: 'a' },
      release: token(1),
      atMs: 0,
      baseRevision: revision(0),
      eventsVersion: 1,
      events: Array.from({ length: events }, () => ({ type: 'added', data: 'x'.repeat(bytes) })),
      latestEvent: { revision: revision(events), type: 'added' },
      idempotencyKey: 'none',
      snapshot: null,
    })),
  )
}

function offsetsOf(block: Buffer): number[] {
  const offsets: number[] = []
  for (let o = 0; o < block.length; o += padded(lengthOf(block, o))) offsets.push(o)
  return offsets
}

const anySizes = fc.array(fc.record({ events: fc.integer({ min: 1, max: 5 }), bytes: fc.nat(200) }), {
  minLength: 1,
  maxLength: 12,
})

describe('a block of the log with holes', () => {
  it('has everything that is left where it was, and counts what is not', () => {
    fc.assert(
      fc.property(anySizes, fc.infiniteStream(fc.boolean()), fc.nat(3), (sizes, wanted, archive) => {
        const whole = blockOf(sizes)
        const offsets = offsetsOf(whole)
        const removed = offsets.filter(() => wanted.next().value)
        const expanded = expandBlock(punchHoles(whole, removed, archive))
        expect(offsetsOf(expanded)).toEqual(offsets)
        const block = { firstPosition: 10, entries: expanded, holes: removed.length, isRebuilt: false }
        expect(lastPosition(block)).toBe(
          lastPosition({ firstPosition: 10, entries: whole, holes: 0, isRebuilt: false }),
        )
        eachEntry(block, (b, o) => {
          expect(isRemoved(b, o)).toBe(removed.includes(o))
          expect(eventCountOf(b, o)).toBe(eventCountOf(whole, o))
          const end = o + padded(lengthOf(whole, o))
          if (!removed.includes(o)) expect(b.subarray(o, end)).toEqual(whole.subarray(o, end))
          else expect(lsnOf(b, o)).toBe(0)
        })
      }),
    )
  })

  it('is the same whether its holes were made at once or one after the other, and twice is once', () => {
    fc.assert(
      fc.property(anySizes, fc.infiniteStream(fc.boolean()), (sizes, wanted) => {
        const whole = blockOf(sizes)
        const removed = offsetsOf(whole).filter(() => wanted.next().value)
        const atOnce = punchHoles(whole, removed, 0)
        let oneByOne = punchHoles(whole, [], 0)
        for (const offset of [...removed, ...removed].reverse()) oneByOne = punchHoles(oneByOne, [offset], 0)
        expect(oneByOne).toEqual(atOnce)
        expect(holesIn(atOnce)).toBe(removed.length)
      }),
    )
  })

  it('is no larger than what is left, and holds no byte of what is not', () => {
    const whole = blockOf([
      { events: 3, bytes: 500 },
      { events: 1, bytes: 20 },
    ])
    const stored = punchHoles(whole, [0], 0)
    expect(stored.length).toBeLessThan(400)
    expect(stored.includes('x'.repeat(21))).toBe(false)
    expect(stored.includes('x'.repeat(20))).toBe(true)
  })

  it('refuses a place where no entry is', () => {
    expect(() => punchHoles(blockOf([{ events: 1, bytes: 100 }]), [8], 0)).toThrow(/entry at 8/)
  })
})
