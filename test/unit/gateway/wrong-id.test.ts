import { describe, expect, it } from 'vitest'
import { wrongId } from '../../../src/gateway/wrong-id.ts'

describe('an id', () => {
  it('of 1 to 256 bytes is right', () => {
    for (const id of ['1', 'x'.repeat(256), 'ü'.repeat(128), 'a/b:c']) expect(wrongId('account', id)).toBe(null)
  })

  it('that is too long is named with its length, as that of its workflow, and only its beginning is shown', () => {
    expect(wrongId('workflow:waiter', 'x'.repeat(300))).toBe(
      `the id of workflow waiter, "${'x'.repeat(40)}…", has 300 bytes, but must have 1 to 256 of UTF-8; use another one`,
    )
    expect(wrongId('account', 'ü'.repeat(129))).toMatch(/^the id of aggregate account, .* has 258 bytes/)
  })

  it('that is empty, or no text that UTF-8 can say, is wrong', () => {
    expect(wrongId('account', '')).toBe(
      'the id of aggregate account has 0 bytes, but must have 1 to 256 of UTF-8; use another one',
    )
    expect(wrongId('account', '\ud800')).toMatch(/half of a surrogate pair/)
  })
})
