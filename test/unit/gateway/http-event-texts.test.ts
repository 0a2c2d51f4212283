import { beforeEach, describe, expect, it } from 'vitest'
import { EventTexts } from '../../../src/gateway/http-event-texts.ts'
import type { LogBlock } from '../../../src/tables/event-log.ts'

const block = (bytes: string, more: Partial<LogBlock> = {}): LogBlock => ({
  firstPosition: 1,
  entries: Buffer.from(bytes),
  holes: 0,
  isRebuilt: false,
  ...more,
})

let decoded = 0
let texts: EventTexts
beforeEach(() => {
  decoded = 0
  texts = new EventTexts(({ entries }) => {
    decoded++
    return [{ type: entries.toString(), globalPosition: 1 } as never]
  })
})

const typeOf = (one: LogBlock): string | undefined => texts.of(one)[0]?.type

describe('the texts of a block', () => {
  it('are made once for all who read it', () => {
    expect([typeOf(block('old')), typeOf(block('old')), decoded]).toEqual(['old', 'old', 1])
  })

  it('are made anew when a migration rewrites its events, once more when it is given up, and when the next one does', () => {
    const forms = [block('old'), block('new', { isRebuilt: true }), block('old'), block('newer', { isRebuilt: true })]
    expect(forms.map(typeOf)).toEqual(['old', 'new', 'old', 'newer'])
    expect(typeOf(block('newest', { isRebuilt: true }))).toBe('newest')
  })

  it('are those of another block where it begins elsewhere', () => {
    expect([typeOf(block('a')), typeOf(block('b', { firstPosition: 2 })), typeOf(block('a'))]).toEqual(['a', 'b', 'a'])
    expect(decoded).toBe(2)
  })
})
