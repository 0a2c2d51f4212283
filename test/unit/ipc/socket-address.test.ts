import { describe, expect, it } from 'vitest'
import { socketPathOf } from '../../../src/ipc/socket-address.ts'

const host = { temporaryDirectory: '/tmp', userId: 1000 }

describe('the path of a socket', () => {
  it('is the address itself while that fits', () => {
    const fitting = `/data/${'x'.repeat(94)}`
    expect(fitting).toHaveLength(100)
    expect(socketPathOf(fitting, host)).toBe(fitting)
  })

  it('is a short one in a directory of the user when the address is too long, counted in bytes', () => {
    expect(socketPathOf(`/data/${'x'.repeat(95)}`, host)).toMatch(/^\/tmp\/commanderdb-ipc-1000\/[0-9a-f]{32}\.sock$/)
    expect(socketPathOf(`/data/${'ü'.repeat(60)}`, host)).toMatch(/^\/tmp\/commanderdb-ipc-1000\//)
  })

  it('is the same each time, and another for another address or user', () => {
    const [a, b] = ['a', 'b'].map((letter) => `/${letter.repeat(200)}`) as [string, string]
    expect(socketPathOf(a, host)).toBe(socketPathOf(a, { ...host }))
    expect(socketPathOf(a, host)).not.toBe(socketPathOf(b, host))
    expect(socketPathOf(a, host)).not.toBe(socketPathOf(a, { ...host, userId: 1001 }))
  })

  it('is refused with both paths when the temporary directory is too long as well', () => {
    const temporaryDirectory = `/tmp/${'t'.repeat(90)}`
    expect(() => socketPathOf(`/${'a'.repeat(200)}`, { temporaryDirectory, userId: 1 })).toThrow(
      expect.objectContaining({ code: 'invalid_config', message: expect.stringContaining(temporaryDirectory) }),
    )
  })
})
