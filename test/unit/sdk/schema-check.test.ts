import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { checkSchema } from '../../../src/sdk/schema-check.ts'
import type { StandardSchema } from '../../../src/sdk/standard-schema.ts'

const schema = z.object({ amount: z.number().int().positive(), note: z.string().default('none') })

describe('checkSchema', () => {
  it('returns what the schema makes of the value', () => {
    expect(checkSchema(schema, { amount: 5 }, 'data')).toEqual({ amount: 5, note: 'none' })
  })

  it('says which value is wrong, where, and why, with all issues as details', () => {
    const check = (): unknown => checkSchema(schema, { amount: -1, note: 3 }, 'data of command "deposit" of account/42')
    expect(check).toThrow(
      expect.objectContaining({
        code: 'schema_violation',
        message: expect.stringMatching(/^the data of command "deposit" of account\/42 is wrong: amount: .*; note: /),
        details: { issues: [expect.objectContaining({ path: 'amount' }), expect.objectContaining({ path: 'note' })] },
      }),
    )
  })

  it('shows three issues and counts the others', () => {
    const texts = z.array(z.string())
    expect(() => checkSchema(texts, [1, 2, 3, 4, 5], 'data')).toThrow(/\(and 2 more\)$/)
  })

  it('blames the module for a schema that throws', () => {
    const validate = (): never => {
      throw new Error('no luck')
    }
    const broken: StandardSchema = { '~standard': { version: 1, vendor: 'test', validate } }
    expect(() => checkSchema(broken, 'x', 'data')).toThrow(
      expect.objectContaining({
        code: 'invalid_module',
        message: expect.stringContaining('the schema for the data threw: no luck'),
      }),
    )
  })

  it('refuses an asynchronous schema', () => {
    const slow = z.string().refine(async () => true)
    expect(() => checkSchema(slow, 'x', 'data')).toThrow(expect.objectContaining({ code: 'invalid_module' }))
  })
})
