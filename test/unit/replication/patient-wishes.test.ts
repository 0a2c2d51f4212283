import { beforeEach, describe, expect, it } from 'vitest'
import { epoch } from '../../../src/kernel/identifiers.ts'
import type { Wish } from '../../../src/replication/leader-state.ts'
import { PatientWishes } from '../../../src/replication/patient-wishes.ts'

const wish: Wish = { kind: 'archived', segmentEpoch: epoch(1), archive: 'there' }

let leader: { isChangingRecord: boolean; wish: (wish: Wish) => void } | null
let begun: Wish[]
/** What was asked of the metadata store and not answered. */
let asked: PromiseWithResolvers<void>[]
let wishes: PatientWishes

beforeEach(() => {
  begun = []
  asked = []
  leader = { isChangingRecord: false, wish: (one) => begun.push(one) }
  wishes = new PatientWishes({
    ask: () => {
      const answer = Promise.withResolvers<void>()
      asked.push(answer)
      return answer.promise
    },
    leader: () => leader,
  })
})

describe('changes of the record that nobody waits for', () => {
  it('are begun once the metadata store has answered, and not before', async () => {
    const done = wishes.begin(() => wish)
    expect([asked.length, begun]).toEqual([1, []])
    asked[0]?.resolve()
    await done
    expect(begun).toEqual([wish])
  })

  it('are not begun where it does not answer, and asked for again later', async () => {
    const lost = wishes.begin(() => wish)
    asked[0]?.reject(new Error('no majority'))
    await lost
    expect(begun).toEqual([])
    const done = wishes.begin(() => wish)
    asked[1]?.resolve()
    await done
    expect(begun).toEqual([wish])
  })

  it('are asked for once at a time, however long the answer takes', async () => {
    const first = wishes.begin(() => wish)
    await wishes.begin(() => wish)
    expect(asked).toHaveLength(1)
    asked[0]?.resolve()
    await first
    expect(begun).toEqual([wish])
  })

  it('are not begun where meanwhile nothing is due any more, another change is under way, or the lead is lost', async () => {
    const meanwhile = [
      () => {},
      () => {
        if (leader !== null) leader.isChangingRecord = true
      },
      () => {
        leader = null
      },
    ]
    for (const [index, change] of meanwhile.entries()) {
      const done = wishes.begin(() => (index === 0 ? null : wish))
      change()
      asked[index]?.resolve()
      await done
    }
    expect(begun).toEqual([])
  })
})
