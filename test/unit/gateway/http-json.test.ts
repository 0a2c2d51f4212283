import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseJson } from '../../../src/gateway/http-json.ts'
import { isCommanderError } from '../../../src/kernel/errors.ts'

const placeOf = (text: string): unknown => {
  try {
    parseJson(Buffer.from(text))
  } catch (error) {
    if (isCommanderError(error)) return (error.details as { position: number }).position
  }
  return null
}

describe('parseJson', () => {
  it('reads what JSON.stringify writes', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        fc.pre(!JSON.stringify(value).includes('__proto__'))
        expect(parseJson(Buffer.from(JSON.stringify(value)))).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
  })

  it('finds no data in an empty body', () => {
    expect(parseJson(Buffer.alloc(0))).toBeUndefined()
  })

  it.each([
    ['', null],
    [' ', 1],
    ['{', 1],
    ['[', 1],
    ['[1,]', 3],
    ['[,1]', 1],
    ['{"a":1,}', 7],
    ['{a:1}', 1],
    ["{'a':1}", 1],
    ['{"a" 1}', 5],
    ['{"a":}', 5],
    ['[1}', 2],
    ['{"a":1]', 6],
    ['{]', 1],
    ['[}', 1],
    ['1 2', 2],
    ['"a', 0],
    ['"\\x"', 0],
    ['"a\nb"', 0],
    ['01', 1],
    ['-', 0],
    ['1.', 1],
    ['tru', 0],
    ['NaN', 0],
    ['}', 0],
    ['[1]]', 3],
    ['{"a":[{"b":tru}]}', 11],
  ])('says that %j stops being JSON at %s', (text, position) => {
    expect(placeOf(text)).toBe(position)
  })

  it('says the same place as V8, wherever V8 says one', () => {
    const pieces = ['{', '}', '[', ']', ',', ':', '"a"', '1', 'null', ' ', '-', '"', 'x', '\n']
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...pieces), { minLength: 1, maxLength: 12 }), (chosen) => {
        const text = chosen.join('')
        let message = ''
        try {
          JSON.parse(text)
        } catch (error) {
          message = (error as Error).message
        }
        if (message === '') expect(placeOf(text)).toBeNull()
        else expect(placeOf(text)).toEqual(expect.any(Number))
        const said = /Expected .* in JSON at position (\d+)/.exec(message)?.[1]
        if (said !== undefined) expect(placeOf(text)).toBe(Number(said))
      }),
      { numRuns: 2000 },
    )
  })

  it('counts lines and columns from 1', () => {
    const wrong = () => parseJson(Buffer.from('{\n  "é": 1,\n  x\n}'))
    expect(wrong).toThrow('the body is not JSON: it has "x\\n}" at position 14 (line 3, column 3)')
  })

  it('refuses a key __proto__ however it is written, and takes it as text', () => {
    for (const text of ['{"__proto__":1}', '[{"a":{"\\u005f\\u005fproto__":{}}}]']) {
      expect(() => parseJson(Buffer.from(text))).toThrow('__proto__')
    }
    expect(parseJson(Buffer.from('["__proto__"]'))).toEqual(['__proto__'])
  })
})
