import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AssertionError, assert, unreachable } from '../../../src/kernel/assert.ts'
import { crc32, digest16 } from '../../../src/kernel/checksum.ts'
import { CommanderError, errorCodes, fromWireError, isCommanderError, toWireError } from '../../../src/kernel/errors.ts'
import { hash32, partitionCount, partitionOf } from '../../../src/kernel/hash.ts'
import { lsn, nextLsn } from '../../../src/kernel/identifiers.ts'
import { readUint64, writeUint64 } from '../../../src/kernel/integers.ts'
import { createSystemEnvironment, systemRandom } from '../../../src/kernel/system-environment.ts'

describe('integers of 64 bits', () => {
  it('come back, up to the largest safe one, and touch nothing beside them', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.maxSafeNat(), fc.constantFrom(0, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1)),
        fc.nat(9),
        (value, at) => {
          const b = Buffer.alloc(24, 0xaa)
          writeUint64(b, value, at)
          expect(readUint64(b, at)).toBe(value)
          expect(b.readBigUInt64LE(at)).toBe(BigInt(value))
          expect(b.subarray(0, at).every((byte) => byte === 0xaa)).toBe(true)
          expect(b.subarray(at + 8).every((byte) => byte === 0xaa)).toBe(true)
        },
      ),
    )
  })
})

describe('hashes', () => {
  it('are what they were in the first journal: partitions and headers follow from them', () => {
    expect(['', 'a', 'account/42', 'zähler/ö/1'].map(hash32)).toEqual([2872998923, 444641715, 1456827303, 2410868308])
  })

  it('spread similar keys over all partitions', () => {
    const counts = new Array<number>(partitionCount).fill(0)
    const keys = 100 * partitionCount
    for (let i = 0; i < keys; i++)
      counts[partitionOf(hash32(`account/${i}`))] = (counts[partitionOf(hash32(`account/${i}`))] as number) + 1
    expect(Math.min(...counts)).toBeGreaterThan(40)
    expect(Math.max(...counts)).toBeLessThan(200)
  })
})

describe('checksums', () => {
  it('are CRC-32 as everybody computes it', () => {
    expect(crc32(Buffer.from('123456789'))).toBe(0xcbf43926)
    expect(crc32(Buffer.from('456789'), crc32(Buffer.from('123')))).toBe(0xcbf43926)
  })

  it('are the same digest however the bytes are parted', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 50 }), { minLength: 1, maxLength: 5 }), (parts) => {
        expect(digest16(...parts)).toEqual(digest16(Buffer.concat(parts)))
      }),
    )
    expect(digest16(Buffer.from('abc')).toString('hex')).toBe('ba7816bf8f01cfea414140de5dae2223')
  })
})

describe('errors', () => {
  it('cross process boundaries with code, message, retryability and details', () => {
    for (const code of Object.keys(errorCodes) as (keyof typeof errorCodes)[]) {
      const error = new CommanderError(code, 'what happened', { details: { a: [1] } })
      const wire = JSON.parse(JSON.stringify(toWireError(error)))
      const again = fromWireError(wire)
      expect(again).toMatchObject({ code, message: 'what happened', retryable: error.retryable, details: { a: [1] } })
      expect(isCommanderError(again)).toBe(true)
    }
  })

  it('of others cross as internal, and are not taken for ours', () => {
    expect(toWireError(new TypeError('x'))).toEqual({ code: 'internal', message: 'x', retryable: false })
    expect(toWireError('x')).toEqual({ code: 'internal', message: 'x', retryable: false })
    for (const other of [null, undefined, 'x', new Error('x'), { code: 'internal' }])
      expect(isCommanderError(other)).toBe(false)
  })

  it('are retryable where trying again may help, unless they say otherwise', () => {
    expect(new CommanderError('overloaded', 'x').retryable).toBe(true)
    expect(new CommanderError('schema_violation', 'x').retryable).toBe(false)
    expect(new CommanderError('overloaded', 'x', { retryable: false }).retryable).toBe(false)
  })

  it('of programmers crash', () => {
    expect(() => assert(false, 'never')).toThrow(AssertionError)
    expect(() => assert(1, 'never')).not.toThrow()
    expect(() => unreachable('x' as never)).toThrow('unreachable: "x"')
    expect(() => nextLsn(lsn(Number.MAX_SAFE_INTEGER))).toThrow('exhausted')
  })
})

describe('the real environment', () => {
  it('gives random numbers of 32 bits, again and again', () => {
    const numbers = Array.from({ length: 5000 }, () => systemRandom.uint32())
    expect(numbers.every((number) => Number.isInteger(number) && number >= 0 && number <= 0xffffffff)).toBe(true)
    expect(new Set(numbers).size).toBeGreaterThan(4990)
  })

  it('has timers that can be cancelled, also when they have fired', async () => {
    const { scheduler } = createSystemEnvironment()
    let runs = 0
    const cancelled = scheduler.after(1, () => runs++)
    cancelled.cancel()
    await new Promise<void>((resolve) => {
      const timer = scheduler.after(5, () => {
        runs++
        timer.cancel()
        scheduler.soon(resolve)
      })
      setTimeout(() => {}, 100)
    })
    expect(runs).toBe(1)
  })
})
