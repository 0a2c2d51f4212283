import fc from 'fast-check'
import { expect, it } from 'vitest'
import { pack } from '../../../src/actions/message-pack.ts'
import { mayExceed } from '../../../src/workflows/rough-size.ts'

it('a value that takes more bytes than the bound may always exceed it', () => {
  fc.assert(
    fc.property(fc.anything({ withDate: true, withTypedArray: true }), fc.nat(200), (value, bytes) => {
      if (pack(value).length > bytes) expect(mayExceed(value, bytes)).toBe(true)
    }),
  )
})

it('a small value does not, and what refers to itself does', () => {
  expect(mayExceed({ a: [1, 'text', null, true, { b: Buffer.alloc(100) }] }, 1_000)).toBe(false)
  const circle: Record<string, unknown> = {}
  circle['again'] = circle
  expect(mayExceed(circle, 65_536)).toBe(true)
})
